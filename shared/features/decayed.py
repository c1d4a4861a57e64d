"""What fades with event time, and how long ago something was: constant memory a key."""

from datetime import datetime, timedelta
from typing import NamedTuple

from shared.features.lags import finite
from shared.features.past import NEVER_US, Past, Plan
from shared.features.port import Row
from shared.problem.expression import Formula
from shared.problem.spec import Decayed, Since


class Faded(NamedTuple):
    """Sum of weights and weighted mean, as of a time."""

    weight: float = 0.0
    mean: float = 0.0
    time_us: int = NEVER_US


class DecayedMean:
    """The mean of a field's values, the event's own included, each weighing half as much after every
    `half_life`. A late event counts as if it had come at the newest time of its key.
    """

    def __init__(self, spec: Decayed, plan: Plan) -> None:
        self._field = spec.field
        (self._column,) = spec.columns()
        self._half_us = spec.half_life / timedelta(microseconds=1)
        self._index = plan.fill(Faded())

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        known: Faded = past.fills[self._index]
        value, now_us = row[self._field], past.time_us
        if value is not None:
            weight = 1.0
            if known.weight:
                weight += known.weight * 0.5 ** ((now_us - known.time_us) / self._half_us)
            mean = finite(known.mean + (value - known.mean) / weight)
            if mean is not None:
                known = past.fills[self._index] = Faded(weight, mean, now_us)
        row[self._column] = known.mean if known.weight else None


class Last(NamedTuple):
    """When it was."""

    time_us: int = NEVER_US


class SinceLast:
    """Seconds of event time since the key's last event before this one for which a formula was true."""

    def __init__(self, spec: Since, formula: Formula | None, plan: Plan) -> None:
        (self._column,) = spec.columns()
        self._formula = formula
        self._index = plan.fill(Last())

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        last: Last = past.fills[self._index]
        now_us = past.time_us
        row[self._column] = None if last.time_us == NEVER_US else (now_us - last.time_us) / 1e6
        if self._formula is None or self._formula(row):
            past.fills[self._index] = Last(now_us)
