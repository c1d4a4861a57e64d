"""What is remembered of one key: the newest values of some columns, windows, values to fill in.

A `Plan` is filled while the operators are built and says what every `Past` holds. Values are kept
by *ordinal*, the number of the event within its key. Memory per key: at most
`depth + max(64, depth / 4) + 64` numbers of 8 bytes a column, and each window's front
(see `windows.py`).

As state, a key is a head (counters, fills, window bounds) and chunks of `CHUNK` events: saving costs
what was added. Windows are rebuilt from the values, bit for bit.
"""

from array import array
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from math import nan
from typing import Any, Protocol

import msgspec

from shared.problem.times import microseconds, time_at

CHUNK = 64
"""Events in one state entry."""
NEVER_US = -(2**62)
"""Before every time, in microseconds."""
NEVER = datetime.min.replace(tzinfo=UTC)
"""Before every time."""


_NO_TIMES: "array[int]" = array("q")
_NO_FILLS: list[Any] = []
"""Shared by the pasts of a plan that keeps none: with a million keys every object counts."""


class WindowState(Protocol):
    """A window's memory; everything but its bounds follows from the columns."""

    low: int
    boundary: int

    def rebuild(self, past: "Past") -> None:
        """Derive everything from `low`, `boundary` and the columns."""
        ...


class Plan:
    """What operators need from the past of a key."""

    def __init__(self) -> None:
        self.depths: dict[str, int] = {}
        self.time_depth = 0
        self.depth = 0
        """The deepest column's."""
        self.windows: list[type[WindowState] | Any] = []
        self.fills: list[Any] = []
        """The empty named tuples."""

    def column(self, name: str, depth: int) -> int:
        """Remember the last `depth` values of `name`; the column's index."""
        self.depths[name] = max(depth, self.depths.get(name, 0))
        self.depth = max(self.depth, depth)
        return list(self.depths).index(name)

    def times(self, depth: int) -> None:
        """Remember the times of the last `depth` events."""
        self.time_depth = max(self.time_depth, depth)
        self.depth = max(self.depth, depth)

    def window(self, make: Any) -> int:
        """Keep one window state, made by `make()`; its index."""
        self.windows.append(make)
        return len(self.windows) - 1

    def fill(self, empty: tuple[Any, ...]) -> int:
        """Keep a named tuple, at first `empty`, of what msgpack can hold; its index."""
        self.fills.append(empty)
        return len(self.fills) - 1

    @property
    def empty(self) -> bool:
        """Whether no operator looks back."""
        return not (self.depths or self.time_depth or self.windows or self.fills)


class _Head(msgspec.Struct, array_like=True):
    time_us: int
    events: int
    first: int
    fills: list[Any]
    bounds: list[int]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Head).decode


class Past:
    """The past of one key. `events` is the ordinal of the next event.

    `time` is the newest event time; a late event counts as if it had come at that time.
    """

    __slots__ = (
        "_saved", "_time_us", "columns", "events", "fills", "first", "time", "times", "windows",
    )  # fmt: skip

    def __init__(self, plan: Plan) -> None:
        self.time = NEVER
        self._time_us: int | None = None
        self.events = 0
        self.columns = tuple(array("d") for _ in plan.depths)
        self.times = array("q") if plan.time_depth else _NO_TIMES
        self.windows: tuple[Any, ...] = tuple(make() for make in plan.windows)
        self.fills: list[Any] = list(plan.fills) if plan.fills else _NO_FILLS
        self.first = 0
        self._saved = 0

    @property
    def time_us(self) -> int:
        """`time` in microseconds since 1970 (costs more than to compare it: only where asked for)."""
        if self._time_us is None:
            self._time_us = microseconds(self.time)
        return self._time_us

    def move(self, time: datetime) -> None:
        """An event at `time` comes."""
        if time > self.time:
            self.time, self._time_us = time, None

    def append(self, row: Mapping[str, Any], plan: Plan) -> None:
        """Remember the event `row`, which has come at `time`."""
        self.events += 1
        if not plan.depth:
            return
        columns = self.columns
        for index, name in enumerate(plan.depths):
            value = row[name]
            columns[index].append(nan if value is None else value)
        if plan.time_depth:
            self.times.append(self.time_us)
        if not self.events % CHUNK:
            self._trim(plan)

    def changes(self, plan: Plan, key: str) -> Iterator[tuple[str, bytes | None]]:
        """Entries that changed since the last call."""
        if plan.depth:
            first = max(0, self.events - plan.depth) // CHUNK
            for chunk in range(self.first, min(first, -(-self._saved // CHUNK))):
                yield f"rows/{chunk}/{key}", None
            for chunk in range(max(first, self._saved // CHUNK), -(-self.events // CHUNK)):
                yield f"rows/{chunk}/{key}", self._chunk(plan, chunk)
            self.first = first
        self._saved = self.events or 1  # the head alone, where events are not counted
        bounds = [bound for window in self.windows for bound in (window.low, window.boundary)]
        head = _Head(self.time_us, self.events, self.first, [tuple(f) for f in self.fills], bounds)
        yield f"head/{key}", _encode(head)

    def entries(self, plan: Plan, key: str) -> Iterator[str]:
        """Names of the entries that were saved."""
        if self._saved:
            yield f"head/{key}"
        if plan.depth:
            for chunk in range(self.first, -(-self._saved // CHUNK)):
                yield f"rows/{chunk}/{key}"

    def restore(self, plan: Plan, key: str, entries: Mapping[str, bytes]) -> None:
        """Become the past that was saved."""
        head = _decode(entries[f"head/{key}"])
        self.move(time_at(max(head.time_us, microseconds(NEVER))))
        self.events, self.first = head.events, head.first
        self._saved = self.events
        for index, (empty, fill) in enumerate(zip(plan.fills, head.fills, strict=True)):
            self.fills[index] = type(empty)(*fill)
        last = -(-self.events // CHUNK) if plan.depth else 0
        for chunk in range(self.first, last):
            self._take(plan, entries[f"rows/{chunk}/{key}"])
        for column, depth in zip(self.columns, plan.depths.values(), strict=True):
            del column[:-depth]
        for window, (low, boundary) in zip(
            self.windows, list(pairwise(head.bounds))[::2], strict=True
        ):
            window.low, window.boundary = low, boundary
            window.rebuild(self)

    def _trim(self, plan: Plan) -> None:
        """Now and then: removing from the front of an array costs its length."""
        for column, depth in zip(self.columns, plan.depths.values(), strict=True):
            if len(column) > depth + max(CHUNK, depth >> 2):
                del column[:-depth]
        if len(self.times) > plan.time_depth + max(CHUNK, plan.time_depth >> 2):
            del self.times[: -plan.time_depth]

    def _chunk(self, plan: Plan, chunk: int) -> bytes:
        start, end = chunk * CHUNK, min((chunk + 1) * CHUNK, self.events)
        parts = [_slice(column, self.events, start, end, nan) for column in self.columns]
        if plan.time_depth:
            parts.append(_slice(self.times, self.events, start, end, 0))
        return b"".join(parts)

    def _take(self, plan: Plan, data: bytes) -> None:
        arrays: list[array[Any]] = [*self.columns, *([self.times] if plan.time_depth else [])]
        width = len(data) // len(arrays)
        for index, target in enumerate(arrays):
            target.frombytes(data[index * width : (index + 1) * width])


def _slice(values: "array[Any]", events: int, start: int, end: int, pad: float) -> bytes:
    """Ordinals `start` to `end` as bytes; those that are no longer kept as `pad`."""
    base = events - len(values)
    kept = values[max(0, start - base) : max(0, end - base)]
    return array(values.typecode, [pad] * (end - start - len(kept))).tobytes() + kept.tobytes()
