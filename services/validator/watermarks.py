"""How far event time has come on each partition (Akidau et al., "The Dataflow Model", VLDB 2015)."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

import msgspec

from shared.problem.spec import Events

_MARK = "watermark/"


class _Mark(NamedTuple):
    """The newest event time, and when the last accepted event arrived."""

    newest_us: int
    arrived_ms: int


_decode = msgspec.msgpack.Decoder(_Mark).decode


class Watermarks:
    """The watermark of each partition: its newest event time. Memory: two numbers a partition.

    A partition without an accepted event for `idle_after` (by time of arrival) is idle: it has none
    until the next one, so that a source that comes back with its backlog is heard.
    """

    def __init__(self, events: Events) -> None:
        late, idle = events.allow_late, events.idle_after
        self.counts = late is not None
        """Whether lateness is judged at all."""
        self._late_us = 0 if late is None else late // timedelta(microseconds=1)
        self._idle_ms = None if idle is None else idle // timedelta(milliseconds=1)
        self._marks: dict[int, _Mark] = {}
        self._dirty: dict[int, None] = {}

    def passed_us(self, partition: int, time_us: int, arrived_ms: int) -> int | None:
        """The watermark that an event is too far behind; None: it is in time."""
        mark = self._live(partition, arrived_ms)
        if mark is None or time_us >= mark.newest_us - self._late_us:
            return None
        return mark.newest_us

    def move(self, partition: int, time_us: int, arrived_ms: int) -> None:
        """An event was accepted."""
        mark = self._live(partition, arrived_ms)
        newest_us = time_us if mark is None else max(time_us, mark.newest_us)
        self._marks[partition] = _Mark(newest_us, arrived_ms)
        self._dirty[partition] = None

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """State entries that changed since the last call."""
        for partition in self._dirty:
            yield f"{_MARK}{partition}", msgspec.msgpack.encode(self._marks[partition])
        self._dirty.clear()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Become what was saved."""
        for name, value in entries.items():
            if name.startswith(_MARK):
                self._marks[int(name.removeprefix(_MARK))] = _decode(value)

    def _live(self, partition: int, arrived_ms: int) -> _Mark | None:
        mark = self._marks.get(partition)
        if mark is None or self._idle_ms is None:
            return mark
        return mark if arrived_ms - mark.arrived_ms <= self._idle_ms else None
