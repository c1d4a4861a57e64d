"""One line each for audit and coverage: the rates by hand, and what stands where nothing is known."""

from datetime import timedelta

import pytest

from services.console.core import Board
from services.console.standing import standing
from shared.log.memory import MemoryLog
from shared.messages.streams import AUDITS
from shared.messages.types import Audit, AuditedFeature
from shared.stage import Record
from tests.kit.recorded import believing
from tests.unit.console.synthetic import START, Story, problem

DAY = timedelta(days=1)
SLICES = [
    {"name": "dear", "expression": "nswprice > 0"},
    {"name": "rare", "expression": "nswdemand > 2.5"},
]


def saved(board: Board) -> dict[str, object]:
    """As `headrace status` reads it: from what a checkpoint keeps."""
    log = MemoryLog()
    with log.begin("board") as transaction:
        transaction.save([(f"console/{name}", value) for name, value in board.changes()], {})
    return standing(
        (name, log.states(name)[0]) for name in ("audits", "coverage") if log.states(name)
    )


def test_rates_are_those_of_the_feature_that_differs_most() -> None:
    board = Board(problem(), believing)
    rows = [AuditedFeature("a", mismatch=3, missing=1), AuditedFeature("b", extra=5)]
    windows = [
        Audit(start=START, end=START + DAY, compared=60, features=rows),
        Audit(start=START + DAY, end=START + 2 * DAY, compared=40, unmatched=7),
    ]
    board.handle([Record(AUDITS, audit) for audit in windows])
    found = saved(board)["audit"]
    assert found["rates"] == {"mismatch": 0.0, "missing": 0.0, "extra": pytest.approx(0.05)}
    assert (found["feature"], found["differing"], found["compared"]) == ("b", ["a", "b"], 100)
    assert (found["since"], found["until"]) == (START, START + 2 * DAY)
    for words in ("extra 5.0 %", "b, the worst of 2", "100 predictions", "7 without a raw event",
                  "2 windows from 1996-05-07 00:00 UTC to 1996-05-09 00:00 UTC"):  # fmt: skip
        assert words in found["text"], words
    assert "\n" not in found["text"]


def test_coverage_names_what_is_below_the_support() -> None:
    board = Board(problem(evaluation={"slices": SLICES, "minimum_support": 30}), believing)
    board.handle(list(Story(1_500, delay=45).records()))
    whole = board.summary()
    found = saved(board)["coverage"]
    assert (found["predictions"], found["labels"]) == (1_500, whole["restated"]["labels"])
    assert (found["classes_below"], found["slices_below"]) == ([], ["rare"])
    assert "0 of 2 classes below 30 labels; 1 of 2 slices below 30 labels: rare" in found["text"]


def test_nothing_is_claimed_of_nothing() -> None:
    found = standing([])
    assert found["audit"].keys() == found["coverage"].keys() == {"text"}
    board = Board(problem(), believing)
    board.handle(list(Story(5).records()))
    assert "rates" not in saved(board)["audit"]
