"""The auditor over a real validator and featurizer: silent while they are right, loud when not."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.auditor.core import MOST_WAITING, Auditor
from services.featurizer.core import Featurizer
from services.validator.core import Validator
from shared.messages.streams import CONTROL, EVENTS, PREDICTIONS, REJECTED, VALID
from shared.messages.types import Audit, Control, Features, Prediction
from shared.problem.spec import Problem
from shared.stage import Out, Record
from tests.kit.check_stage import check_stage

START = datetime(2024, 3, 30, 22, tzinfo=UTC)
FEATURES: list[dict[str, Any]] = [
    {"kind": "calendar", "parts": ["hour", "weekday"], "zone": "Europe/Berlin"},
    {"kind": "lags", "field": "x", "by": [1, 3]},
    {"kind": "window", "field": "x", "of": ["mean", "std", "median"], "span": "20m"},
    {"kind": "decayed", "field": "x", "half_life": "10m"},
    {"kind": "since", "name": "since_high", "formula": "x > 4"},
    {"kind": "expression", "name": "up", "formula": "x - x_lag_1"},
]


def problem(**changes: Any) -> Problem:
    fields: dict[str, Any] = {
        "x": {"type": "number", "missing": "mean", "coerce": True, "scale": "standard"},
        "n": {"type": "integer", "range": [-5, 5], "missing": "last"},
        "ok": {"type": "boolean", "coerce": True},
        "hue": {"type": "category", "categories": ["red", "blue", 3], "unseen": "other"},
        "at": {"type": "time"},
        **changes.pop("fields", {}),
    }
    events = {
        "id": "id", "time": "time", "key": "k", "allow_backwards": "1h", "duplicate_window": 50,
        "fields": {"k": {"type": "text", "feature": False}, **fields}, **changes.pop("events", {}),
    }  # fmt: skip
    return Problem.model_validate(
        {"name": "p", "goal": "g", "task": "binary", "label": {"field": "l"}, "events": events,
         "features": FEATURES, "audit": {"share": 1, "window": "1h"}, **changes}
    )  # fmt: skip


def raw_events(seed: int, size: int, keys: int = 2) -> list[Record]:
    """Late, repeated and wrong events among good ones, from few ids that come again."""
    draw = np.random.default_rng(seed)

    def one_of(*values: Any) -> Any:
        return values[draw.integers(len(values))]

    now, records = START, []
    for offset in range(size):
        now += timedelta(minutes=one_of(0, 1, 2, 11, -3, -10))
        event = {
            "id": one_of(offset, f"e{offset}", f"e{max(0, offset - one_of(1, 2, 60))}"),
            "time": one_of(now.isoformat(), now.timestamp()),
            "k": f"k{draw.integers(keys)}",
            "x": one_of(None, 1, "3.5", 1e15, *draw.normal(0, 5, 3).tolist()),
            "n": one_of(None, 2.0, int(draw.integers(-5, 5)), 9),
            "ok": one_of(None, True, "no", "true", 0),
            "hue": one_of(None, "red", "green", 3, "3"),
            "at": one_of(None, "2024-01-01", 0),
        }
        value = one_of(*[json.dumps(event).encode()] * 9, b"{", b"[]")
        records.append(Record(EVENTS, value, None, 0, offset, seq=offset))
    return records


def served(spec: Problem, events: Sequence[Record]) -> list[Record]:
    """What validator and featurizer (and a scorer that adds nothing) make of the events."""
    validator, featurizer = Validator(spec), Featurizer(spec)
    outs: list[Record] = []
    for event in events:
        for out in validator.handle([event]):
            if out.stream is REJECTED:
                outs.append(Record(REJECTED, out.value, offset=len(outs), seq=event.seq))
                continue
            valid = Record(VALID, out.value, out.key, seq=event.seq)
            (made,) = featurizer.handle([valid])
            outs.append(Record(PREDICTIONS, prediction(made), offset=len(outs), seq=event.seq))
    return outs


def prediction(made: Out) -> Prediction:
    features: Features = made.value
    return Prediction(
        id=features.id, time=features.time, prediction=1, model="v1", key=features.key,
        features=features.features, feature_set=features.feature_set,
    )  # fmt: skip


def in_turn(events: Sequence[Record], outs: Sequence[Record]) -> list[Record]:
    end = Record(CONTROL, Control(command="end", time=START), seq=10**9)
    return [*sorted((*events, *outs), key=lambda r: (r.seq, r.stream != EVENTS)), end]


def audits(spec: Problem, records: Sequence[Record]) -> list[Audit]:
    return [out.value for out in Auditor(spec).handle(records)]


def compared(found: Sequence[Audit]) -> int:
    return sum(audit.compared for audit in found)


def clean(found: Sequence[Audit]) -> bool:
    return not any(audit.features or audit.unmatched or audit.foreign for audit in found)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 120))
def test_what_is_served_rightly_is_found_equal_to_the_bit(seed: int, size: int) -> None:
    spec = problem()
    events = raw_events(seed, size)
    outs = served(spec, events)
    found = audits(spec, in_turn(events, outs))
    assert clean(found)
    assert compared(found) == sum(record.stream is PREDICTIONS for record in outs)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.booleans(), max_size=200))
def test_whichever_is_read_first_the_pairs_are_the_same(seed: int, turns: list[bool]) -> None:
    """On Kafka nothing orders one topic before another. (Rejections of an id that comes again are read
    before its prediction here: see the auditor.)
    """
    spec = problem()
    events = raw_events(seed, 80)
    outs = served(spec, events)
    refused = [record for record in outs if record.stream is REJECTED]
    queues = [list(events), [record for record in outs if record.stream is PREDICTIONS]]
    mixed = [*refused]
    for turn in turns:
        if queues[turn]:
            mixed.append(queues[turn].pop(0))
    mixed += queues[0] + queues[1]
    mixed.append(Record(CONTROL, Control(command="end", time=START)))
    found = audits(spec, mixed)
    assert clean(found)
    assert compared(found) == sum(record.stream is PREDICTIONS for record in outs)


SKEWS: list[tuple[dict[str, Any], set[str]]] = [
    ({"features": [{**FEATURES[0], "zone": "UTC"}, *FEATURES[1:]]},
     {"hour_sin", "hour_cos", "weekday_sin", "weekday_cos"}),
    ({"features": [*FEATURES[:5], {**FEATURES[5], "formula": "x - x_lag_3"}]}, {"up"}),
    ({"features": [*FEATURES[:4], {**FEATURES[4], "formula": "x > 3"}, FEATURES[5]]},
     {"since_high"}),
    ({"features": [*FEATURES[:3], {**FEATURES[3], "half_life": "9m"}, *FEATURES[4:]]},
     {"x_decayed_10m", "x_decayed_9m"}),
    ({"fields": {"n": {"type": "integer", "range": [-5, 5], "missing": "mean"}}}, {"n"}),
]  # fmt: skip


@pytest.mark.parametrize(("change", "skewed"), SKEWS)
def test_a_planted_skew_is_named_in_the_window_where_it_begins(
    change: dict[str, Any], skewed: set[str]
) -> None:
    """The featurizer works by another file than the one declared; so its own digest says, too."""
    events = raw_events(3, 300)
    found = audits(problem(), in_turn(events, served(problem(**change), events)))
    first = next(audit for audit in found if audit.features)
    assert {row.feature for row in first.features} <= skewed
    assert {row.feature for audit in found for row in audit.features} == skewed
    assert all(audit.foreign == audit.compared for audit in found)
    assert found.index(first) <= 1, "two windows have passed"


def test_each_kind_of_difference_is_counted_with_an_example() -> None:
    spec = problem()
    events = raw_events(5, 60)
    outs = served(spec, events)
    said = [record.value for record in outs if record.stream is PREDICTIONS]
    victim = next(p for p in said if p.features["x_lag_3"] is None and p.features["x_lag_1"])
    was = victim.features["x_lag_1"] or 0.0
    victim.features |= {
        "x_lag_1": was * (1 + 1e-15),
        "x_lag_3": 2.0,
        "hour_sin": None,
        "alien": 1.0,
    }
    (audit,) = [a for a in audits(spec, in_turn(events, outs)) if a.features]
    rows = {row.feature: row for row in audit.features}
    counts = {name: (row.mismatch, row.missing, row.extra) for name, row in rows.items()}
    assert counts == {
        "x_lag_1": (1, 0, 0), "hour_sin": (0, 1, 0), "x_lag_3": (0, 0, 1), "alien": (0, 0, 1),
    }  # fmt: skip
    row = rows["x_lag_3"]
    assert (row.id, row.served, row.expected) == (victim.id, 2.0, None)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_a_share_of_many_keys_is_followed_also_when_keys_are_forgotten(seed: int) -> None:
    spec = problem(audit={"share": 0.4, "window": "1d"}, events={"max_keys": 5})
    events = raw_events(seed, 300, keys=9)
    outs = served(spec, events)
    found = audits(spec, in_turn(events, outs))
    assert clean(found)
    by_key: dict[str, int] = {}
    for record in outs:
        if record.stream is PREDICTIONS:
            by_key[record.value.key] = by_key.get(record.value.key, 0) + 1
    auditor = Auditor(spec)
    followed = {key for key in by_key if auditor._sample.follows(key)}
    assert 0 < len(followed) < 9
    assert compared(found) == sum(by_key[key] for key in followed)


def test_of_few_keys_all_are_followed_and_a_share_of_the_events_compared() -> None:
    key = {"k": {"type": "category", "categories": ["k0", "k1"], "feature": False}}
    spec = problem(audit={"share": 0.3}, fields=key)
    events = raw_events(11, 600)
    outs = served(spec, events)
    found = audits(spec, in_turn(events, outs))
    assert clean(found)
    share = compared(found) / sum(record.stream is PREDICTIONS for record in outs)
    assert 0.2 < share < 0.4


def test_a_frequency_is_counted_over_all_keys() -> None:
    shop = {"hue": {"type": "category", "encode": "frequency"}}
    spec = problem(audit={"share": 0.5}, fields=shop)
    events = raw_events(13, 200, keys=9)
    found = audits(spec, in_turn(events, served(spec, events)))
    assert clean(found) and compared(found)


def test_a_share_of_nothing_audits_nothing() -> None:
    events = raw_events(1, 20)
    spec = problem(audit={"share": 0})
    assert audits(spec, in_turn(events, served(spec, events))) == []


def test_a_prediction_without_its_event_is_unmatched_in_bounded_memory() -> None:
    spec = problem()
    auditor = Auditor(spec)
    events = raw_events(7, 10)
    outs = served(spec, events)
    said = next(record for record in outs if record.stream is PREDICTIONS).value
    ghosts = [
        Record(PREDICTIONS, Prediction(
            id=f"ghost{n}", time=START, prediction=1, model="v1", features=said.features,
            feature_set=said.feature_set, key="k0",
        )) for n in range(MOST_WAITING + 3)
    ]  # fmt: skip
    found = [out.value for out in auditor.handle([*ghosts, *in_turn(events, outs)])]
    assert sum(audit.unmatched for audit in found) >= 3
    assert not any(audit.features for audit in found)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_it_is_a_stage(share: float) -> None:
    from services.auditor import SERVICE

    spec = problem(audit={"share": share, "window": "1h"}, events={"max_keys": 6})
    events = raw_events(17, 150, keys=8)
    records = in_turn(events, served(spec, events))
    shuffled = [*records[1::2], *records[::2]]  # so that some wait at each cut
    outs = check_stage(SERVICE, lambda: Auditor(spec), shuffled, [1, 60, 149, 200])
    assert outs


LAGS: list[dict[str, Any]] = [
    {"kind": "lags", "field": "x", "by": [1, 3]},
    {"kind": "expression", "name": "up", "formula": "x - x_lag_1"},
    {"kind": "lags", "field": "up", "by": [2]},
]


@pytest.mark.parametrize(("features", "knows"), [(LAGS, True), (FEATURES, False)])
def test_an_auditor_that_began_later_accuses_nobody(
    features: list[dict[str, Any]], knows: bool
) -> None:
    """Of a log whose first events were dropped; it compares what no earlier event can change."""
    plain = {"x": {"type": "number", "coerce": True}, "n": {"type": "integer", "range": [-5, 5]}}
    spec = problem(features=features, fields=plain)
    events = raw_events(9, 240)
    outs = served(spec, events)
    late = [record for record in in_turn(events, outs) if record.seq >= 100]
    found = audits(spec, late)
    assert clean(found) and sum(audit.unfounded for audit in found) > 0
    assert (compared(found) > 0) == knows
    whole = sum(record.stream is PREDICTIONS for record in late)
    assert compared(found) + sum(audit.unfounded for audit in found) == whole
