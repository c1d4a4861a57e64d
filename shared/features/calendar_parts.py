"""Calendar features of the event time."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import cos, pi, sin
from zoneinfo import ZoneInfo

from shared.features.past import Past, Plan
from shared.features.port import Row
from shared.problem.spec import Calendar

_PHASES: dict[str, Callable[[datetime], float]] = {
    "minute": lambda t: t.minute / 60,
    "hour": lambda t: t.hour / 24,
    "time_of_day": lambda t: (t.hour * 3600 + t.minute * 60 + t.second) / 86_400,
    "weekday": lambda t: t.weekday() / 7,
    "day": lambda t: (t.day - 1) / 31,
    "month": lambda t: (t.month - 1) / 12,
}
"""Where in its cycle a time is, 0 to 1."""


class CalendarParts:
    """Sine and cosine of cyclic parts, local to a zone; `weekend` is 1 on Saturday and Sunday."""

    def __init__(self, spec: Calendar, plan: Plan) -> None:
        self._zone = None if spec.zone == "UTC" else ZoneInfo(spec.zone)
        self._parts = [(f"{p}_sin", f"{p}_cos", _PHASES.get(p)) for p in spec.parts]

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        local = (
            time.astimezone(self._zone or UTC) if self._zone or time.tzinfo is not UTC else time
        )
        for sine, cosine, phase in self._parts:
            if phase is None:
                row["weekend"] = 1.0 if local.weekday() >= 5 else 0.0
            else:
                angle = 2 * pi * phase(local)
                row[sine], row[cosine] = sin(angle), cos(angle)
