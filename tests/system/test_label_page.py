"""The labelling page in a real browser: a click becomes a label, a label an outcome."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import pytest

from services.collector.ingest import ingest
from services.collector.replay import Arrival
from services.console.core import Board
from services.console.pane import Pane
from services.console.shell import make_app
from services.joiner.core import Joiner
from services.web import served
from shared.messages.streams import CONTROL, PREDICTIONS
from shared.messages.types import Control, Outcome, Prediction
from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s
from shared.stage import Record
from tests.kit.recorded import believing

pytestmark = pytest.mark.browser
START = datetime(2024, 1, 1, tzinfo=UTC)
HOSTILE = '<img src=x onerror=alert(1)> "quoted" é'


def problem(task: str, **label: Any) -> Problem:
    requests = {"budget": 3, "window": "1h"}
    return Problem.model_validate(
        {"name": "turbine", "goal": "Say whether it will trip.", "task": task,
         "events": {"fields": {"x": {"type": "number"}}},
         "label": {"field": "trips", "requests": requests, **label}}
    )  # fmt: skip


class Desk:
    """Joiner and board over the same records; what comes over HTTP goes to the joiner."""

    def __init__(self, spec: Problem, token: str | None = None) -> None:
        self.outcomes: list[Outcome] = []
        self._joiner, self._board = Joiner(spec), Board(spec, believing)
        self._pane, self._lock = Pane(elapsed_s), Lock()
        self.app = make_app(self._pane, spec, lambda control: None)
        self.app.include_router(ingest(spec, self._accept, token))
        number = spec.task == "regression"
        names = [HOSTILE, *(f"e{n}" for n in range(1, 6))]
        self.fold([Record(PREDICTIONS, _said(name, n, number)) for n, name in enumerate(names)])
        later = Control(command="tick", time=START + timedelta(hours=2))
        self.fold([Record(CONTROL, later)])

    def fold(self, records: list[Record]) -> None:
        with self._lock:
            made = [Record(o.stream, o.value, o.key) for o in self._joiner.handle(records)]
            self._board.handle([*records, *made])
            self.outcomes += [r.value for r in made if isinstance(r.value, Outcome)]
            self._pane.refresh(self._board, force=True)

    def _accept(self, arrivals: list[Arrival]) -> None:
        self.fold([Record(a.stream, a.value, a.key) for a in arrivals])


def _said(name: str, n: int, number: bool) -> Prediction:
    p = 0.5 + 0.05 * n
    return Prediction(
        id=name, time=START + timedelta(minutes=n), prediction=2.5 if number else True, model="v1",
        features={"x": 1.5, "gone": None}, feature_set="f",
        probabilities=None if number else {"true": p, "false": 1 - p},
        interval=(0.0, 9.0 - n) if number else None,
    )  # fmt: skip


@pytest.fixture
def desk() -> Iterator[Any]:
    """Opens desks, each on a port of its own."""
    opened: list[Any] = []

    def open_desk(spec: Problem, token: str | None = None) -> tuple[Desk, str]:
        desk = Desk(spec, token)
        place = socket.create_server(("127.0.0.1", 0))
        context = served(desk.app, place)
        opened.append(context)
        return desk, f"http://127.0.0.1:{context.__enter__()}"

    yield open_desk
    for context in opened:
        context.__exit__(None, None, None)


def test_a_click_is_a_label(open_page: Any, desk: Any) -> None:
    made, url = desk(problem("binary", classes=[True, False]))
    page = open_page(f"{url}/label")
    titles = page.locator("form.wanted h3").all_inner_texts()
    assert [title.split(" 2024")[0].strip() for title in titles] == [HOSTILE, "e1", "e2"]
    page.get_by_label("Your name").fill("Ada")
    first = page.locator("form.wanted").first
    assert "Unsure" not in first.inner_text() and "v1 said" not in first.inner_text()
    first.get_by_role("button", name="trips = false").click()
    first.locator(".said.good").wait_for()
    assert first.get_by_role("button", name="trips = true").is_disabled()
    assert [(o.id, o.label, o.revision) for o in made.outcomes] == [(HOSTILE, False, 0)]
    page.get_by_role("link", name="Load the newest requests").click()
    page.locator("form.wanted h3", has_text="e1").wait_for()
    assert page.locator("form.wanted").count() == 2
    assert page.get_by_label("Your name").input_value() == "Ada"


def test_a_number_is_typed_and_the_token_is_asked_for(open_page: Any, desk: Any) -> None:
    made, url = desk(problem("regression"), "secret")
    page = open_page(f"{url}/label", width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    first = page.locator("form.wanted").first
    first.get_by_label("trips").fill("3.25")
    first.get_by_role("button", name="Send").click()
    first.locator(".said.bad").wait_for()
    assert "HEADRACE_API_TOKEN" in first.inner_text() and not made.outcomes
    page.get_by_label("API token").fill("secret")
    first.get_by_role("button", name="Send").click()
    first.locator(".said.good").wait_for()
    assert [(o.id, o.label) for o in made.outcomes] == [(HOSTILE, 3.25)]
    assert any("401" in complaint for complaint in open_page.complaints)
    open_page.complaints.clear()  # the browser logs the refusal itself
