"""Statistics over the newest events, or a stretch of event time up to now, of the same key.

A queue of two stacks (folklore; e.g. Tangwongsan, Hirzel, Schneider, "Low-latency sliding-window
aggregation in worst-case constant time", 2017, section 2): the *front* holds, for every ordinal
from `low` to `boundary`, the merged part from there to the boundary; the *back* is the merged part
from `boundary` on. Adding merges into the back, expiry pops the front, and an exhausted front is
rebuilt from the back's values: O(1) merges an event, amortised, with no subtraction.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.features.lags import finite
from shared.features.ordered import QUANTILES, Ordered
from shared.features.past import NEVER_US, Past, Plan
from shared.features.port import Row
from shared.features.statistics import MEASURES, OF_NOTHING, STATISTICS, Measure, Part
from shared.problem.spec import Window

HOUR_US = 3_600_000_000


class Outputs:
    """The features of one declared window, from its merged parts."""

    def __init__(self, spec: Window) -> None:
        known = [(column, name) for column, name in zip(spec.columns(), spec.of, strict=False)]
        merging = [(column, name) for column, name in known if name in STATISTICS]
        statistics = [*(name for _, name in merging), *(["mean"] if spec.minus_now else [])]
        kinds = list(dict.fromkeys(STATISTICS[name][0] for name in statistics))
        self.measures = [MEASURES[kind] for kind in kinds]
        self._outputs = [
            (column, kinds.index(STATISTICS[name][0]), STATISTICS[name][1], OF_NOTHING.get(name))
            for column, name in merging
        ]
        self._minus = (spec.columns()[-1], kinds.index("moments")) if spec.minus_now else None

    def with_value(self, parts: list[Part] | None, x: float, value: float) -> list[Part] | None:
        """`parts` and a later value at the place `x`."""
        later = [measure.lift(x, value) for measure in self.measures]
        return merged(self.measures, parts, later)

    def write(self, row: Row, parts: list[Part] | None, value: float | None) -> None:
        """Put the features into `row`; `value` is the event's own."""
        for column, index, finish, nothing in self._outputs:
            part = parts[index] if parts else None
            result = nothing if part is None else finish(part)
            row[column] = None if result is None else finite(result)
        if self._minus:
            column, index = self._minus
            row[column] = None
            if parts is not None and value is not None:
                row[column] = finite(value - parts[index][2])


class WindowValues:
    """The statistics of one declared window."""

    def __init__(self, spec: Window, plan: Plan) -> None:
        self._field = spec.field
        self._now = spec.include_now
        self._before_us = _before_us(spec)
        size = spec.limit if spec.size is None else spec.size
        self._keep = size - 1 if spec.include_now else size
        self._outputs = Outputs(spec)
        self._column = plan.column(spec.field, self._keep + 1)
        if self._timed:
            plan.times(self._keep + 1)
        measures = self._outputs.measures
        self._state = plan.window(lambda: TwoStacks(measures, self._column, self._timed))
        self._in_order = [
            (column, QUANTILES.get(name))
            for column, name in zip(spec.columns(), spec.of, strict=False)
            if name == "distinct" or name in QUANTILES
        ]
        self._ordered = plan.window(lambda: Ordered(self._column)) if self._in_order else None

    @property
    def _timed(self) -> bool:
        return self._before_us is not None

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        state: TwoStacks = past.windows[self._state]
        low = self._low(state, past)
        state.advance(past, low)
        value = row[self._field]
        if self._ordered is not None:
            self._write_ordered(row, past, low, value)
        x = state.place(past, past.events)
        parts = state.parts()
        if value is not None:
            state.push(x, value)
            if self._now:
                parts = self._outputs.with_value(parts, x, value)
        self._outputs.write(row, parts, value)

    def _write_ordered(self, row: Row, past: Past, low: int, value: float | None) -> None:
        assert self._ordered is not None
        ordered: Ordered = past.windows[self._ordered]
        ordered.advance(past, low)
        beside = value if self._now else None
        for column, share in self._in_order:
            if share is None:
                row[column] = float(ordered.differing(beside))
            else:
                result = ordered.quantile(share, beside)
                row[column] = None if result is None else finite(result)
        if value is not None:
            ordered.push(value)

    def _low(self, state: "TwoStacks", past: Past) -> int:
        """The first ordinal that still counts."""
        events = past.events
        low = max(state.low, events - self._keep)
        if self._before_us is not None:
            expired = self._before_us(past)
            times, base = past.times, events - len(past.times)
            while low < events and times[low - base] <= expired:
                low += 1
        return low


def _before_us(spec: Window) -> Callable[[Past], int] | None:
    """The newest time that is out of the window at an event; None: the window goes by events."""
    width = spec.span or spec.tumbling or spec.session or timedelta(0)
    width_us = width // timedelta(microseconds=1)

    def session_us(past: Past) -> int:
        """All or nothing: the event is too far from the one before it, or not."""
        newest_us = past.times[-1] if past.times else NEVER_US
        return newest_us if past.time_us - newest_us > width_us else NEVER_US

    if spec.span is not None:
        return lambda past: past.time_us - width_us
    if spec.tumbling is not None:
        return lambda past: past.time_us // width_us * width_us - 1
    return session_us if spec.session is not None else None


class TwoStacks:
    """The window's merged parts, one a measure; None where there is no value.

    Places in time are hours from the event at the boundary: from 1970 they would be known to no better
    than 6e-11, and a short window's slope to 1e-6.
    """

    __slots__ = (
        "_back", "_column", "_front", "_measures", "_origin_us", "_timed", "boundary", "low",
    )  # fmt: skip

    def __init__(self, measures: list[Measure], column: int, timed: bool) -> None:
        self.low = 0
        self.boundary = 0
        self._measures = measures
        self._column = column
        self._timed = timed
        self._front: list[list[Part] | None] = []
        self._back: list[Part] | None = None
        self._origin_us: int | None = None

    def parts(self) -> list[Part] | None:
        """Merged over all values from `low` on."""
        return merged(self._measures, self._front[-1] if self._front else None, self._back)

    def push(self, x: float, value: float) -> None:
        """Add the newest value, at the place `x`."""
        later = [measure.lift(x, value) for measure in self._measures]
        self._back = merged(self._measures, self._back, later)

    def advance(self, past: Past, low: int) -> None:
        """Drop what lies before the ordinal `low`."""
        if low == self.low:
            return
        self.low = low
        if low < self.boundary:
            del self._front[self.boundary - low :]
        else:
            self.boundary, self._origin_us = past.events, None
            self._back = None
            self._fill_front(past)

    def rebuild(self, past: Past) -> None:
        """See `WindowState`."""
        self._origin_us, self._back = None, None
        self._fill_front(past)
        for ordinal in range(self.boundary, past.events):
            self._back = merged(self._measures, self._back, self._lift(past, ordinal))

    def _fill_front(self, past: Past) -> None:
        front: list[list[Part] | None] = []
        parts: list[Part] | None = None
        for ordinal in range(self.boundary - 1, self.low - 1, -1):
            parts = merged(self._measures, self._lift(past, ordinal), parts)
            front.append(parts)
        self._front = front

    def _lift(self, past: Past, ordinal: int) -> list[Part] | None:
        place = ordinal - past.events
        value = past.columns[self._column][place]
        if value != value:
            return None
        x = self.place(past, ordinal)
        return [measure.lift(x, value) for measure in self._measures]

    def place(self, past: Past, ordinal: int) -> float:
        """Where a value stands: hours from the event at the boundary, or the ordinal."""
        if not self._timed:
            return float(ordinal)
        if self._origin_us is None:
            self._origin_us = _time_us(past, self.boundary)
        return (_time_us(past, ordinal) - self._origin_us) / HOUR_US


def _time_us(past: Past, ordinal: int) -> int:
    """When an event came; the one at hand comes after all that are remembered."""
    return past.time_us if ordinal == past.events else past.times[ordinal - past.events]


def merged(
    measures: list[Measure], a: list[Part] | None, b: list[Part] | None
) -> list[Part] | None:
    """`a` (earlier) and `b` (later) joined; None is nothing."""
    if a is None:
        return b
    if b is None:
        return a
    return [measure.merge(x, y) for measure, x, y in zip(measures, a, b, strict=True)]
