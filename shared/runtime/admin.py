"""Health and metrics over HTTP, for processes without the page; the console answers the same way.

`GET /health/live`, `GET /health/ready` (`?standby=ok`: standing by counts as ready): 200, or 503 with
the reason, as JSON. `GET /metrics`: Prometheus' text.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import msgspec

from shared.errors import Fatal
from shared.runtime.health import Health, Verdict
from shared.runtime.metrics import PAGE_TYPE, Meters

PATHS = ("/health/live", "/health/ready", "/metrics")
_STALL_S = 10.0
"""A client that says nothing for so long is let go."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    media_type: str
    body: bytes


def answer(target: str, health: Health, meters: Meters) -> Answer | None:
    """What a GET of `target` (path and query) is answered; None: that is not one of `PATHS`."""
    url = urlsplit(target)
    if url.path == "/health/live":
        return _told(health.liveness())
    if url.path == "/health/ready":
        counts = parse_qs(url.query).get("standby") == ["ok"]
        return _told(health.readiness(standby_counts=counts))
    if url.path == "/metrics":
        return Answer(200, PAGE_TYPE, meters.page())
    return None


@contextmanager
def serve_admin(host: str, port: int, health: Health, meters: Meters) -> Iterator[int]:
    """Answer in a daemon thread while the block lasts; the port that is bound (0 finds a free one).

    Raises:
        Fatal: the address cannot be bound.
    """
    server = _server(host, port, health, meters)
    thread = Thread(target=server.serve_forever, args=(0.1,), name="admin", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _told(verdict: Verdict) -> Answer:
    body = msgspec.json.encode(asdict(verdict))
    return Answer(200 if verdict.ok else 503, "application/json", body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that stalls must not hold up the end of the process

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nothing to tell anybody."""


def _server(host: str, port: int, health: Health, meters: Meters) -> _Server:
    class Handler(BaseHTTPRequestHandler):
        timeout = _STALL_S
        server_version, sys_version = "headrace", ""

        def do_GET(self) -> None:
            found = answer(self.path, health, meters) or Answer(
                404, "text/plain", f"there are: {', '.join(PATHS)}\n".encode()
            )
            self.send_response(found.status)
            self.send_header("Content-Type", found.media_type)
            self.send_header("Content-Length", str(len(found.body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(found.body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds; their lines would bury everything else."""

    class Family(_Server):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        return Family((host, port), Handler)
    except OSError as error:
        raise Fatal(
            f"port {port} on {host} cannot be used ({error.strerror}); choose another with --port, "
            "or --port 0 for a free one"
        ) from error
