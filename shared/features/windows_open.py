"""Windows that begin anew: tumbling tiles of event time, sessions; a key's memory is one merged part.

A tumbling window is the tile of event time (aligned to 1970) that the event lies in, as far as it has
come; a session ends after `session` without an event of the key. Names after Akidau et al., "The
Dataflow Model" (2015). A late event counts as if it had come at the newest time of its key.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from shared.features.past import NEVER_US, Past, Plan
from shared.features.port import Row
from shared.features.windows import HOUR_US, Outputs
from shared.problem.spec import Window


class Running(NamedTuple):
    """Where the window began, its newest event, and its values merged."""

    start_us: int = NEVER_US
    newest_us: int = NEVER_US
    parts: list[Any] | None = None


class OpenWindowValues:
    """The statistics of one declared window."""

    def __init__(self, spec: Window, plan: Plan) -> None:
        self._field = spec.field
        self._now = spec.include_now
        self._outputs = Outputs(spec)
        self._tile_us = spec.tumbling and spec.tumbling // timedelta(microseconds=1)
        self._gap_us = (spec.session or timedelta(0)) // timedelta(microseconds=1)
        self._index = plan.fill(Running())

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        known: Running = past.fills[self._index]
        now_us, value = past.time_us, row[self._field]
        if self._tile_us:
            start_us = now_us // self._tile_us * self._tile_us
            fresh = start_us != known.start_us
        else:
            fresh = now_us - known.newest_us > self._gap_us
            start_us = now_us if fresh else known.start_us
        before = None if fresh else known.parts
        after = before
        if value is not None:
            after = self._outputs.with_value(before, (now_us - start_us) / HOUR_US, value)
        past.fills[self._index] = Running(start_us, now_us, after)
        self._outputs.write(row, after if self._now else before, value)
