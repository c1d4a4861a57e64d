"""Where time passes: a replay paced by a clock."""

import time
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from pathlib import Path

from services.collector.replay import Arrival, arrivals
from services.collector.sources.label_lines import label_lines
from services.collector.sources.reference_rows import reference_lines
from services.collector.sources.table import rows_of
from shared.errors import UsageError
from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s

_STEP_S = 0.05
"""Longest sleep at a time: whoever drives the replay looks at other things in between."""


def parse_speed(text: str) -> float | None:
    """`max` (None), or `60x`, `1x`, `0.5x`: event seconds per wall second.

    Raises:
        UsageError: it is neither.
    """
    if text == "max":
        return None
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < 1e9:
        raise UsageError(f"--speed {text}: write max, or a factor such as 60x or 1x")
    return speed


class Replay:
    """A file of events (None: the declared generator), one of labels and one of references where there
    are such, handed out when they are due. Tables of references that the problem file names lie in the
    directory `beside`.

    `speed` is event seconds per wall second; None: as fast as they are taken. The first arrival
    after `skip` sets the pace. The order depends neither on the speed nor on how many are taken.

    Raises:
        UsageError: a file is absent, in no known format, or does not fit the problem.
    """

    def __init__(
        self,
        events: Path | None,
        labels: Path | None,
        problem: Problem,
        speed: float | None = None,
        clock_s: Callable[[], float] = elapsed_s,
        sleep: Callable[[float], None] = time.sleep,
        references: Path | None = None,
        beside: Path | None = None,
    ) -> None:
        lines = label_lines(labels) if labels else ()
        facts = reference_lines(references, problem, beside)
        self._source = arrivals(rows_of(events, problem), problem, lines, facts)
        self._speed = speed
        self._clock_s = clock_s
        self._sleep = sleep
        self._next: Arrival | None = None
        self._origin: tuple[float, datetime] | None = None

    def skip(self, count: int) -> None:
        """Leave out the first `count` arrivals: those that are on the log already.

        Raises:
            UsageError: there are fewer; this is not the source that was replayed before.
        """
        skipped = sum(1 for _ in islice(self._source, count))
        if skipped < count:
            raise UsageError(
                f"The data directory holds {count} arrivals of a replay, the source gives only "
                f"{skipped}: it is not the same file. Use another --data-dir, or the first file."
            )

    def next(self, limit: int) -> list[Arrival] | None:
        """What is due now, at most `limit`; None after the last.

        When nothing is due it sleeps a little (50 ms at most) and may return an empty list.
        """
        if self._speed is None:
            return list(islice(self._source, limit)) or None
        if self._peek() is None:
            return None
        self._sleep(min(_STEP_S, self._wait_s()))
        batch: list[Arrival] = []
        while len(batch) < limit and (arrival := self._peek()) and self._wait_s() <= 0.0:
            batch.append(arrival)
            self._next = None
        return batch

    def _peek(self) -> Arrival | None:
        if self._next is None:
            self._next = next(self._source, None)
        if self._origin is None and self._next is not None:
            self._origin = self._clock_s(), self._next.time
        return self._next

    def _wait_s(self) -> float:
        """Wall seconds until the next arrival is due; 0 or less: now."""
        if self._speed is None or self._next is None or self._origin is None:
            return 0.0
        wall_s, began = self._origin
        event_s = (self._next.time - began).total_seconds()
        return max(0.0, wall_s + event_s / self._speed - self._clock_s())
