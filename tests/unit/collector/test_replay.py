import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.collector.replay import BEGINNING, MOST_TICKS, Arrival, arrivals
from services.collector.sources.row import LabelLine, Row
from services.collector.sources.table import rows_of
from shared.messages.streams import CONTROL, EVENTS, LABELS
from shared.problem.spec import Problem

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def problem_of(tick: Any = "1h", time: str | None = "at", **label: Any) -> Problem:
    return Problem.model_validate(
        {
            "name": "toy",
            "goal": "a test",
            "task": "binary",
            "source": {"path": "x.csv", "tick": tick},
            "events": {"id": "id", "time": time, "fields": {"x": {"type": "number"}}},
            "label": {"field": "y", "classes": [0, 1], **label},
        }
    )


def row(n: int, minutes: float | None, label: int | None = 1) -> Row:
    time = None if minutes is None else at(minutes)
    return Row(str(n).encode(), label, f"e{n}", time)


def short(arrival: Arrival) -> str:
    """An arrival as `what@minutes`."""
    minutes = (arrival.time - NOON) / timedelta(minutes=1)
    if arrival.stream is EVENTS:
        name = f"e{arrival.value.decode()}"
    elif arrival.stream is LABELS:
        name = "l" + json.loads(arrival.value)["id"]
    else:
        name = json.loads(arrival.value)["command"]
    return f"{name}@{minutes:g}"


def shorts(rows: list[Row], problem: Problem, labels: tuple[LabelLine, ...] = ()) -> str:
    return " ".join(map(short, arrivals(rows, problem, labels)))


def test_a_label_comes_after_its_delay_and_before_an_event_of_that_time() -> None:
    rows = [row(n, 30 * n) for n in range(3)]
    assert shorts(rows, problem_of(delay="30m")) == (
        "start@0 e0@0 le0@30 e1@30 le1@60 tick@60 e2@60 le2@90 end@90"
    )


def test_without_a_delay_a_label_follows_its_event() -> None:
    rows = [row(n, n) for n in range(3)]
    assert shorts(rows, problem_of()) == (
        "start@0 e0@0 le0@0 e1@1 le1@1 e2@2 le2@2 end@2"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (0, "e0@0 le0@1 e1@1 le1@2 e2@2 le2@3 e3@3 le3@3"),
        (1, "e0@0 le0@1 e1@1 le1@2 e2@2 le2@3 e3@3 le3@3"),
        (3, "e0@0 e1@1 e2@2 le0@3 e3@3 le1@3 le2@3 le3@3"),
        (9, "e0@0 e1@1 e2@2 e3@3 le0@3 le1@3 le2@3 le3@3"),
    ],
)
def test_a_delay_counted_in_events(delay: int, expected: str) -> None:
    rows = [row(n, n) for n in range(4)]
    assert shorts(rows, problem_of(delay_events=delay)) == f"start@0 {expected} end@3"


def test_time_never_goes_back_and_rows_without_time_arrive_with_their_predecessor() -> None:
    rows = [row(0, 10), row(1, 0), row(2, None), row(3, 20)]
    assert shorts(rows, problem_of(delay="5m")) == (
        "start@10 e0@10 e1@10 le1@10 e2@10 le0@15 le2@15 e3@20 le3@25 end@25"
    )


def test_a_first_row_without_time_stands_at_the_beginning() -> None:
    times = [arrival.time for arrival in arrivals([row(0, None), row(1, 0)], problem_of(tick=0))]
    assert times == [BEGINNING, BEGINNING, BEGINNING, NOON, NOON, NOON]


def test_rows_without_label_give_none() -> None:
    assert shorts([row(0, 0, None), row(1, 1, 0)], problem_of()) == (
        "start@0 e0@0 e1@1 le1@1 end@1"
    )


def test_without_a_time_column_events_are_a_second_apart() -> None:
    rows = [Row(str(n).encode(), None, None, None) for n in range(3)]
    found = list(arrivals(rows, problem_of(time=None)))
    times = [arrival.time for arrival in found if arrival.stream is EVENTS]
    assert times == [BEGINNING + timedelta(seconds=n) for n in range(3)]
    assert found[0].time == BEGINNING


def test_without_an_id_the_place_on_the_log_is_the_name() -> None:
    rows = [Row(b"{}", 1, None, at(0)), Row(b"garbage"), Row(b"{}", 0, None, at(1))]
    found = list(arrivals(rows, problem_of()))
    labels = [json.loads(arrival.value) for arrival in found if arrival.stream is LABELS]
    assert [label["id"] for label in labels] == ["toy.events:0:0", "toy.events:0:2"]
    assert [arrival.value for arrival in found if arrival.stream is EVENTS] == [
        b"{}", b"garbage", b"{}",
    ]  # fmt: skip


def test_ticks_are_multiples_of_the_tick_and_a_wild_time_does_not_flood() -> None:
    day = 24 * 60.0
    assert shorts([row(0, 10, None), row(1, 130, None)], problem_of()) == (
        "start@10 e0@10 tick@60 tick@120 e1@130 end@130"
    )
    rows = [row(0, 0), Row(b"1", 1, "e1", datetime(9999, 12, 31, 23, 59, tzinfo=UTC)), row(2, day)]
    found = list(arrivals(rows, problem_of(delay="1h")))
    ticks = [arrival.time for arrival in found if "tick" in short(arrival)]
    assert len(ticks) == MOST_TICKS
    assert ticks[-1] == datetime(9999, 12, 31, 23, tzinfo=UTC)
    assert Counter(arrival.stream for arrival in found)[LABELS] == 3
    assert "tick" not in shorts([row(0, 0), row(1, 999)], problem_of(tick=0))


def test_one_wild_time_does_not_move_the_clock_where_the_problem_file_bounds_it() -> None:
    rows = [row(0, 0), row(1, 9_999), row(2, 20), row(3, 900), row(4, 905)]
    problem = problem_of(tick=0, delay="15m")
    events = problem.events.model_copy(update={"allow_ahead": timedelta(minutes=30)})
    assert shorts(rows, problem.model_copy(update={"events": events})) == (
        "start@0 e0@0 e1@0 le0@15 le1@15 e2@20 le2@35 e3@900 e4@905 le3@915 le4@920 end@920"
    )


def test_control_records_name_their_mode_and_speaker() -> None:
    first, *_, last = arrivals([row(0, 0)], problem_of())
    assert json.loads(first.value) == {
        "command": "start", "time": "2024-01-01T12:00:00Z", "by": "replay",
        "details": {"mode": "replay"},
    }  # fmt: skip
    assert json.loads(last.value)["command"] == "end"
    assert (first.stream, first.key, last.stream) == (CONTROL, None, CONTROL)


def test_an_empty_source_starts_and_ends() -> None:
    found = list(arrivals([], problem_of()))
    assert [json.loads(arrival.value)["command"] for arrival in found] == ["start", "end"]


def line(name: str, minutes: float | None) -> LabelLine:
    time = None if minutes is None else at(minutes)
    return LabelLine(json.dumps({"id": name}).encode(), name, time)


def test_label_lines_come_by_their_time_the_others_last() -> None:
    labels = (line("a", -5), line("b", 10), line("c", 8), line("d", 30), line("e", None),
              LabelLine(b'{"id":"f"}', None, None))  # fmt: skip
    rows = [row(0, 0, None), row(1, 10, None), row(2, 20, None)]
    assert shorts(rows, problem_of(), labels) == (
        "start@0 la@0 e0@0 lb@10 lc@10 e1@10 e2@20 ld@30 le@30 lf@30 end@30"
    )


ROWS = st.lists(
    st.tuples(st.none() | st.integers(-30, 200), st.none() | st.integers(0, 1)), max_size=25
)


@settings(max_examples=150, deadline=None)
@given(shape=ROWS, delay=st.sampled_from([0, 1, 7, 60, 500]), tick=st.sampled_from([0, 10, 60]))
def test_the_order_is_that_of_a_slow_sort(
    shape: list[tuple[int | None, int | None]], delay: int, tick: int
) -> None:
    shape = [(0, 1), *shape]
    rows = [row(n, minutes, label) for n, (minutes, label) in enumerate(shape)]
    problem = problem_of(delay=f"{delay}m", tick=f"{tick}m")
    found = [short(arrival) for arrival in arrivals(rows, problem)]
    assert found == _slow(shape, delay, tick)


def _slow(shape: list[tuple[int | None, int | None]], delay: int, tick: int) -> list[str]:
    """Before each event everything that is due, sorted by time, labels before ticks."""
    now, clock, done = 0, 0, ["start@0"]
    waiting: list[tuple[int, int, int]] = []

    def advance(until: int) -> None:
        nonlocal clock
        ticks = [(t, 1, 0) for t in range(now + 1, until + 1) if tick and t % tick == 0]
        for due, rank, n in sorted([w for w in waiting if w[0] <= until] + ticks):
            clock = max(clock, due)
            done.append(f"{'tick' if rank else f'le{n}'}@{clock:g}")
        waiting[:] = [w for w in waiting if w[0] > until]
        clock = until

    for n, (minutes, label) in enumerate(shape):
        until = now if minutes is None else max(now, minutes)
        advance(until)
        now = until
        done.append(f"e{n}@{now:g}")
        if label is not None:
            waiting.append(((now if minutes is None else minutes) + delay, 0, n))
    advance(max([now, *(w[0] for w in waiting)]))
    return [*done, f"end@{clock:g}"]


@settings(max_examples=30, deadline=None)
@given(shape=ROWS, skipped=st.integers(0, 60))
def test_the_kth_arrival_is_always_the_same(
    shape: list[tuple[int | None, int | None]], skipped: int
) -> None:
    rows = [row(n, minutes, label) for n, (minutes, label) in enumerate(shape)]
    whole = list(arrivals(rows, problem_of(delay="7m")))
    rest = list(islice(arrivals(iter(rows), problem_of(delay="7m")), skipped, None))
    assert rest == whole[skipped:]


def test_the_example_from_end_to_end() -> None:
    folder = Path(__file__).parents[3] / "examples" / "electricity"
    events = {"id": "id", "time": "time", "key": "region", "fields": {}}
    label = {"field": "rises", "classes": [0, 1], "delay": "30m"}
    problem = Problem.model_validate(
        {"name": "e", "goal": "g", "task": "binary", "events": events, "label": label}
    )
    found = list(
        islice(arrivals(rows_of(folder / "electricity.parquet", problem), problem), 5_000)
    )
    streams = Counter(arrival.stream for arrival in found)
    assert streams[EVENTS] - streams[LABELS] in (0, 1)
    assert 0 <= streams[EVENTS] / 2 - streams[CONTROL] + 1 < 2
    times = [arrival.time for arrival in found]
    assert times == sorted(times)
    assert {arrival.key for arrival in found if arrival.stream is EVENTS} == {"NSW"}
