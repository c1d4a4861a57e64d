import base64
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from services.collector.ingest import ingest
from services.collector.replay import Arrival
from shared.errors import Retryable
from shared.messages.streams import EVENTS, LABELS
from shared.runtime.intake import split
from tests.unit.collector.rows import problem_of

NOW = datetime(2024, 5, 1, tzinfo=UTC)
PROBLEM = problem_of(
    source={"path": "x.jsonl", "tick": 0},
    events={"id": "id", "time": "at", "key": "who", "fields": {"who": {"type": "text"}}},
)


class Written:
    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    def append(self, arrivals: list[Arrival]) -> None:
        self.arrivals += arrivals

    @property
    def values(self) -> list[bytes]:
        return [arrival.value for arrival in self.arrivals]


@contextmanager
def client_of(append: Any, token: str | None = None, **options: Any) -> Iterator[httpx.Client]:
    """The routes behind a real server on loopback."""
    app = FastAPI()
    app.include_router(ingest(PROBLEM, append, token, clock=lambda: NOW, **options))
    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[httpx.Client, Written]]:
    written = Written()
    with client_of(written.append) as client:
        yield client, written


@pytest.fixture
def written(served: tuple[httpx.Client, Written]) -> Written:
    served[1].arrivals.clear()
    return served[1]


@pytest.fixture
def client(served: tuple[httpx.Client, Written], written: Written) -> httpx.Client:
    return served[0]


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b'{"id": "a", "who":"x"}', [b'{"id": "a", "who":"x"}']),
        (b' {\n "id": "a"\n}\n', [b'{\n "id": "a"\n}']),
        (b'[{"id":1}, {"id": 2.0}]', [b'{"id":1}', b'{"id": 2.0}']),
        (b'{"id":1}\r\n\n{"id":2}\n', [b'{"id":1}', b'{"id":2}']),
        (b'{"id":1}\ngarbage\n{"id":2', [b'{"id":1}', b"garbage", b'{"id":2']),
        (b"\xff\xfe", [b"\xff\xfe"]),
        (b'{"a":1,"a":2}', [b'{"a":1,"a":2}']),
        (b'{"a":NaN}', [b'{"a":NaN}']),
        (b'{"a":' + b"[" * 100_000, [b'{"a":' + b"[" * 100_000]),
        (b'[{"id":1}, {"id"', [b'[{"id":1}, {"id"']),
        (b"[]x", [b"[]x"]),
    ],
)
def test_events_are_taken_whatever_they_are(
    client: httpx.Client, written: Written, body: bytes, values: list[bytes]
) -> None:
    answer = client.post("/events", content=body)
    assert (answer.status_code, answer.json()) == (202, {"accepted": len(values)})
    assert written.values == values
    assert {(arrival.stream, arrival.time) for arrival in written.arrivals} == {(EVENTS, NOW)}


def test_a_content_type_of_lines_is_believed(client: httpx.Client, written: Written) -> None:
    headers = {"Content-Type": "application/x-ndjson; charset=utf-8"}
    client.post("/events", content=b'[1]\n{"id":1}', headers=headers)
    assert written.values == [b"[1]", b'{"id":1}']


def test_the_key_is_the_entity_else_the_id(client: httpx.Client, written: Written) -> None:
    client.post("/events", content=b'[{"who":"x","id":"a"},{"id":7},{"who":null},{"who":[1]},3]')
    assert [arrival.key for arrival in written.arrivals] == ["x", "7", None, None, None]


def test_labels(client: httpx.Client, written: Written) -> None:
    body = b'[{"id":"a","label":1},{"id":"b","revoked":true}]'
    assert client.post("/labels", content=body).json() == {"accepted": 2}
    assert [(a.stream, a.key) for a in written.arrivals] == [(LABELS, "a"), (LABELS, "b")]


@pytest.mark.parametrize(
    "body",
    [b"garbage", b'{"id":"a","label":1}\n{"id":', b'[{"id":"a"},{"label":1}]', b"3", b"[1]"],
)
def test_labels_are_taken_all_or_none(client: httpx.Client, written: Written, body: bytes) -> None:
    answer = client.post("/labels", content=body)
    assert answer.status_code == 400
    assert "None of this request was taken" in answer.json()["detail"]
    assert written.arrivals == []


@pytest.mark.parametrize("path", ["/events", "/labels"])
@pytest.mark.parametrize("body", [b"", b" \n\n ", b"[]"])
def test_an_empty_body_is_a_mistake(client: httpx.Client, path: str, body: bytes) -> None:
    assert client.post(path, content=body).status_code == 400


def test_a_body_has_a_size(written: Written) -> None:
    with client_of(written.append, most_body_bytes=100) as client:
        assert client.post("/events", content=b"x" * 101).status_code == 413
        assert client.post("/events", content=iter([b"x" * 60, b"x" * 60])).status_code == 413
        assert written.arrivals == []
        assert client.post("/events", content=b"x" * 100).status_code == 202


def test_compressed_bodies_are_refused_in_words(client: httpx.Client) -> None:
    answer = client.post("/events", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


def test_the_token_is_asked_for(written: Written) -> None:
    with client_of(written.append, token="geheim-ü") as client:
        given = base64.b64encode(b"user:geheim-\xc3\xbc").decode()
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {given}"}):
            answer = client.post("/events", content=b"{}", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert written.arrivals == []
        headers = {"Authorization": "Bearer geheim-ü".encode()}  # type: ignore[dict-item]  # bytes
        assert client.post("/events", content=b"{}", headers=headers).status_code == 202


def test_pages_of_other_origins_are_kept_out(client: httpx.Client, written: Written) -> None:
    other = {"Origin": "https://evil.example"}
    assert client.post("/events", content=b"{}", headers=other).status_code == 403
    assert written.arrivals == []
    same = {"Origin": str(client.base_url).rstrip("/")}
    assert client.post("/events", content=b"{}", headers=same).status_code == 202


def test_nothing_is_acknowledged_that_was_not_written() -> None:
    def refuse(_: list[Arrival]) -> None:
        raise Retryable("the log is locked")

    with client_of(refuse) as client:
        answer = client.post("/events", content=b"{}")
    assert answer.status_code == 503
    assert "the log is locked" in answer.json()["detail"]
    assert answer.headers["Retry-After"] == "1"


def test_when_too_much_waits_producers_are_told_to_come_back(written: Written) -> None:
    entered, go = Event(), Event()

    def slow(arrivals: list[Arrival]) -> None:
        entered.set()
        assert go.wait(10)
        written.append(arrivals)

    with client_of(slow, most_waiting=3) as client, ThreadPoolExecutor() as pool:
        first = pool.submit(client.post, "/events", content=b"[1,2]")
        assert entered.wait(10)
        refused = client.post("/events", content=b"[3,4]")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        second = pool.submit(client.post, "/events", content=b"[5]")
        go.set()
        assert (first.result().status_code, second.result().status_code) == (202, 202)
        assert client.post("/events", content=b"[6,7,8,9]").status_code == 202
    assert sorted(written.values) == [b"1", b"2", b"5", b"6", b"7", b"8", b"9"]


@given(body=st.binary(max_size=80) | st.text(alphabet='[]{}",:1 \n', max_size=40).map(str.encode))
def test_no_byte_of_a_body_is_lost(body: bytes) -> None:
    kept = b"".join(split(body)).translate(None, b" \t\r\n\v\f,[]")
    assert kept == body.translate(None, b" \t\r\n\v\f,[]")
