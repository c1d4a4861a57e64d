"""A file as a stream: events, labels, references, ticks in the order in which life would bring them."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Literal, NamedTuple

from services.collector.sources.reference_rows import ReferenceLine
from services.collector.sources.row import LabelLine, Row
from shared.messages.codec import encode
from shared.messages.streams import CONTROL, EVENTS, LABELS, REFERENCES, Stream
from shared.messages.types import Control, Label, Value
from shared.problem.spec import Problem

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Event time of the first event where the problem file names no time column; then 1 s an event."""
MOST_TICKS = 10_000
"""A longer silence in event time gets only its last ticks: one wild time must not flood the log."""
BY = "replay"
"""Who says `start`, `tick` and `end`: marks the control records that come from here."""

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_LABEL, _LABEL_LINE, _REFERENCE, _TICK = range(4)


class Arrival(NamedTuple):
    """One input as it arrives: `time` is when (event time in a replay, wall time over HTTP)."""

    stream: Stream
    key: str | None
    value: bytes
    time: datetime
    headers: Mapping[str, bytes] | None = None


class _Due(NamedTuple):
    """Waits for its time. At the same time: labels of rows, labels of the file, references, ticks."""

    time: datetime
    rank: int
    order: int
    key: str | None
    value: bytes


def arrivals(
    rows: Iterable[Row],
    problem: Problem,
    labels: Iterable[LabelLine] = (),
    references: Iterable[ReferenceLine] = (),
) -> Iterator[Arrival]:
    """Events with their labels and ticks between them, the same sequence each time.

    First a control `start` (details: mode replay), last a control `end`. A row's label is sent
    `label.delay` after its event time, before an event of the same or a later time; with
    `label.delay_events` d, right before the d-th event after its own (0: right after its own, as 1).
    A tick comes at each multiple of `source.tick` of event time, after the labels of that time,
    before its events. Lines of `labels` come by their time, those without one at the end; the ones
    with a time must stand first. `references` come by their time, in their order, before the ticks
    and events of that time: older ones than the first event before it, newer ones than the last
    never. Event time never goes back here: an event with an earlier time, or without a usable one,
    arrives when its predecessor did. So does one that is further ahead of the next row than
    `events.allow_ahead`: one wild time does not move the clock. An event without an id is named
    `{problem}.events:0:{n}`, n counting events from 0, which is its place on the log.
    """
    return _Replay(problem, labels, references).run(rows)


class _Replay:
    def __init__(
        self, problem: Problem, labels: Iterable[LabelLine], references: Iterable[ReferenceLine]
    ) -> None:
        self._topic = f"{problem.name}.events:0"
        self._timed = problem.events.time is not None
        self._ahead = problem.events.allow_ahead
        self._delay = problem.label.delay
        self._delay_events = problem.label.delay_events
        self._tick = problem.source.tick if problem.source else timedelta(hours=1)
        self._lines = iter(labels)
        self._references = iter(references)
        self._untimed: LabelLine | None = None
        self._due: list[_Due] = []
        self._labels_due = 0
        self._by_count: deque[tuple[int, str, Value]] = deque()
        self._now = BEGINNING

    def run(self, rows: Iterable[Row]) -> Iterator[Arrival]:
        """The whole replay."""
        started = False
        for n, (row, after) in enumerate(_with_next(rows)):
            at = self._time(n, row, after)
            if not started:
                started = True
                yield from self._start(at or BEGINNING)
            yield from self._until(at if at is not None and at > self._now else self._now)
            while self._by_count and self._by_count[0][0] <= n:
                yield self._counted()
            yield Arrival(EVENTS, row.key or row.id, row.event, self._now)
            if row.label is not None:
                self._remember(n, row.id or f"{self._topic}:{n}", row.label, at or self._now)
        if not started:
            yield from self._start(BEGINNING)
        yield from self._finish()

    def _time(self, n: int, row: Row, after: Row | None) -> datetime | None:
        """Event time; None when the clock should not heed it."""
        if not self._timed:
            return BEGINNING + timedelta(seconds=n)
        if self._ahead is None or row.time is None or after is None or after.time is None:
            return row.time
        return None if row.time - after.time > self._ahead else row.time

    def _start(self, now: datetime) -> Iterator[Arrival]:
        self._now = now
        yield _control("start", now, {"mode": "replay"})
        self._push_tick(self._ticks_until(now) + 1)
        self._push_line()
        self._push_reference()

    def _remember(self, n: int, name: str, label: Value, at: datetime) -> None:
        if self._delay_events is not None:
            self._by_count.append((n + self._delay_events, name, label))
            return
        time = _later(at, self._delay)
        heappush(self._due, _Due(time, _LABEL, n, name, encode(Label(name, label, time))))
        self._labels_due += 1

    def _counted(self) -> Arrival:
        _, name, label = self._by_count.popleft()
        return Arrival(LABELS, name, encode(Label(name, label, self._now)), self._now)

    def _until(self, now: datetime) -> Iterator[Arrival]:
        """What is due up to `now`, at its own time; then it is `now`."""
        while self._due and self._due[0].time <= now:
            due = heappop(self._due)
            if due.rank == _TICK:
                passed_over = self._ticks_until(now) - MOST_TICKS
                if due.order > passed_over:
                    self._now = max(self._now, due.time)
                    yield Arrival(CONTROL, None, due.value, self._now)
                self._push_tick(max(due.order, passed_over) + 1)
                continue
            self._now = max(self._now, due.time)
            if due.rank == _REFERENCE:
                yield Arrival(REFERENCES, due.key, due.value, self._now)
                self._push_reference()
                continue
            self._labels_due -= 1
            yield Arrival(LABELS, due.key, due.value, self._now)
            if due.rank == _LABEL_LINE:
                self._push_line()
        self._now = now

    def _finish(self) -> Iterator[Arrival]:
        while self._labels_due:
            last = max(due.time for due in self._due if due.rank < _REFERENCE)
            yield from self._until(max(self._now, last))
        while self._by_count:
            yield self._counted()
        if self._untimed is not None:
            yield Arrival(LABELS, self._untimed.id, self._untimed.value, self._now)
        for line in self._lines:
            yield Arrival(LABELS, line.id, line.value, self._now)
        yield _control("end", self._now, {})

    def _ticks_until(self, now: datetime) -> int:
        return (now - _1970) // self._tick if self._tick else 0

    def _push_tick(self, count: int) -> None:
        """The tick number `count` since 1970 is due."""
        if not self._tick:
            return
        try:
            time = _1970 + count * self._tick
        except OverflowError:
            return
        heappush(self._due, _Due(time, _TICK, count, None, _control("tick", time, {}).value))

    def _push_line(self) -> None:
        line = next(self._lines, None)
        if line is None or line.time is None:
            self._untimed = line
            return
        heappush(self._due, _Due(line.time, _LABEL_LINE, 0, line.id, line.value))
        self._labels_due += 1

    def _push_reference(self) -> None:
        """The next reference is due; not before the one before it."""
        line = next(self._references, None)
        if line is not None:
            time = self._now if line.time is None else max(line.time, self._now)
            heappush(self._due, _Due(time, _REFERENCE, 0, line.key, line.value))


def _with_next(rows: Iterable[Row]) -> Iterator[tuple[Row, Row | None]]:
    row: Row | None = None
    for after in rows:
        if row is not None:
            yield row, after
        row = after
    if row is not None:
        yield row, None


def _control(
    command: Literal["start", "tick", "end"], time: datetime, details: dict[str, str]
) -> Arrival:
    value = encode(Control(command=command, time=time, by=BY, details=dict(details)))
    return Arrival(CONTROL, None, value, time)


def _later(time: datetime, delay: timedelta) -> datetime:
    try:
        return time + delay
    except OverflowError:
        return _LAST
