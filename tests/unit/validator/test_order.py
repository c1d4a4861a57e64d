"""Checks that look beyond one event: watermarks, windows of events; patterns and environments."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.validator import SERVICE
from services.validator.core import Validator
from shared.messages.streams import VALID
from shared.messages.types import Valid
from shared.problem.patterns import matcher
from shared.stage import Record
from tests.kit.check_stage import check_stage
from tests.unit.validator.events import FIELDS, changed, problem, record

START = datetime(2024, 1, 1, tzinfo=UTC)


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


def arriving(minutes: list[tuple[int, int, int]]) -> list[Record]:
    """Records of (partition, event time, arrival), in minutes; each event has a key of its own."""
    return [
        replace(
            record(changed(id=f"e{n}", at=at(time), region="NSW", note=f"k{n}"), n),
            partition=partition,
            timestamp_ms=int((START + timedelta(minutes=arrival)).timestamp() * 1000),
        )
        for n, (partition, time, arrival) in enumerate(minutes)
    ]


LATE = {"key": "note", "allow_late": "10m", "idle_after": "60m"}


def test_late_is_told_by_the_partitions_watermark() -> None:
    stage = Validator(problem(**LATE))
    found = list(stage.handle(arriving([
        (0, 100, 0), (0, 90, 1), (0, 89, 2),  # ten minutes behind are allowed
        (1, 5, 3),  # another partition has a watermark of its own
        (0, 99, 4), (0, 120, 5), (0, 109, 6),
    ])))  # fmt: skip
    assert [out.stream is VALID for out in found] == [1, 1, 0, 1, 1, 1, 0]
    assert found[2].value.check == found[6].value.check == "late"
    assert "partition 0 is 2024-01-01T01:40:00Z; events.allow_late is 10m" in found[2].value.reason


def test_an_idle_partition_has_no_watermark() -> None:
    stage = Validator(problem(**LATE))
    rows = [
        (0, 100, 0),
        (1, 100, 0),
        (0, 20, 60),
        (0, 20, 61),
        (0, 15, 62),
        (0, 9, 63),
        (1, 99, 99),
    ]
    found = list(stage.handle(arriving(rows)))
    assert [out.stream is VALID for out in found] == [1, 1, 0, 1, 1, 0, 1]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 30)), max_size=40),
    st.integers(0, 40),
)
def test_watermarks_agree_with_a_list_of_all_events(
    rows: list[tuple[int, int, int]], cut: int
) -> None:
    """Arrival only goes on; the state is saved and restored at `cut`."""
    arrival, accepted, entries = 0, list[tuple[int, int, int]](), dict[str, bytes]()
    spec = problem(key="note", allow_late="10m", idle_after="25m", allow_backwards="9d")
    stage, expected, found = Validator(spec), list[bool](), list[bool]()
    timed = []
    for partition, time, wait in rows:
        arrival += wait
        timed.append((partition, time, arrival))
    for n, one in enumerate(arriving(timed)):
        partition, time, arrival = timed[n]
        mine = [old for old in accepted if old[0] == partition]
        begun = max(
            (i for i in range(1, len(mine)) if mine[i][2] - mine[i - 1][2] > 25), default=0
        )
        mine = mine[begun:] if mine and arrival - mine[-1][2] <= 25 else []
        expected.append(all(time >= old[1] - 10 for old in mine))
        if expected[-1]:
            accepted.append(timed[n])
        if n == cut:
            entries |= {k: v for k, v in stage.changes() if v is not None}
            stage = Validator(spec)
            stage.restore(entries)
        (out,) = stage.handle([one])
        found.append(out.stream is VALID)
    assert found == expected


@pytest.fixture
def ours() -> Iterator[ModuleType]:
    module = ModuleType("our_windows")
    sys.modules["our_windows"] = module
    yield module
    del sys.modules["our_windows"]


def test_a_function_sees_the_newest_accepted_events_of_the_key(ours: ModuleType) -> None:
    seen: list[list[float]] = []

    def jump(rows: list[Any]) -> bool | str:
        prices = [row["price"] for row in rows]
        seen.append(prices)
        if len(prices) > 1 and abs(prices[-1] - prices[-2]) > 0.5:
            return f"the price jumps from {prices[-2]} to {prices[-1]}"
        return True

    ours.__dict__["jump"] = jump
    spec = problem(checks=[{"name": "jump", "function": "our_windows:jump", "window": 3}])
    prices = [("NSW", 0.1), ("NSW", 0.9), ("VIC", 0.9), ("NSW", 0.3), ("NSW", 0.5), ("NSW", 0.7)]
    events = [changed(id=str(n), region=r, price=p) for n, (r, p) in enumerate(prices)]
    stage = Validator(spec)
    found = [o.value for o in stage.handle([record(event, n) for n, event in enumerate(events)])]
    assert [isinstance(value, Valid) for value in found] == [1, 0, 1, 1, 1, 1]
    assert (found[1].check, found[1].reason) == ("jump", "the price jumps from 0.1 to 0.9")
    assert seen == [[0.1], [0.1, 0.9], [0.9], [0.1, 0.3], [0.1, 0.3, 0.5], [0.3, 0.5, 0.7]]


def test_windows_keep_the_contract_of_a_stage_and_few_keys(ours: ModuleType) -> None:
    ours.__dict__["rise"] = lambda rows: len(rows) < 3 or rows[-1]["price"] >= rows[0]["price"]
    spec = problem(
        checks=[{"name": "rise", "function": "our_windows:rise", "window": 3}],
        max_keys=2, key="note", allow_late="1h",
    )  # fmt: skip
    events = [
        changed(id=str(n), at=at(n), note=f"k{n * n % 5}", price=n * 7 % 10 / 10, ended=n)
        for n in range(60)
    ]
    records = [record(event, n) for n, event in enumerate(events)]
    check_stage(SERVICE, lambda: Validator(spec), records, range(0, 61, 5))
    stage = Validator(spec)
    list(stage.handle(records))
    kept = [name for name, value in stage.changes() if name.startswith("recent/") and value]
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [("[A-Z]{3}", "ABC", True), ("[A-Z]{3}", "ABCD", False), ("a|b", "ab", False),
     (r"\d+", "12\n", False), ("", "", True), ("(a*)*b", "a" * 50_000, False)],
)  # fmt: skip
def test_patterns_match_the_whole_text_in_linear_time(pattern: str, text: str, fits: bool) -> None:
    assert matcher(pattern)(text) is fits


def test_a_field_with_a_pattern() -> None:
    fields = FIELDS | {
        "note": {"type": "text", "required": False, "pattern": "[a-z]+-[0-9]+"},
        "shop": {"type": "category", "encode": "hash", "pattern": "[0-9]+", "required": False},
    }
    stage = Validator(problem(fields))
    rows: list[dict[str, Any]] = [{"note": "a-1"}, {"note": "a-1x"}, {"note": None}, {"shop": 77}]
    events = [record(changed(id=str(n), **row), n) for n, row in enumerate([*rows, {"shop": "x"}])]
    found = [out.value for out in stage.handle(events)]
    assert [getattr(value, "check", None) for value in found] == [
        None, "pattern", None, None, "pattern",
    ]  # fmt: skip
    assert found[1].reason == ('note is "a-1x"; a text that matches [a-z]+-[0-9]+ is expected')


def test_a_field_may_be_absent_in_an_environment() -> None:
    fields = FIELDS | {"must": FIELDS["must"] | {"absent_in": ["serving"]}}
    stage = Validator(problem(fields, environment="from"))
    events = [
        changed(must=..., **more) for more in ({"from": "serving"}, {"from": "training"}, {})
    ]
    found = [out.value for out in stage.handle([record(e, n) for n, e in enumerate(events)])]
    assert [getattr(value, "check", None) for value in found] == [None, "missing", "missing"]
    assert "from" not in found[0].fields and found[0].fields["must"] is None
    assert found[0].source == "serving"


def test_outliers_by_the_past_of_the_key_are_rejected() -> None:
    fields = FIELDS | {"must": {"type": "number", "outliers": "reject", "outlier_limit": 4.0}}
    spec = problem(fields)
    values = [*[n % 7 / 7 for n in range(60)], 40.0, 0.5, 3.9, None]
    events = [changed(id=f"e{n}", at=at(n), must=value) for n, value in enumerate(values)]
    records = [record(event, n) for n, event in enumerate(events)]
    found = check_stage(SERVICE, lambda: Validator(spec), records, [0, 31, 61, 64])
    assert [n for n, out in enumerate(found) if out.stream is not VALID] == [60, 62]
    assert (found[60].value.check, found[60].value.field) == ("outlier", "must")
    assert "must is 40, more than 4 deviations" in found[60].value.reason
    list((stage := Validator(spec)).handle(records))
    (other,) = stage.handle([record(changed(id="v", region="VIC", must=40.0), 99)])
    assert other.stream is VALID, "another key has a past of its own"
