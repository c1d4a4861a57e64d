"""Earlier values of the same key."""

from datetime import datetime
from math import nan

from shared.features.past import Past, Plan
from shared.features.port import Row
from shared.problem.spec import Lags


class LagValues:
    """The value `by` events ago (in order of arrival), and now minus then."""

    def __init__(self, spec: Lags, plan: Plan) -> None:
        self._field = spec.field
        self._lags = [(-by, f"{spec.field}_lag_{by}") for by in spec.by]
        self._deepest = max(spec.by)
        self._minus = (
            [(f"{spec.field}_lag_{by}", f"{spec.field}_minus_lag_{by}") for by in spec.by]
            if spec.difference
            else []
        )
        self._column = plan.column(spec.field, max(spec.by))

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        values = past.columns[self._column]
        size = len(values)
        full = size >= self._deepest
        for place, name in self._lags:
            value = values[place] if full or -place <= size else nan
            row[name] = value if value == value else None
        if self._minus:
            now = row[self._field]
            for lag, name in self._minus:
                then = row[lag]
                row[name] = None if now is None or then is None else finite(now - then)


def finite(value: float) -> float | None:
    """`value`, or None where it is not finite (a difference of huge numbers)."""
    return value if value - value == 0.0 else None
