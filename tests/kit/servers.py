"""A server of the tests' own: started, killed, paused, started again; ends with the tests."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

_LIBC = ctypes.CDLL(None)


class NoServer(Exception):
    """Says why this way of getting a server is closed."""


def found(*ways: Callable[[], str]) -> tuple[str | None, Sequence[str]]:
    """The first address that one of the `ways` gives, or why each is closed."""
    reasons = []
    for way in ways:
        try:
            return way(), ()
        except NoServer as error:
            reasons.append(f"{way.__name__.removeprefix('_from_')}: {error}")
    return None, reasons


def missing(backend: str, message: str) -> NoReturn:
    """Skip the test, loudly; fail it where `REQUIRE_BACKENDS` names the backend."""
    if backend in os.environ.get("REQUIRE_BACKENDS", "").split(","):
        pytest.fail(message, pytrace=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # it shall be seen, and be no error
        warnings.warn(f"SKIPPED, {message}", stacklevel=1)
    pytest.skip(message)


class LocalServer:
    """`command` as a process that shall listen on loopback at `port` within `start_s` seconds.

    `refusal` is raised when it does not. Its output goes to `server.log` in `folder`.
    """

    start_s = 60.0
    refusal: type[NoServer] = NoServer

    def __init__(self, folder: Path, port: int, command: Sequence[str]) -> None:
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self._command = list(command)

    def start(self) -> None:
        """Start it and wait until it listens."""
        log = self._folder / "server.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_modest,
            )
        wait_for(
            lambda: self._ended() or _listens(self.port), self.start_s, f"{self.address} to listen"
        )
        if self._ended() or not _is_listener(self.process.pid, self.port):
            self.stop()
            tail = log.read_text()[-500:]
            raise self.refusal(f"the server did not start on {self.address}: {tail}")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send our own server a signal; waits for its end unless it is only paused."""
        assert self.process is not None
        self.process.send_signal(how)
        if how not in (signal.SIGSTOP, signal.SIGCONT):
            self.process.wait(30)

    def stop(self) -> None:
        """End it for good."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


def _modest() -> None:
    """In the server's process: leave room for others, and end with the tests however they end."""
    os.nice(10)
    end_with_parent()


def end_with_parent() -> None:
    """In a child: be killed when the tests end, however they end."""
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(done: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Poll `done` until it is true; what it returned."""
    for _ in _ticks(timeout_s):
        result = done()
        if result:
            return result
    raise TimeoutError(f"waited {timeout_s} s for {what}")


def _ticks(timeout_s: float) -> Iterator[None]:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        yield
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_listener(pid: int, port: int) -> bool:
    """Is it this process that listens there, not somebody else's? (Linux; else believed.)"""
    tables = [table for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if table.exists()]
    rows = [row.split() for table in tables for row in table.read_text().splitlines()[1:]]
    ours = {f"socket:[{r[9]}]" for r in rows if r[3] == "0A" and r[1].endswith(f":{port:04X}")}
    if not tables:
        return True
    return any(_target(handle) in ours for handle in Path(f"/proc/{pid}/fd").iterdir())


def _target(handle: Path) -> str:
    try:
        return os.readlink(handle)
    except OSError:
        return ""
