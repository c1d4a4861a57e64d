"""Classes and slices against plain counting; too few labels claim nothing."""

import msgspec
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.console.core import Board
from services.console.coverage import MOST_CLASSES, Coverage, coverage_rows
from shared.messages.streams import OUTCOMES, PREDICTIONS
from shared.messages.types import Outcome
from tests.kit.recorded import believing
from tests.unit.console.synthetic import START, STEP, Story, problem

SLICES = [
    {"name": "dear", "expression": "nswprice > 0"},
    {"name": "rare", "expression": "nswdemand > 2.5"},
]


def evaluation(least: int) -> dict[str, object]:
    return {"slices": SLICES, "minimum_support": least}


def test_counts_are_those_of_plain_counting() -> None:
    records = list(Story(1_500, delay=45).records())
    board = Board(problem(evaluation=evaluation(30)), believing)
    board.handle(records)
    found = board.summary()["coverage"]
    said = pd.DataFrame(
        [
            r.value.features | {"said": r.value.prediction}
            for r in records
            if r.stream is PREDICTIONS
        ]
    )
    came = pd.DataFrame(
        [r.value.features | {"said": r.value.prediction, "label": r.value.label}
         for r in records if r.stream is OUTCOMES]
    )  # fmt: skip
    for key in (0, 1):
        mine, own = found["classes"][str(key)], came[came.label == key]
        assert mine["predictions"] == (said.said == key).sum()
        assert mine["labels"] == len(own) and mine["enough"]
        assert mine["recall"] == pytest.approx((own.said == key).mean())
    dear = came[came.nswprice > 0]
    assert found["slices"]["dear"] == {
        "predictions": (said.nswprice > 0).sum(), "labels": len(dear), "enough": True,
        "accuracy": pytest.approx((dear.said == dear.label).mean()),
    }  # fmt: skip
    rare = found["slices"]["rare"]
    assert 0 < rare["labels"] == (came.nswdemand > 2.5).sum() < 30
    assert rare["accuracy"] is None and not rare["enough"]
    rows = {row.name: row for row in coverage_rows(board.coverage)}
    assert rows["rare"].figure == "fewer than 30 labels" and rows["dear"].figure.endswith("%")


def outcome(
    label: float | str | None, replaced: float | str | None = None, said: object = "a"
) -> Outcome:
    values = dict.fromkeys(("nswprice", "nswdemand", "vicprice"), 1.0)
    return Outcome(
        id="e", time=START + STEP, prediction=said, model="v1", features=values, feature_set="f",  # type: ignore[arg-type]
        label=label, replaced=replaced,
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=12))
def test_only_the_label_that_stands_counts(story: list[str | None]) -> None:
    """One event, labelled again and again: as if it had been labelled once, the last way."""
    spec = problem(task="multiclass", label={"field": "y"}, evaluation=evaluation(1))
    through, straight = Coverage(spec), Coverage(spec)
    for before, label in zip([None, *story], story, strict=False):
        through.labelled(outcome(label, before))
    straight.labelled(outcome(story[-1]))
    wanted = straight.summary()["slices"]
    assert through.summary()["slices"] == wanted
    standing = {k: g.labels for k, g in through.classes.items() if g.labels}
    assert standing == ({story[-1]: 1} if story[-1] is not None else {})


def test_a_number_has_its_mean_error_by_slice() -> None:
    spec = problem(task="regression", label={"field": "y"}, evaluation=evaluation(2))
    coverage = Coverage(spec)
    coverage.labelled(outcome(3.0, said=1.0))
    assert coverage.summary()["slices"]["dear"]["mae"] is None
    coverage.labelled(outcome(2.0, said=1.0))
    assert coverage.summary()["slices"]["dear"]["mae"] == 1.5
    coverage.labelled(outcome(1.0, 3.0, said=1.0))
    assert coverage.summary()["slices"]["dear"]["mae"] == 0.5
    assert coverage.summary()["classes"] == {}


def test_undeclared_classes_are_bounded() -> None:
    coverage = Coverage(problem(task="multiclass", label={"field": "y"}, evaluation={}))
    for n in range(MOST_CLASSES + 50):
        prediction = msgspec.structs.replace(outcome(None), prediction=f"c{n}")
        coverage.predicted(prediction)
    assert len(coverage.classes) == MOST_CLASSES


def test_the_board_restores_it() -> None:
    records = list(Story(400).records())
    spec = problem(evaluation=evaluation(5))
    whole, first, second = Board(spec, believing), Board(spec, believing), Board(spec, believing)
    whole.handle(records)
    first.handle(records[:300])
    second.restore({k: v for k, v in first.changes() if v is not None})
    second.handle(records[300:])
    assert second.summary() == whole.summary()
