"""The label ledger: every order of arrival, every odd label."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.console.restated import Restated
from services.joiner.core import Joiner
from shared.messages.streams import CONTROL, LABELS, OUTCOMES, PREDICTIONS, REJECTED
from shared.messages.types import Control, Prediction
from shared.problem.spec import Events, FieldSpec, LabelSpec, Problem
from shared.stage import Out, Record

T0 = datetime(2000, 1, 1, tzinfo=UTC)


def problem(task: Any = "binary", **label: Any) -> Problem:
    spec = {"field": "y", "classes": [0, 1], **label}
    fields = {"x": FieldSpec(type="number")}
    return Problem(
        name="p", goal="g", task=task, events=Events(fields=fields), label=LabelSpec(**spec)
    )


def prediction(name: str, minutes: int = 0) -> Record:
    value = Prediction(
        id=name, time=T0 + timedelta(minutes=minutes), prediction=1, model="v1",
        features={"x": 1.0}, feature_set="f", said="s",
    )  # fmt: skip
    return Record(PREDICTIONS, value)


def label(name: str, value: Any = 1, **more: Any) -> Record:
    return Record(LABELS, msgspec.json.encode({"id": name, "label": value, **more}), offset=7)


def control(command: Any, minutes: int = 0) -> Record:
    return Record(CONTROL, Control(command=command, time=T0 + timedelta(minutes=minutes)))


def handled(joiner: Joiner, *records: Record) -> list[Out]:
    return list(joiner.handle(records))


def outcomes(outs: list[Out]) -> list[tuple[str, Any, int]]:
    return [(o.value.id, o.value.label, o.value.revision) for o in outs if o.stream is OUTCOMES]


def checks(outs: list[Out]) -> list[str]:
    return [o.value.check for o in outs if o.stream is REJECTED]


def test_an_outcome_is_the_prediction_with_its_label() -> None:
    outs = handled(Joiner(problem()), prediction("a"), label("a", 0, time="2000-01-01T01:00:00Z"))
    (out,) = outs
    assert (out.value.id, out.value.label, out.value.said) == ("a", 0, "s")
    assert out.value.labelled_at == T0 + timedelta(hours=1)
    assert out.value.features == {"x": 1.0}


def test_a_label_before_its_event_waits_for_it() -> None:
    joiner = Joiner(problem())
    assert handled(joiner, label("a")) == [] and joiner.held == 1
    assert outcomes(handled(joiner, prediction("a"))) == [("a", 1, 0)] and joiner.held == 0


def test_a_label_for_an_id_that_never_came_is_rejected_at_the_end() -> None:
    joiner = Joiner(problem())
    handled(joiner, label("ghost"))
    (out,) = handled(joiner, control("end"))
    assert out.value.check == "label_unknown_id" and "ghost" in out.value.reason
    assert out.value.topic == "p.labels" and out.value.offset == 7


def test_early_labels_are_bounded_and_the_oldest_is_rejected_not_dropped() -> None:
    joiner = Joiner(problem(early=2))
    outs = handled(joiner, label("a"), label("b"), label("c"))
    assert checks(outs) == ["label_unknown_id"] and "a" in outs[0].value.reason


@pytest.mark.parametrize(
    ("records", "check"),
    [
        ([label("a"), label("a")], "label_twice"),
        ([label("a", None)], "label_missing"),
        ([label("a", 7)], "label_class"),
        ([label("a", revoked=True)], "revoked"),
        ([Record(LABELS, b"{")], "decode"),
        ([label("a", 1), label("a", 0)], "label_revisions"),
    ],
)
def test_labels_that_cannot_be_used_say_why(records: list[Record], check: str) -> None:
    outs = handled(Joiner(problem()), prediction("a"), *records)
    assert check in checks(outs)


def test_a_second_early_label_is_rejected() -> None:
    assert checks(handled(Joiner(problem()), label("a"), label("a"))) == ["label_twice"]


def test_corrections_are_counted_and_limited() -> None:
    joiner = Joiner(problem(revisions=2))
    outs = handled(
        joiner, prediction("a"), label("a", 0), label("a", 1), label("a", 0), label("a", 1)
    )
    assert outcomes(outs) == [("a", 0, 0), ("a", 1, 1), ("a", 0, 2)]
    assert checks(outs) == ["label_revisions"]


def test_a_revoked_label_gives_an_outcome_without_one() -> None:
    outs = handled(
        Joiner(problem(revisions=1)), prediction("a"), label("a"), label("a", revoked=True)
    )
    assert outcomes(outs) == [("a", 1, 0), ("a", None, 1)]


def test_after_the_wait_the_default_is_taken_and_a_late_label_is_told_so() -> None:
    waiting = problem(wait="1h", default=0)
    joiner = Joiner(waiting)
    outs = handled(joiner, prediction("a"), prediction("b", 30), control("tick", 60))
    assert outcomes(outs) == [("a", 0, 0)] and outs[0].value.default
    without = Joiner(problem(wait="1h"))
    assert handled(without, prediction("a"), control("tick", 60)) == []
    assert checks(handled(without, label("a"))) == ["late_label"]


def test_numbers_must_be_finite_and_in_range() -> None:
    joiner = Joiner(problem("regression", classes=None, range=(0, 10)))
    outs = handled(
        joiner, prediction("a"), label("a", True), label("a", "x"), label("a", 11), label("a", 3.5)
    )
    assert checks(outs) == ["label_type", "label_type", "label_range"]
    assert outcomes(outs) == [("a", 3.5, 0)]


def test_a_class_is_taken_as_declared_however_json_wrote_it() -> None:
    outs = handled(
        Joiner(problem()), prediction("a"), label("a", "1"), prediction("b"), label("b", 0.0)
    )
    assert [type(o.value.label) for o in outs] == [int, int]


def test_any_order_of_first_labels_and_predictions_gives_the_same_ledger() -> None:
    records = [prediction("a"), label("a", 0), prediction("b", 1), label("b", 1)]
    found = {
        tuple(sorted(outcomes(handled(Joiner(problem()), *order))))
        for order in permutations(records)
    }
    assert found == {(("a", 0, 0), ("b", 1, 0))}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_order_and_any_repetition_of_single_labels_end_the_same(data: st.DataObject) -> None:
    names = "abcde"
    predictions = [prediction(name, minute) for minute, name in enumerate(names)]
    labels = [label(name, data.draw(st.integers(0, 1))) for name in names]
    again = data.draw(st.lists(st.sampled_from(labels), max_size=10))

    def end_of(records: list[Record]) -> tuple[list[Any], dict[str, float]]:
        outs, restated = handled(Joiner(problem()), *records), Restated()
        for out in outs:
            if out.stream is OUTCOMES:
                restated.take(out.value, regression=False)
        assert set(checks(outs)) <= {"label_twice"}
        return sorted(outcomes(outs)), restated.figures(regression=False)

    expected = end_of([*predictions, *labels])
    assert [name for name, _, _ in expected[0]] == [*names]
    assert end_of(data.draw(st.permutations([*predictions, *labels, *again]))) == expected


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_state_is_bounded_and_restores_in_the_same_order(data: st.DataObject) -> None:
    names = st.sampled_from("abcdef")
    records = data.draw(st.lists(st.one_of(names.map(prediction), names.map(label)), max_size=20))
    cut = data.draw(st.integers(0, len(records)))
    make = lambda: Joiner(problem(early=3, revisions=1))  # noqa: E731
    whole = [msgspec.json.encode(o.value) for o in handled(make(), *records)]
    first, second = make(), make()
    outs = handled(first, *records[:cut])
    second.restore({k: v for k, v in first.changes() if v is not None})
    outs += handled(second, *records[cut:])
    assert [msgspec.json.encode(o.value) for o in outs] == whole
