"""Combination, source-break rules, unit changes, the name of the cause."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.drift.cause import Finding, name_cause
from shared.drift.combine import combine
from shared.drift.ranks import Ranks
from shared.drift.source import FROZEN, WENT_LIVE, Constancy, Gap
from shared.drift.unit import UNITS, unit_change


def test_no_alarm_below_the_mean_budget() -> None:
    assert combine("abc", np.array([299_999.0, 0, 0])) is None
    assert combine("", np.array([])) is None
    assert combine("a", np.array([np.nan])) is None


def test_strongest_first_and_the_rest_as_also_moving() -> None:
    alarm = combine("abcd", np.array([10.0, 5e5, 3e4, 4e5]), 100_000.0)
    assert alarm is not None
    assert [name for name, _ in alarm.moved] == ["b", "d"]
    assert [name for name, _ in alarm.also_moving] == ["c"]


def test_naming_is_stricter_than_alarming() -> None:
    alarm = combine("abcd", np.array([5e5, 1.5e5, 0, 0]), 100_000.0)
    assert alarm is not None
    assert [name for name, _ in alarm.moved] == ["a"]
    assert [name for name, _ in alarm.also_moving] == ["b"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=30))
def test_named_series_obey_e_bh(values: list[float]) -> None:
    v, names = np.array(values), [str(i) for i in range(len(values))]
    alarm = combine(names, v, 1000.0)
    assert (alarm is not None) == (v.mean() >= 1000.0)
    if alarm is None:
        return
    ranked = np.sort(v)[::-1]
    passing = [k for k in range(1, len(v) + 1) if ranked[k - 1] >= len(v) * 1000.0 / k]
    assert len(alarm.moved) == max(passing, default=1)
    assert alarm.moved[0][1] == v.max()
    both = alarm.moved + alarm.also_moving
    assert len({name for name, _ in both}) == len(both)


def test_false_alarms_in_total_stay_near_the_budget_over_many_series() -> None:
    """60 groups of 10 series x 2,500 rows at 5,000 in total: 30 expected at most."""
    r, groups, count = np.random.default_rng(0), 60, 0
    d, names = Ranks(10 * groups, n_ref=1000), [str(i) for i in range(10)]
    for _ in range(3500):
        d.update(r.normal(size=10 * groups))
        for g in np.nonzero(d.evidence.reshape(groups, 10).mean(1) >= 5000.0)[0]:
            assert combine(names, d.evidence[10 * g : 10 * g + 10], 5000.0) is not None
            count += 1
            d.reset(np.arange(10 * groups) // 10 == g)
    assert count <= 42


def seen(values: list[float], budget: float = 1e5) -> list[tuple[int, int]]:
    c, out = Constancy(1, budget), []
    for t, v in enumerate(values):
        if c.update(np.array([v])):
            out.append((t, int(c.found[0])))
    return out


def test_a_constant_that_starts_to_move_went_live_at_its_first_change() -> None:
    assert seen([0.4] * 700 + [0.5, 0.6]) == [(700, WENT_LIVE)]
    assert seen([0.4] * 400 + [0.5, 0.6]) == []
    assert seen([float("nan")] * 50 + [0.4] * 600 + [float("nan"), 0.4, 0.5]) == [(652, WENT_LIVE)]


def test_a_column_that_goes_live_can_freeze_later_and_go_live_again() -> None:
    r = np.random.default_rng(0)
    found = seen([1.0] * 600 + r.random(800).tolist() + [0.5] * 30 + [0.7, 0.8] + [0.8] * 30)
    assert found[0] == (600, WENT_LIVE)
    assert found[1][1] == FROZEN
    assert 1400 < found[1][0] < 1406
    assert found[2][1] == FROZEN
    assert len(found) == 3


def test_a_value_that_often_repeats_needs_a_longer_run() -> None:
    r = np.random.default_rng(1)
    x = np.repeat(r.random(300), r.geometric(0.2, 300))
    found = seen([*x.tolist(), *([0.5] * 500)])
    assert [kind for _, kind in found] == [FROZEN]
    assert len(x) + 40 < found[0][0] < len(x) + 200


def test_random_walks_of_a_discrete_value_do_not_freeze() -> None:
    r = np.random.default_rng(2)
    c, count = Constancy(50), 0
    x = np.zeros(50)
    for _ in range(8000):
        x = np.where(r.random(50) < 0.2, r.integers(0, 3, 50), x)
        c.update(x)
        count += int((c.found == FROZEN).sum())
    assert count <= 1


def test_constancy_survives_a_snapshot_anywhere() -> None:
    r = np.random.default_rng(3)
    x = np.where(r.random((1500, 4)) < 0.5, r.random((1500, 4)), 0.3)
    x[:900, 0], x[1200:, 1], x[::5, 2] = 7.0, 0.1, np.nan
    a, b = Constancy(4), Constancy(4)
    for row in x:
        a.update(row)
        fresh = Constancy(4)
        fresh.restore(b.snapshot())
        b = fresh
        b.update(row)
        assert a.found.tolist() == b.found.tolist()


def test_a_gap_is_judged_by_earlier_gaps() -> None:
    g = Gap()
    assert not any(g.event() for _ in range(5000))  # nothing is known yet
    g.arrived()
    g = Gap()
    for _ in range(3):
        assert not any(g.event() for _ in range(150))
        assert not g.arrived()
    fired = [g.event() for _ in range(1000)]
    assert fired.index(True) == 300
    assert sum(fired) == 1
    assert g.arrived()
    assert [g.event() for _ in range(400)].index(True) == 300  # the outage did not raise the bar


def test_a_given_limit_holds_from_the_start() -> None:
    g = Gap(limit=5)
    assert [g.event() for _ in range(8)] == [False] * 5 + [True] + [False] * 2
    again = Gap(limit=5)
    again.restore(g.snapshot())
    assert again.fired
    assert again.waiting == 8


@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
def test_every_unit_is_recognised(unit) -> None:
    r = np.random.default_rng(0)
    old, new = r.gamma(3, 5, 2000) + 60, r.gamma(3, 5, 220) + 60
    assert unit_change(old, new * unit.a + unit.b) == unit


def test_an_ordinary_shift_is_no_unit() -> None:
    r = np.random.default_rng(1)
    old = r.normal(size=2000)
    assert unit_change(old, r.normal(size=220)) is None
    assert unit_change(old, r.normal(size=220) + 1) is None
    assert (
        unit_change(old + 2.8, (r.normal(size=220) + 2.8) * 1.6) is None
    )  # a busy season does that
    assert unit_change(old, r.normal(size=50) * 1.8 + 32) is None
    assert unit_change(np.ones(200), np.full(200, 33.8)) is None


def test_causes_in_their_order() -> None:
    live = [Finding("went_live", f, 17_424) for f in ("vicdemand", "vicprice")]
    errors = Finding("errors", "", 100)
    moving, faint = Finding("inputs", "x", 90, 3.0), Finding("inputs", "y", 95, 0.06)
    stopped = Finding("labels_stopped", "", 120)

    def cause(*found: Finding) -> str | None:
        verdict = name_cause(found)
        return None if verdict is None else verdict.cause

    assert cause() is None
    assert cause(faint) is None
    assert cause(moving) == "input_drift"
    assert cause(errors) == "concept_drift"
    assert cause(errors, faint) == "input_drift"
    assert cause(errors, Finding("inputs", "z", 1, 0.04)) == "concept_drift"
    assert cause(stopped, errors) == "label_delay"
    assert cause(errors, moving, stopped, *live) == "source_break"
    verdict = name_cause([errors, moving, *live])
    assert verdict is not None
    assert [f.feature for f in verdict.features] == ["vicdemand", "vicprice"]
    assert verdict.since == 17_424
    both = name_cause([faint, moving, errors])
    assert both is not None
    assert [f.feature for f in both.features] == ["x", "y"]
