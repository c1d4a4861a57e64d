"""Every event is valid or rejected with a reason; nothing that comes in can do more."""

import json
import sys
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.validator import SERVICE
from services.validator.core import Validator
from shared.errors import UsageError
from shared.messages.codec import decode, encode
from shared.messages.streams import REJECTED, VALID
from shared.messages.types import Rejected, Valid
from shared.problem.spec import Problem
from shared.stage import Record
from tests.kit.check_stage import check_stage
from tests.unit.validator.events import FIELDS, GOOD, changed, problem, record


def outs(spec: Problem, *values: Any) -> list[Any]:
    stage = Validator(spec)
    return [o.value for o in stage.handle([record(value, n) for n, value in enumerate(values)])]


def only(value: Any, spec: Problem | None = None) -> Any:
    (out,) = outs(spec or problem(), value)
    return out


def raw(text: str) -> bytes:
    """The good event with `text` in place of the price."""
    return json.dumps(GOOD).replace("0.5", text).encode()


def test_a_good_event() -> None:
    valid = only(changed(extra={"a": [1, None]}, seats=3.0, ended=1_704_067_200))
    assert valid == Valid(
        "e1",
        datetime(2024, 1, 1, tzinfo=UTC),
        {
            "region": "NSW", "price": 0.5, "must": 1.0, "extra": {"a": [1, None]}, "seats": 3,
            "ended": "2024-01-01T00:00:00Z", "paid": None, "note": None,
        },
        "NSW",
    )  # fmt: skip
    assert decode(VALID, encode(valid)) == valid, "the same after a trip through the log"


@pytest.mark.parametrize(
    ("value", "check", "field", "reason"),
    [
        # what is no JSON object
        (b"\xff\x00garbage", "json", None, "not JSON"),
        (b"", "json", None, "empty"),
        (b" \n", "json", None, "empty"),
        (b"\x00", "json", None, "not JSON"),
        (b'{"id": "e1", "price": 0.', "json", None, "not JSON"),
        (b'{"id": "e1"', "json", None, "breaks off"),
        (b'{"id": "\xff"}', "json", None, "not UTF-8"),
        (b"[1]", "json", None, "a list"),
        (b"null", "json", None, "null"),
        (b"7", "json", None, "a number"),
        (b'"x"', "json", None, "text"),
        (b'{"id": "e1"} {"id": "e2"}', "json", None, "not JSON"),
        (raw("NaN"), "json", None, "NaN is not JSON"),
        (raw("Infinity"), "json", None, "Infinity is not JSON"),
        (raw("-Infinity"), "json", None, "-Infinity is not JSON"),
        (raw("nan"), "json", None, "nan is not JSON"),
        (raw('"\\uD83D"'), "json", None, "half of a surrogate pair"),
        (raw('"\xed\xa0\x80"').decode().encode("latin-1"), "json", None, "UTF-8"),
        # what JSON leaves open
        (raw("1e400"), "number", None, "too large"),
        (raw("9" * 30), "number", None, "too large"),
        (raw("9" * 5000), "number", None, "too large"),
        (raw("-" + "9" * 20), "number", None, "too large"),
        (raw('0.5, "x": {"y": [' + "9" * 30 + "]}"), "number", None, "too large"),
        (raw('0.5, "price": 0.6'), "duplicate_key", "price", '"price" stands twice'),
        (raw('0.5, "price" : 0.6'), "duplicate_key", "price", "twice"),
        (raw('0.5, "pric\\u0065": 0.6'), "duplicate_key", "price", "twice"),
        (raw('0.5, "price": ":\\":"'), "duplicate_key", "price", "twice"),
        (raw('0.5, "x": {"y": 1, "y": 2}'), "duplicate_key", "y", "twice"),
        (raw('0.5, "x": [{"y": 1, "y": 2}]'), "duplicate_key", "y", "twice"),
        (b"[" * 100_000, "depth", None, "nested"),
        (b'{"a":' * 50_000, "depth", None, "nested"),
        (raw("[" * 40 + "]" * 40), "depth", None, "nested"),
        (raw('"' + "x" * 1_000_000 + '"'), "size", None, "1,000,"),
        # id, time, key
        (changed(id=...), "id", "id", "id is missing"),
        (changed(id=None), "id", "id", "id is missing"),
        (changed(id=[1]), "id", "id", "text is expected"),
        (changed(id=""), "id", "id", "0 characters"),
        (changed(id="x" * 300), "id", "id", "300 characters"),
        (changed(at=...), "time", "at", "at is missing"),
        (changed(at="soon"), "time", "at", '"soon"'),
        (changed(at=True), "time", "at", "true"),
        (changed(at="0001-01-01T00:00:00+14:00"), "time", "at", "a time"),
        (changed(at=1e300), "time", "at", "a time"),
        (changed(region=...), "key", "region", "region is missing"),
        # fields
        (changed(price=...), "missing", "price", "requires it"),
        (changed(must=...), "missing", "must", "rejects that"),
        (changed(must=None), "missing", "must", "rejects that"),
        (changed(price="high"), "type", "price", 'price is "high"; a number is expected'),
        (changed(price=True), "type", "price", "a number is expected"),
        (changed(price=[1]), "type", "price", "a number is expected"),
        (changed(price={"a": 1}), "type", "price", "a number is expected"),
        (changed(price="0.5"), "type", "price", "a number is expected"),
        (changed(price=1.7), "range", "price", "price is 1.7; the problem file allows 0 to 1"),
        (changed(price=-3), "range", "price", "allows 0 to 1"),
        (changed(seats=0), "range", "seats", "allows 1 or more"),
        (changed(seats=2.5), "type", "seats", "a whole number is expected"),
        (changed(seats=2**63), "type", "seats", "a whole number is expected"),
        (changed(paid="yes"), "type", "paid", "true or false is expected"),
        (changed(paid=1), "type", "paid", "true or false is expected"),
        (changed(note=5), "type", "note", "text is expected"),
        (changed(note="\ud800"), "json", None, "half of a surrogate pair"),
        (changed(ended="never"), "type", "ended", "a time such as"),
        (changed(region="QLD"), "category", "region", 'region is "QLD"; the problem file allows NSW'),
    ],
)  # fmt: skip
def test_rejected_with_the_reason(value: Any, check: str, field: str | None, reason: str) -> None:
    out = only(value)
    assert isinstance(out, Rejected), out
    assert (out.check, out.field) == (check, field), out
    assert reason in out.reason
    assert (out.topic, out.partition, out.offset) == ("p.events", 2, 0)


def test_coercion_only_where_declared() -> None:
    fields = {name: spec | {"coerce": True} for name, spec in FIELDS.items()}
    spec = problem({**fields, "price": {"type": "number", "coerce": True}})
    texts = changed(price=" 0.25 ", seats="3", paid="True", note=5, must="1e0")
    valid = only(texts, spec)
    assert [valid.fields[n] for n in ("price", "seats", "paid", "note", "must")] == [
        0.25, 3, True, "5", 1.0,
    ]  # fmt: skip
    for bad in ("nan", "inf", "1_0", "", "0x1", "１"):
        found = only(changed(price=bad), spec)
        assert isinstance(found, Rejected) or found.fields["price"] == 1.0, bad


def test_categories_are_as_declared() -> None:
    fields = {
        "k": {"type": "text"},
        "size": {"type": "category", "categories": [1, 2]},
        "hue": {"type": "category", "categories": ["red", 3], "unseen": "other"},
        "shop": {"type": "category", "encode": "hash"},
    }
    spec = problem(fields, id=None, time=None, key=None)
    event = {"k": "x", "size": 1.0, "hue": 3, "shop": 7}
    assert only(event, spec).fields == {"k": "x", "size": 1, "hue": "3", "shop": "7"}
    assert only(event | {"hue": "blue"}, spec).fields["hue"] == "blue"
    assert only(event | {"size": True}, spec).check == "category"
    assert only(event | {"size": 1.5}, spec).check == "type"


def test_without_mapping_the_record_names_and_times_the_event() -> None:
    valid = only(
        {"price": 0.5}, problem({"price": {"type": "number"}}, id=None, time=None, key=None)
    )
    assert (valid.id, valid.key) == ("p.events:2:0", None)
    assert valid.time == datetime(2024, 1, 1, tzinfo=UTC)


def test_ids_and_keys_may_be_numbers() -> None:
    fields = {"shop": {"type": "integer"}}
    spec = problem(fields, key="shop", time=None)
    valid, twice = outs(spec, {"id": 5, "shop": 7}, {"id": 5.0, "shop": 7})
    assert (valid.id, valid.key, valid.fields) == ("5", "7", {"shop": 7})
    assert twice.check == "duplicate"


def test_duplicates_within_the_window() -> None:
    spec = problem(duplicate_window=3)
    ids = ["a", "b", "a", "c", "d", "a", "b"]
    found = outs(spec, *(changed(id=name) for name in ids))
    assert [isinstance(o, Valid) for o in found] == [1, 1, 0, 1, 1, 1, 1]
    assert found[2].reason == 'an event with the id "a" was there before'


def test_a_rejected_event_leaves_no_trace() -> None:
    bad, good = changed(price=9, at="2030-01-01T00:00:00Z"), changed()
    found = outs(problem(), bad, good)
    assert isinstance(found[1], Valid)


def test_time_goes_back_per_key() -> None:
    spec = problem(allow_backwards="10m")
    found = outs(
        spec,
        changed(id="1", at="2024-01-01T12:00:00Z"),
        changed(id="2", at="2024-01-01T11:55:00Z"),
        changed(id="3", at="2024-01-01T11:50:00Z"),
        changed(id="4", at="2024-01-01T11:49:59Z"),
        changed(id="5", at="2024-01-01T01:00:00Z", region="VIC"),
        changed(id="6", at="2024-01-01T13:00:00+02:00"),
    )
    assert [getattr(o, "late", None) for o in found] == [False, True, True, None, False, None]
    assert found[3].check == found[5].check == "backwards"
    assert "12:00:00Z" in found[3].reason and "10m" in found[3].reason


def test_time_ahead_of_its_arrival() -> None:
    spec = problem(allow_ahead="1h")
    assert isinstance(only(changed(at="2024-01-01T01:00:00Z"), spec), Valid)
    assert only(changed(at="2024-01-01T01:00:01Z"), spec).check == "ahead"


def test_checks() -> None:
    module = ModuleType("our_checks")
    module.__dict__.update(
        fine=lambda fields: True, nothing=lambda fields: None, no=lambda fields: False,
        text=lambda fields: f"price {fields['price']} on a holiday",
        broken=lambda fields: fields["absent"], greedy=lambda fields: fields.update(price=9),
    )  # fmt: skip
    sys.modules["our_checks"] = module
    try:

        def verdict(**check: Any) -> Any:
            return only(
                changed(ended="2024-01-01T01:00:00Z"), problem(checks=[{"name": "c", **check}])
            )

        assert isinstance(verdict(expression="price < 0.6 and isnull(seats)"), Valid)
        assert isinstance(verdict(expression="seats > 3"), Valid), "not known is no violation"
        assert isinstance(verdict(expression="ended > 1e9"), Valid)
        assert (
            verdict(expression="price > 0.6").reason
            == "the check c failed: price > 0.6 is not true"
        )
        assert verdict(expression="price > 0.6", reason="too cheap").reason == "too cheap"
        assert isinstance(verdict(function="our_checks:fine"), Valid)
        assert isinstance(verdict(function="our_checks:nothing"), Valid)
        assert verdict(function="our_checks:no").check == "c"
        assert verdict(function="our_checks:text").reason == "price 0.5 on a holiday"
        assert "KeyError" in verdict(function="our_checks:broken").reason
        assert "update" in verdict(function="our_checks:greedy").reason, "fields are read-only"
        with pytest.raises(UsageError, match="cannot be imported"):
            verdict(function="our_checks:absent")
        with pytest.raises(UsageError, match="cannot be imported"):
            verdict(function="no_such_module:absent")
    finally:
        del sys.modules["our_checks"]


def mixed(count: int) -> list[Record]:
    """Good and bad events: duplicates, late ones, garbage."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    values: list[Any] = []
    for n in range(count):
        at = start + timedelta(minutes=n - (20 if n % 7 == 3 else 0))
        event = changed(id=f"e{n - 5 if n % 11 == 5 else n}", at=at.isoformat())
        event["region"] = "VIC" if n % 3 else "NSW"
        values.append(b"{" if n % 13 == 4 else event | {"price": n % 10 / 8})
    return [record(value, n) for n, value in enumerate(values)]


def test_the_contract_of_a_stage() -> None:
    spec = problem(duplicate_window=7, allow_backwards="5m")
    found = check_stage(SERVICE, lambda: Validator(spec), mixed(60), range(0, 61, 3))
    checks = {o.value.check for o in found if o.stream is REJECTED}
    assert checks == {"json", "range", "duplicate", "backwards"}


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 300),
    st.lists(st.integers(0, 600), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
def test_the_window_of_ids_survives_any_saves(window: int, cuts: list[int], seed: int) -> None:
    """The oracle is the list of all ids."""
    import numpy as np

    spec = problem(duplicate_window=window)
    names = [f"n{n}" for n in np.random.default_rng(seed).integers(0, 2 * window, 600)]
    stage, entries, kept = Validator(spec), dict[str, bytes](), list[str]()
    for number, name in enumerate(names):
        if number in cuts:
            for key, value in stage.changes():
                if value is None:
                    entries.pop(key)
                else:
                    entries[key] = value
            stage = Validator(spec)
            stage.restore(entries)
        (out,) = stage.handle([record(changed(id=name), number)])
        assert (out.stream is VALID) == (name not in kept[-window:])
        if out.stream is VALID:
            kept.append(name)
    assert len(entries) <= window / 128 + 5


def test_saving_costs_what_changed() -> None:
    stage = Validator(problem())
    list(stage.handle([record(changed(id=f"e{n}"), n) for n in range(2_000)]))
    list(stage.changes())
    list(stage.handle([record(changed(id="more"), 2_000)]))
    assert sum(len(value or b"") for _, value in stage.changes()) < 1_500
    assert not list(stage.changes())
