"""Whether a model is needed: what is said, and that the terminal, JSON and the page say it alike."""

from datetime import UTC, datetime, timedelta
from html import unescape
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from services.console.closing import closing
from services.console.core import Board
from services.console.pane import Pane
from services.console.shell import make_app
from services.console.verdict import Verdict, verdict_of
from shared.messages.streams import OUTCOMES, PREDICTIONS
from shared.messages.types import Outcome, Prediction
from shared.problem.spec import Problem
from shared.stage import Record
from tests.kit.recorded import believing
from tests.unit.console.test_shell import Client

START, STEP, ROWS = datetime(2024, 1, 1, tzinfo=UTC), timedelta(minutes=1), 2_000


def board(right: float, rule_right: float, task: Any = "binary", silent: float = 0.0) -> Board:
    """A coin for a label, a model and a rule that are right with these shares; the linear model sees
    nothing but the rule's field, and that only as often as the rule speaks.
    """
    label: dict[str, Any] = {"field": "y"} | ({"classes": [0, 1]} if task == "binary" else {})
    rule = {"name": "by_hint", "expression": "hint > 0" if task == "binary" else "hint"}
    made = Board(Problem.model_validate({
        "name": "p", "goal": "g", "task": task, "label": label,
        "events": {"fields": {"hint": {"type": "number"}}},
        "evaluation": {"rules": [rule]},
    }), believing)  # fmt: skip
    draw = np.random.default_rng(3)
    for n in range(ROWS):
        truth = int(draw.integers(2))
        said = truth if draw.random() < right else 1 - truth
        hint: float | None = truth if draw.random() < rule_right else 1 - truth
        if draw.random() < silent:
            hint = None
        time = START + n * STEP
        basis = {
            "id": str(n), "time": time, "prediction": said, "model": "v1", "feature_set": "f",
            "features": {"hint": hint}, "said": "",
        }  # fmt: skip
        made.handle([Record(PREDICTIONS, Prediction(**basis))])
        made.handle([Record(OUTCOMES, Outcome(**basis, label=truth, labelled_at=time))])
    return made


def verdict(*arguments: Any, **more: Any) -> Verdict:
    return verdict_of(board(*arguments, **more))


def test_a_rule_that_does_better_is_enough() -> None:
    found = verdict(0.9, 1.0)
    assert found.needed is False and found.enough == found.against == "by_hint"
    assert found.text.startswith(
        "A model is not needed: the rule `by_hint` (hint > 0), which learns nothing, has 100.00 % right"
    )
    assert found.ahead_by is not None and found.ahead_by == pytest.approx(-0.1, abs=0.03)
    assert found.labels == ROWS and "2,000 labels" in found.text


def test_a_model_that_is_ahead_of_all_pays() -> None:
    found = verdict(0.95, 0.6)
    assert (
        found.needed is True and found.enough is None and found.text.startswith("The model pays")
    )


def test_what_is_not_told_apart_is_said_to_be_so() -> None:
    found = verdict(0.8, 0.8)
    assert found.needed is None and found.enough is None and "cannot be told yet" in found.text


def test_a_rule_that_is_mostly_silent_replaces_nothing() -> None:
    assert verdict(0.9, 1.0, silent=0.5).against != "by_hint"


def test_numbers_are_judged_by_their_error() -> None:
    found = verdict(0.8, 1.0, "regression")
    assert found.needed is False and "a mean absolute error of 0," in found.text


def test_without_labels_there_is_none() -> None:
    empty = Board(board(1.0, 1.0).problem, believing)
    assert verdict_of(empty).needed is None and verdict_of(empty).text


def test_terminal_json_and_page_say_the_same_sentence() -> None:
    made = board(0.9, 1.0)
    text = verdict_of(made).text
    summary = made.summary()
    assert summary["verdict"]["text"] == text and summary["verdict"]["needed"] is False
    console = Console(width=2_000, record=True, file=StringIO())
    console.print(closing(made, summary))
    assert text in console.export_text()
    pane = Pane(lambda: 0.0)
    pane.refresh(made)
    page = Client(make_app(pane, made.problem, lambda control: None)).get("/").text
    assert text in unescape(page)
