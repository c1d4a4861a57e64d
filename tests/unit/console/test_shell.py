"""The page's answers without a browser: twins, health, headers, commands and who may give them."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.console.core import Board
from services.console.pane import Pane
from services.console.shell import make_app
from shared.errors import Retryable
from shared.messages.types import Control
from tests.kit.recorded import believing
from tests.unit.console.synthetic import Story, problem

URL = "http://127.0.0.1"


class Client:
    """Calls the app in this process."""

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._send("GET", path, **more))

    def post(self, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._send("POST", path, **more))

    async def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url=URL) as client:
            return await client.request(method, path, **more)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def pane() -> Pane:
    board = Board(problem(), believing)
    records = list(Story(1_500).records())
    board.handle(records[: len(records) * 7 // 10])
    pane = Pane(Clock())
    pane.refresh(board)
    return pane


@pytest.fixture
def given() -> list[Control]:
    return []


@pytest.fixture
def client(pane: Pane, given: list[Control]) -> Client:
    return Client(make_app(pane, problem(), given.append))


def token(client: Client) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get("/").text)
    assert found is not None
    return found[1]


def test_the_page_and_its_twins(client: Client) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "online linear" in page.text
    assert (
        "style=" not in page.text and "<script>" not in page.text
    )  # the policy would refuse both
    assert "'unsafe" not in page.headers["content-security-policy"]
    for part in (
        "summary",
        "figures",
        "scores",
        "series",
        "alerts",
        "jobs",
        "models",
        "swaps",
        "rejected",
    ):
        assert client.get(f"/api/{part}").status_code == 200, part
    assert client.get("/api/nothing").status_code == 404
    series = client.get("/api/series").json()
    lengths = {len(line["windowed"]) for line in series["series"]}
    assert lengths == {len(series["place"])} == {len(series["rate"])}


def test_every_asset_of_the_page_is_served_from_here(client: Client) -> None:
    page = client.get("/").text
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(assets) >= 7
    for asset in assets:
        assert client.get(asset).status_code == 200, asset
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)


def test_metrics_and_health(client: Client) -> None:
    text = client.get("/metrics").text
    assert 'headrace_events_total{outcome="predictions",problem="electricity"}' in text
    assert "headrace_rejected_total" in text and 'model="published"' in text
    assert client.get("/livez").text == client.get("/readyz").text == "ok"


def test_before_the_run_begins() -> None:
    empty = Pane(Clock())
    empty.view = lambda wait_s=5.0: None  # type: ignore[method-assign]  # without the wait
    client = Client(make_app(empty, problem(), lambda control: None))
    assert client.get("/readyz").status_code == 503
    assert client.get("/").status_code == 503
    assert client.get("/livez").status_code == 200
    assert client.get("/metrics").status_code == 200


def test_another_host_is_refused(client: Client) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_a_command_from_the_form(client: Client, given: list[Control]) -> None:
    form = {
        "token": token(client),
        "command": "promote",
        "target": "v2",
        "reason": " it is better ",
    }
    answer = client.post("/control", data=form, headers={"origin": URL})
    shadow = any(m["role"] == "shadow" for m in client.get("/api/models").json())
    assert shadow, "the story has a shadow here"
    assert answer.status_code == 202, answer.text
    assert [(c.command, c.target, c.reason, c.by) for c in given] == [
        ("promote", "v2", "it is better", "page")
    ]


@pytest.mark.parametrize(
    ("form", "headers", "status"),
    [
        ({"command": "retrain"}, {}, 403),
        ({"command": "retrain", "token": "guess"}, {}, 403),
        ({"command": "retrain", "token": "ours"}, {"origin": "http://evil.example"}, 403),
        ({"command": "end", "token": "ours"}, {}, 400),
        ({"command": "promote", "token": "ours", "target": "v77<b>"}, {}, 409),
        ({"command": "rollback", "token": "ours"}, {}, 409),
        ({"command": "acknowledge", "token": "ours", "target": "alert-9"}, {}, 409),
        ({"command": "retrain", "token": "ours", "reason": "x" * 20_000}, {}, 413),
    ],
)
def test_commands_that_are_refused(
    client: Client,
    given: list[Control],
    form: dict[str, str],
    headers: dict[str, str],
    status: int,
) -> None:
    if form.get("token") == "ours":
        form = {**form, "token": token(client)}
    answer = client.post("/control", data=form, headers=headers)
    assert answer.status_code == status
    assert "<b>" not in answer.text
    assert given == []


def test_commands_as_json_need_a_header_of_ours(client: Client, given: list[Control]) -> None:
    body = {
        "command": "retrain",
        "time": "2026-01-01T00:00:00Z",
        "by": "command line",
        "reason": "why",
    }
    assert client.post("/api/control", json=body).status_code == 403
    ours = {"x-headrace": "command"}
    assert (
        client.post(
            "/api/control", content=b"{", headers={**ours, "content-type": "application/json"}
        ).status_code
        == 400
    )
    assert client.post("/api/control", json=body, headers=ours).status_code == 202
    assert [(c.command, c.by, c.reason) for c in given] == [("retrain", "command line", "why")]


def test_a_log_that_does_not_answer_is_said(pane: Pane) -> None:
    def broken(control: Control) -> None:
        raise Retryable("the disk is full")

    client = Client(make_app(pane, problem(), broken))
    answer = client.post("/control", data={"token": token(client), "command": "retrain"})
    assert answer.status_code == 503 and "the disk is full" in answer.text


def test_views_are_made_rarely_and_are_whole() -> None:
    clock = Clock()
    pane, board = Pane(clock), Board(problem(), believing)
    records = list(Story(300).records())
    pane.refresh(board)
    first = pane.view()
    board.handle(records)
    pane.refresh(board)
    assert pane.view() is first, "a view was made twice within a moment"
    clock.now_s += 0.3
    pane.refresh(board)
    second = pane.view()
    assert second is not None and first is not None
    assert (first.place, second.place) == (0, 300)
    clock.now_s += 60.0  # nobody looks any more: a refresh every two seconds is enough
    pane.refresh(board)
    clock.now_s += 1.0
    third = pane._view
    pane.refresh(board)
    assert pane._view is third
