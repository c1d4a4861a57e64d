"""Calendar features of the event time."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import cos, pi, sin
from zoneinfo import ZoneInfo

from shared.features.past import Past, Plan
from shared.features.port import Row
from shared.problem.spec import Calendar


class _Circle(dict[int, tuple[float, float]]):
    """Sine and cosine of each of `steps` steps of a cycle, kept once they were met."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def __missing__(self, step: int) -> tuple[float, float]:
        angle = 2 * pi * (step / self._steps)
        point = self[step] = sin(angle), cos(angle)
        return point


_CYCLES: dict[str, tuple[_Circle, Callable[[datetime], int]]] = {
    "minute": (_Circle(60), lambda t: t.minute),
    "hour": (_Circle(24), lambda t: t.hour),
    "time_of_day": (_Circle(86_400), lambda t: t.hour * 3600 + t.minute * 60 + t.second),
    "weekday": (_Circle(7), datetime.weekday),
    "day": (_Circle(31), lambda t: t.day - 1),
    "month": (_Circle(12), lambda t: t.month - 1),
}
"""Each cycle, and at which of its steps a time is."""


class CalendarParts:
    """Sine and cosine of cyclic parts, local to a zone; `weekend` is 1 on Saturday and Sunday."""

    def __init__(self, spec: Calendar, plan: Plan) -> None:
        self._zone = None if spec.zone == "UTC" else ZoneInfo(spec.zone)
        self._weekend = "weekend" in spec.parts
        self._cycles = [
            (f"{part}_sin", f"{part}_cos", *_CYCLES[part])
            for part in spec.parts
            if part in _CYCLES
        ]

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        if self._zone is not None or time.tzinfo is not UTC:
            time = time.astimezone(self._zone or UTC)
        for sine, cosine, circle, step in self._cycles:
            row[sine], row[cosine] = circle[step(time)]
        if self._weekend:
            row["weekend"] = 1.0 if time.weekday() >= 5 else 0.0
