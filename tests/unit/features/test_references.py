"""Lookups against `pandas.merge_asof` over all that had arrived; and what is kept, and what is not."""

import json
from contextlib import suppress
from datetime import datetime
from itertools import permutations
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.auditor.reading import Reading
from shared.errors import Reject
from shared.features.feature_set import FeatureSet
from shared.features.references import ReferenceReader, References, Version
from shared.messages.streams import EVENTS
from shared.messages.types import Valid
from shared.problem.spec import Problem, ReferenceSpec
from shared.problem.times import EPOCH
from shared.stage import Record
from tests.kit.folding import save
from tests.kit.referring import START, problem, records

ALL = {"customers": {"keep": 1_000}}


def feed(features: FeatureSet, spec: Problem, record: Record) -> Valid | None:
    """Take a reference in; an event comes out as the validator would hand it on."""
    if record.stream is EVENTS:
        return Reading(spec).valid(record)
    version = None
    with suppress(Reject):
        version = ReferenceReader(spec).version(record.value, None, record.timestamp_ms)
    features.references.take(version, record.offset, record.timestamp_ms)
    return None


class Oracle:
    """Every reference that came, by hand; each lookup is a merge of one event with all of them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def take(self, record: Record) -> None:
        try:
            said = json.loads(record.value)
            limit = said.get("fields", {}).get("limit")
            fits = limit is None or (isinstance(limit, int | float) and 0 <= limit <= 1000)
            needed = said.get("removed") or {"segment", "limit"} <= said["fields"].keys()
            if not (fits and needed):
                return
        except (ValueError, KeyError):
            return
        arrival = START.fromtimestamp(record.timestamp_ms / 1000, START.tzinfo)
        time = datetime.fromisoformat(said["time"]) if "time" in said else arrival
        fields = said.get("fields", {})
        row = {"k": str(said["key"]), "time": time, "removed": bool(said.get("removed"))}
        row |= {"segment": fields.get("segment"), "limit": fields.get("limit")}
        self.rows = [r for r in self.rows if (r["k"], r["time"]) != (row["k"], time)] + [row]

    def find(self, key: Any, time: datetime) -> dict[str, Any] | None:
        if key is None or not self.rows:
            return None
        right = pd.DataFrame(self.rows).sort_values("time")
        left = pd.DataFrame({"k": [str(key)], "time": [time]})
        found = pd.merge_asof(left, right, on="time", by="k").iloc[0]
        if pd.isna(found["removed"]) or found["removed"]:
            return None
        return {n: None if pd.isna(found[n]) else found[n] for n in ("segment", "limit")}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_a_lookup_is_a_merge_as_of_the_events_time_with_what_had_arrived(
    seed: int, size: int
) -> None:
    spec = problem(**ALL)
    features, oracle = FeatureSet(spec), Oracle()
    limits: dict[str, list[float | None]] = {}
    for record in records(seed, size):
        valid = feed(features, spec, record)
        if valid is None:
            oracle.take(record)
            continue
        row, why = features.transform(valid), features.unfound(valid) or {}
        own = oracle.find(valid.fields["k"], valid.time)
        other = oracle.find(valid.fields["other"], valid.time)
        assert ("customers" in why, "o" in why) == (own is None, other is None)
        assert set(why.values()) <= {"missing"}
        segment, limit = (own or {}).get("segment"), (own or {}).get("limit")
        for value in ("gold", "basic"):
            is_it = None if segment is None else float(segment == value)
            assert row[f"customers_segment_is_{value}"] == is_it
        assert row["customers_segment_missing"] == float(segment is None)
        assert row["customers_limit"] == limit
        assert row["o_limit"] == (other or {}).get("limit")
        x = valid.fields["x"]
        assert row["over"] == (None if x is None or limit is None else x - limit)
        assert row["gold"] == (None if segment is None else float(segment == "gold"))
        before = limits.setdefault(valid.key or "", [])
        assert row["customers_limit_lag_1"] == (before[-1] if before else None)
        before.append(limit)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([{}, {"expire": "20m"}, {"max_keys": 2}]))
def test_saving_and_restoring_at_every_place_changes_nothing(
    seed: int, bounds: dict[str, Any]
) -> None:
    spec = problem(customers=bounds)
    stream, entries = records(seed, 60), dict[str, bytes]()
    whole, restored = FeatureSet(spec), FeatureSet(spec)
    for record in stream:
        valid = feed(whole, spec, record)
        again = feed(restored, spec, record)
        if valid is not None and again is not None:
            assert whole.unfound(valid) == restored.unfound(again)
            assert repr(whole.transform(valid)) == repr(restored.transform(again))
        save(restored, entries)
        restored = FeatureSet(spec)
        restored.restore(entries)
        assert restored.references.position == whole.references.position
        assert restored.references.forgotten == whole.references.forgotten


def table(**options: Any) -> References:
    declared = {"key": "k", "fields": {"x": {"type": "number"}}, **options}
    return References({"t": ReferenceSpec.model_validate(declared)})


def put(references: References, *said: tuple[str, int, float | None], at_ms: int = 0) -> None:
    for key, from_us, x in said:
        version = Version("t", key, from_us, None if x is None else [x])
        references.take(version, references.position, at_ms)


def found(references: References, key: str, time_us: int) -> Any:
    values, why = references.find("t", key, time_us)
    return why if values is None else values[0]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_versions_of_a_key_end_the_same_in_whatever_order_they_come(
    order: tuple[int, ...],
) -> None:
    versions = [("a", 10, 1.0), ("a", 20, 2.0), ("a", 30, None), ("a", 40, 4.0)]
    references = table(keep=3)
    put(references, *[versions[n] for n in order], *versions[:2])
    times = (5, 10, 19, 20, 29, 30, 39, 40, 99)
    expected = ["too_old"] * 3 + [2.0, 2.0, "missing", "missing", 4.0, 4.0]
    assert [found(references, "a", time) for time in times] == expected
    assert found(references, "b", 99) == "missing"


def test_the_first_version_is_no_guess_for_what_was_before() -> None:
    references = table()
    put(references, ("a", 10, 1.0))
    assert (found(references, "a", 9), found(references, "a", 10)) == ("missing", 1.0)


def test_a_correction_replaces_its_version() -> None:
    references = table()
    put(references, ("a", 10, 1.0), ("a", 20, 2.0), ("a", 10, 7.0))
    assert [found(references, "a", time) for time in (15, 25)] == [7.0, 2.0]


def test_what_was_superseded_long_ago_expires_and_what_holds_never() -> None:
    """By the arrival of references, for keys that no reference came for since, too."""
    references = table(expire="1ms")
    put(references, ("a", 0, 1.0), ("a", 2_000, 2.0), ("b", 0, 5.0), at_ms=2)
    assert [found(references, "a", time) for time in (1_000, 2_000)] == [1.0, 2.0]
    put(references, ("c", 0, 1.0), at_ms=3)
    assert [found(references, "a", time) for time in (1_000, 2_000)] == ["too_old", 2.0]
    assert found(references, "b", 0) == 5.0


def test_memory_is_bounded() -> None:
    """The key whose newest version came longest ago makes room; its entry is deleted."""
    references, entries = table(keep=2, max_keys=3), dict[str, bytes]()
    for n in range(400):
        put(references, (f"k{n % 7 if n < 300 else n % 3}", n, float(n)))
        for name, data in references.changes():
            if data is None:
                entries.pop(name, None)
            else:
                entries[name] = data
        assert len(entries) <= 4
    assert sum(map(len, entries.values())) < 300
    assert {name for name in entries if "/" in name} == {f"reference/t/k{n}" for n in range(3)}
    assert references.forgotten == 297 + 3


def test_a_copy_knows_the_same_and_goes_its_own_way() -> None:
    one, other = table(), table()
    put(one, ("a", 10, 1.0))
    put(other, ("z", 0, 9.0))
    list(other.changes())
    other.become(one)
    put(one, ("a", 10, 2.0))
    assert (found(other, "a", 10), found(other, "z", 0)) == (1.0, "missing")
    assert {name: data is None for name, data in other.changes()} == {
        "references": False, "reference/t/z": True, "reference/t/a": False,
    }  # fmt: skip


SAID: dict[str, Any] = {
    "reference": "customers",
    "key": "a",
    "fields": {"segment": "gold", "limit": 1},
}


@pytest.mark.parametrize(
    ("change", "check", "says"),
    [
        ({"reference": "custmers"}, "reference", "`customers`"),
        ({"reference": None}, "decode", "Expected `str`"),
        ({"key": None}, "decode", "key"),
        ({"key": ""}, "key", "0 characters"),
        ({"time": "yesterday"}, "decode", "RFC3339"),
        ({"time": "2024-01-01T00:00:00"}, "decode", "timezone"),
        ({"fields": {"segment": "gold"}}, "missing", "limit is missing"),
        ({"fields": {"segment": "silver", "limit": 1}}, "category", "gold, basic"),
        ({"fields": {"segment": "gold", "limit": 1001}}, "range", "0 to 1000"),
        ({"fields": {"segment": "gold", "limit": "1"}}, "type", "a number is expected"),
    ],
)
def test_a_reference_that_cannot_be_used_says_why(
    change: dict[str, Any], check: str, says: str
) -> None:
    with pytest.raises(Reject) as caught:
        ReferenceReader(problem()).version(json.dumps({**SAID, **change}).encode(), None, 0)
    assert caught.value.check == check
    assert says in caught.value.reason


def test_a_reference_without_a_time_holds_from_its_arrival_on_and_a_tombstone_says_nothing() -> (
    None
):
    reader = ReferenceReader(problem())
    assert reader.version(json.dumps(SAID).encode(), None, 7) == Version(
        "customers", "a", 7_000, ["gold", 1.0, None]
    )
    assert reader.version(b"", None, 7) is None


def test_definitions_that_look_up_otherwise_have_another_digest() -> None:
    digests = {
        FeatureSet(problem(customers=change)).digest
        for change in ({}, {"keep": 4}, {"expire": "1d"}, {"key": "other"})
    }
    assert len(digests) == 4


def test_an_event_far_behind_is_told_from_one_that_nothing_is_known_of() -> None:
    spec = problem(customers={"keep": 1})
    features = FeatureSet(spec)
    for n in range(2):
        version = Version("customers", "1", 1_000_000 * n, ["gold", 1.0, None])
        features.references.take(version, n, 0)
    fields = {"k": "1", "other": 2, "x": 1.0}
    assert features.unfound(Valid("e", START, fields, "1")) == {"o": "missing"}
    old = Valid("e", EPOCH, fields, "1")
    assert features.unfound(old) == {"customers": "too_old", "o": "missing"}
