"""Health and metrics over real HTTP."""

import socket
from http.client import HTTPConnection
from typing import Any

import msgspec
import pytest

from shared.errors import Fatal
from shared.messages.streams import EVENTS
from shared.runtime.admin import PATHS, serve_admin
from shared.runtime.health import Health
from shared.runtime.metrics import Meters

HOST = "127.0.0.1"


def get(port: int, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request(method, path)
        found = connection.getresponse()
        return found.status, found.headers["Content-Type"], found.read()
    finally:
        connection.close()


def told(port: int, path: str) -> tuple[int, dict[str, Any]]:
    status, _, body = get(port, path)
    return status, msgspec.json.decode(body)


def test_probes_follow_the_process() -> None:
    health, meters = Health(["scorer"]), Meters("scorer", "p")
    with serve_admin(HOST, 0, health, meters) as port:
        assert told(port, "/health/live")[0] == 200
        status, body = told(port, "/health/ready")
        assert status == 503
        assert body["services"] == ["scorer"] and "starting" in body["why"]
        health.turned()
        health.ready("another instance works", standby=True)
        assert told(port, "/health/ready")[0] == 503
        assert told(port, "/health/ready?standby=ok")[0] == 200
        health.ready(None)
        status, body = told(port, "/health/ready")
        assert status == 200 and body["why"] == "" and body["since_turn_s"] >= 0


def test_metrics_are_what_was_counted() -> None:
    meters = Meters("scorer", "p")
    with serve_admin(HOST, 0, Health(), meters) as port:
        meters.folded(EVENTS, 7)
        status, media_type, body = get(port, "/metrics")
    assert status == 200 and media_type.startswith("text/plain")
    line = 'headrace_records_folded_total{problem="p",service="scorer",stream="events"} 7.0'
    assert line in body.decode().splitlines()


def test_head_has_no_body_and_other_paths_are_named() -> None:
    with serve_admin(HOST, 0, Health(), Meters("s", "p")) as port:
        assert get(port, "/health/live", "HEAD")[::2] == (200, b"")
        status, _, body = get(port, "/")
        assert status == 404 and all(path in body.decode() for path in PATHS)


def test_a_client_that_stalls_holds_nobody_up() -> None:
    admin = serve_admin(HOST, 0, Health(), Meters("s", "p"))
    with admin as port, socket.create_connection((HOST, port)) as stalled:
        stalled.sendall(b"GET /metr")
        assert get(port, "/health/live")[0] == 200


def test_a_port_that_is_taken_is_named_and_free_again_after_the_end() -> None:
    health, meters = Health(), Meters("s", "p")
    with serve_admin(HOST, 0, health, meters) as port:
        taken = pytest.raises(Fatal, match=f"port {port} on {HOST} cannot be used")
        with taken, serve_admin(HOST, port, health, meters):
            pass
    with serve_admin(HOST, port, health, meters) as again:
        assert again == port
