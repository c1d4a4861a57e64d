"""Window statistics as sums of parts: what a value gives, and how two neighbouring parts merge.

Merging never subtracts, so nothing cancels: means and squares after Chan, Golub and LeVeque,
"Updating formulae and a pairwise algorithm for computing sample variances" (1979). A part of nothing
is None.
"""

from collections.abc import Callable
from math import sqrt
from typing import Any, NamedTuple

Part = tuple[float, ...]


class Measure(NamedTuple):
    """`lift(x, value)` is the part of one value at place x; `merge(earlier, later)` joins two."""

    lift: Callable[[float, float], Part]
    merge: Callable[[Any, Any], Part]


def _merge_moments(a: Part, b: Part) -> Part:
    """(count, sum, mean, sum of squared deviations)."""
    count = a[0] + b[0]
    gap = b[2] - a[2]
    share = b[0] / count
    return count, a[1] + b[1], a[2] + gap * share, a[3] + b[3] + gap * gap * a[0] * share


def _merge_slopes(a: Part, b: Part) -> Part:
    """(count, mean x, mean y, sum of squared x deviations, sum of products of deviations)."""
    count = a[0] + b[0]
    share = b[0] / count
    dx, dy = b[1] - a[1], b[2] - a[2]
    weight = a[0] * share
    return (
        count,
        a[1] + dx * share,
        a[2] + dy * share,
        a[3] + b[3] + dx * dx * weight,
        a[4] + b[4] + dx * dy * weight,
    )


MEASURES: dict[str, Measure] = {
    "moments": Measure(lambda x, value: (1.0, value, value, 0.0), _merge_moments),
    "extremes": Measure(
        lambda x, value: (value, value),
        lambda a, b: (a[0] if a[0] <= b[0] else b[0], a[1] if a[1] >= b[1] else b[1]),
    ),
    "last": Measure(lambda x, value: (value,), lambda a, b: b),
    "pace": Measure(lambda x, value: (1.0, x, x), lambda a, b: (a[0] + b[0], a[1], b[2])),
    "slope": Measure(lambda x, value: (1.0, x, value, 0.0, 0.0), _merge_slopes),
}


def _std(part: Part) -> float | None:
    return sqrt(part[3] / (part[0] - 1.0)) if part[0] > 1.0 else None


def _trend(part: Part) -> float | None:
    return part[4] / part[3] if part[3] > 0.0 else None


def _rate(part: Part) -> float | None:
    return (part[0] - 1.0) / (part[2] - part[1]) if part[2] > part[1] else None


STATISTICS: dict[str, tuple[str, Callable[[Part], float | None]]] = {
    "count": ("moments", lambda part: part[0]),
    "sum": ("moments", lambda part: part[1]),
    "mean": ("moments", lambda part: part[2]),
    "std": ("moments", _std),
    "min": ("extremes", lambda part: part[0]),
    "max": ("extremes", lambda part: part[1]),
    "range": ("extremes", lambda part: part[1] - part[0]),
    "last": ("last", lambda part: part[0]),
    "trend": ("slope", _trend),
    "rate": ("pace", _rate),
}
"""What each statistic reads. `std` is the sample's (n - 1); `trend` the least-squares slope, per event
in windows of a number of events and per hour in windows of event time; `rate` the values an hour
between the window's first and its newest."""

OF_NOTHING: dict[str, float] = {"count": 0.0, "sum": 0.0}
"""Statistics that are not missing when the window holds no value."""
