"""Policies one by one, against slow oracles where they reckon; their state at any cut."""

from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.evaluation.retraining.port import Policy, Wish
from shared.evaluation.retraining.table import policy_of
from shared.messages.types import Alert
from shared.problem.triggers import Trigger

T0 = datetime(2000, 1, 1, tzinfo=UTC)
COST = {"on": "cost", "fit_price": 40, "first": 100}
EVERY: list[dict[str, Any]] = [
    {"on": "volume", "outcomes": 300},
    {"on": "growth", "first": 120, "by": 1.5, "most": 400},
    {"on": "drift", "settle": 0},
    {"on": "schedule", "cron": "0 * * * *"},
    {"on": "performance", "worse_by": 0.05, "window": 200},
    COST,
    {"on": "votes", "among": [{"on": "volume", "outcomes": 150}, COST], "within": 400},
]


def policy(**spec: Any) -> Policy:
    return policy_of(TypeAdapter(Trigger).validate_python(spec))


def alert(name: str, kind: str = "errors") -> Alert:
    return Alert(alert=name, kind=kind, cause="concept_drift", severity="page", state="open",
                 since=T0, time=T0, series="s", text="errors rose")  # fmt: skip


def losses(*levels: tuple[int, float], seed: int = 0) -> list[float]:
    r = np.random.default_rng(seed)
    return [float(r.random() < level) for n, level in levels for _ in range(n)]


def drive(made: Policy, values: list[float], start: int = 0, fit_after: int = 50) -> list[int]:
    """Outcomes one by one, a fit taking effect `fit_after` outcomes after each wish; its places."""
    asked, due = [], 0
    for at, value in enumerate(values, start + 1):
        wish = made.outcome(at, value)
        if wish is not None:
            asked.append(at)
            due = at + fit_after
        if at == due:
            made.fitted(at)
    return asked


def test_growth_asks_at_ever_longer_distances_up_to_a_longest_one() -> None:
    asked = drive(policy(on="growth", first=100, by=2.0, most=500), [0.0] * 2_400)
    assert asked == [100, 200, 400, 800, 1_300, 1_800, 2_300]


def slow_cost(values: list[float], price: float, first: int, fit_after: int = 50) -> list[int]:
    """The rule from scratch: all that followed the last fit is summed anew at each outcome."""
    asked, fitted, fresh = [first], first + fit_after, list[float]()
    waiting = False
    for at in range(fitted + 1, len(values) + 1):
        since = values[fitted:at]
        known = [*fresh, float(np.mean(since[:500]))] if len(since) >= 500 else fresh
        excess = 0.0
        for place, value in enumerate(since, 1):
            told = (known if place >= 500 else fresh)[-5:]
            if place > 500 or len(told) > 1:
                level = median([*told, *[0.0] * (3 - len(told))])
                excess = max(0.0, excess + value - level)
        if not waiting and len(since) >= 250 and excess >= price:
            asked.append(at)
            waiting = True
        if waiting and at == asked[-1] + fit_after:
            fresh, fitted, waiting = known, at, False
    return asked


def test_cost_is_the_slow_rule() -> None:
    values = losses((900, 0.1), (1_000, 0.4))
    asked = drive(policy(**COST), values)
    assert asked == slow_cost(values, 40, 100)
    assert len(asked) > 2


@given(
    levels=st.lists(st.floats(0, 1), min_size=1, max_size=6),
    price=st.floats(5, 200),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_fits_never_cost_more_than_was_lost(levels: list[float], price: float, seed: int) -> None:
    values = losses(*((700, level) for level in levels), seed=seed)
    asked = drive(policy(**{**COST, "fit_price": price}), values)
    assert price * (len(asked) - 1) <= sum(values)


def test_cost_takes_an_alarm_at_its_word_only_if_it_promises_enough() -> None:
    def started(price: float) -> Policy:
        made = policy(**{**COST, "fit_price": price})
        for start in (100, 700, 1_300):  # three fits are known
            made.fitted(start)
            drive(made, losses((600, 0.1)), start=start)
        return made

    made = started(120)
    drive(made, losses((120, 0.9), seed=1), start=1_900)
    wish = made.alert(2_020, alert("a"))
    assert wish is not None and wish.trigger == "cost" and "errors rose" in wish.reason
    assert made.alert(2_021, alert("b")) is None  # asked already
    assert started(120).alert(1_900, alert("a")) is None  # nothing has risen
    made = started(120)
    drive(made, losses((120, 0.9), seed=1), start=1_900)
    assert made.alert(2_020, alert("a", kind="labels_stopped")) is None


def test_performance_compares_with_what_came_after_the_last_fit() -> None:
    spec = {"on": "performance", "worse_by": 0.1, "window": 300}
    assert drive(policy(**spec), losses((5_000, 0.2))) == []
    made = policy(**spec)
    (first, *_) = drive(made, losses((2_000, 0.2), (1_000, 0.5)))
    assert 2_000 < first < 2_300
    assert drive(policy(**spec), losses((900, 0.5), (2_000, 0.2))) == []


def test_votes_need_several_voices_in_the_same_time() -> None:
    among = [{"on": "volume", "outcomes": 100}, {"on": "drift", "settle": 30}]
    made = policy(on="votes", among=among, within=50)
    assert drive(made, [0.0] * 150) == []
    assert made.alert(150, alert("a")) is None
    assert drive(made, [0.0] * 100, start=150) == [200]  # the alert has settled, the count is new
    assert made.alert(240, alert("b")) is None
    assert drive(made, [0.0] * 100, start=240) == [300]
    assert made.alert(340, alert("c")) is None
    assert drive(made, [0.0] * 20, start=340) == []  # not settled
    assert isinstance(made.moment.asked[1], Wish)


@pytest.mark.parametrize("spec", EVERY, ids=lambda spec: spec["on"])
def test_a_policy_goes_on_exactly_from_its_state(spec: dict[str, Any]) -> None:
    values = losses((900, 0.1), (900, 0.6), (400, 0.3))

    def wishes(cuts: range) -> list[Wish | None]:
        made, seen = policy(**spec), []
        for at, value in enumerate(values, 1):
            seen.append(made.outcome(at, None if at % 7 == 0 else value))
            if at % 60 == 0:
                seen.append(made.tick(at, T0 + timedelta(minutes=at)))
            if at in (1_000, 1_001, 1_500):
                seen.append(made.alert(at, alert(f"alert-{at // 1_000}")))
            if at in (200, 1_200):
                made.fitted(at)
            if at in cuts:
                data = made.dump()
                made = policy(**spec)
                made.load(data)
        return seen

    whole = wishes(range(0))
    assert wishes(range(0, 2_200, 13)) == whole
    assert any(whole)
