from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.dataset import Shape, build, classes_of, split
from services.trainer.walk import Calendar
from shared.models.live import fresh, members_per_version
from tests.unit.trainer import world


def _shape() -> Shape:
    pool = fresh(world.problem(), 3).pool
    return Shape(tuple(world.NAMES), (0, 1), len(pool.bank.names), members_per_version(pool))


def test_last_correction_counts_and_its_time() -> None:
    rows = world.outcomes(5)
    late = rows[4].time + timedelta(hours=1)
    rows.append(world.replaced(rows[1], label=1 - rows[1].label, revision=1, labelled_at=late))
    rows.append(world.replaced(rows[2], label=None, revision=1, labelled_at=late))
    data = build(rows, _shape(), 100)
    assert [row.id for row in data.rows] == ["e0", "e1", "e3", "e4"]
    assert data.y[1] == 1 - rows[1].label
    assert data.known_at[1] == late.timestamp()
    assert data.left_out == {"no label": 1, "corrections of earlier rows": 2}


def test_rows_of_an_older_feature_set_are_left_out() -> None:
    rows = world.outcomes(6)
    rows[0] = world.replaced(rows[0], feature_set="old")
    data = build(rows, _shape(), 100)
    assert data.left_out == {"another feature set": 1}


def test_unreadable_said_is_left_out_and_counted() -> None:
    rows = world.outcomes(6)
    rows[3] = world.replaced(rows[3], said="garbage")
    rows[4] = world.replaced(rows[4], said=None)
    assert build(rows, _shape(), 100).left_out == {"unreadable expert answers": 2}


def test_missing_features_are_nan() -> None:
    rows = world.outcomes(3)
    rows[1] = world.replaced(rows[1], features={"x0": None, "x2": 1.0})
    data = build(rows, _shape(), 100)
    assert np.isnan(data.x[1, :2]).all()
    assert data.x[1, 2] == 1.0


def test_undeclared_classes_come_in_the_pools_order() -> None:
    rows = world.outcomes(4)
    rows = [world.replaced(r, label=v) for r, v in zip(rows, ["b", "a", "c", True], strict=True)]
    rows[-1] = world.replaced(rows[-1], probabilities={"a": 0.5, "b": 0.5})
    assert classes_of(rows, ()) == ("a", "b", "c", True)
    assert classes_of(rows, ("c",)) == ("c", "a", "b", True)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.integers(0, 3), min_size=2, max_size=40),
    delays=st.lists(st.integers(0, 9), min_size=40, max_size=40),
    share=st.floats(0.05, 0.8),
)
def test_split_never_trains_on_what_was_not_known(
    steps: list[int], delays: list[int], share: float
) -> None:
    at = np.cumsum(steps).astype(float)
    known = at + np.array(delays[: len(at)])
    plan = split(at, known, share)
    together = np.concatenate([plan.train, plan.embargo, plan.held])
    assert sorted(together) == list(range(len(at)))
    assert len(plan.held) >= 1
    assert (plan.held == np.arange(len(at) - len(plan.held), len(at))).all()
    first = at[plan.held[0]]
    assert (known[plan.train] <= first).all()
    assert (known[plan.embargo] > first).all()


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    delays=st.lists(st.integers(0, 9), min_size=30, max_size=30),
)
def test_calendar_against_a_slow_obvious_one(steps: list[int], delays: list[int]) -> None:
    """Before row i is predicted those are given that came by then, of earlier rows; one that is not
    of an earlier row yet keeps those behind it waiting.
    """
    at = np.cumsum(steps).astype(float)
    known = at + np.array(delays[: len(at)])
    calendar = Calendar.of(at, known)
    waiting = [int(j) for j in np.argsort(known, kind="stable")]
    assert calendar.order.tolist() == waiting
    given_rows = 0
    for row in range(len(at)):
        while waiting and waiting[0] < row and known[waiting[0]] <= at[row]:
            waiting.pop(0)
            given_rows += 1
        assert calendar.due[row] == given_rows
    assert calendar.due[len(at)] == given_rows
