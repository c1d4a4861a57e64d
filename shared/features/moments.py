"""Running mean and deviation of a field's past: the fences of outliers, and scaling.

After Welford, "Note on a method for calculating corrected sums of squares and products" (1962); from
the `MOST`-th value on older ones fade, so that a lasting change of level is followed.
"""

from math import inf, sqrt
from typing import NamedTuple

MOST = 1_000
"""Values that count in full; then each new one has this share."""
LEAST = 30
"""With fewer values nothing is called an outlier."""


class Moments(NamedTuple):
    """Of the observed values: their number (up to `MOST`), mean, squared deviations, bounds."""

    seen: int = 0
    mean: float = 0.0
    square: float = 0.0
    low: float = inf
    high: float = -inf

    def with_value(self, value: float) -> "Moments":
        """One value more; the same where it is so huge that nothing finite comes out."""
        full = self.seen >= MOST
        count = MOST if full else self.seen + 1
        gap = value - self.mean
        mean = self.mean + gap / count
        faded = self.square * (1.0 - 1.0 / MOST) if full else self.square
        square = faded + gap * (value - mean)
        if not (square < inf and abs(mean) < inf):
            return self
        return Moments(count, mean, square, min(self.low, value), max(self.high, value))

    @property
    def deviation(self) -> float | None:
        """The sample's (n - 1); None of fewer than two values."""
        return sqrt(self.square / (self.seen - 1)) if self.seen > 1 else None

    def fenced(self, value: float, limit: float) -> float:
        """`value`, or the nearest that is no more than `limit` deviations from the mean."""
        deviation = self.deviation
        if self.seen < LEAST or not deviation:
            return value
        low, high = self.mean - limit * deviation, self.mean + limit * deviation
        return low if value < low else min(value, high)

    def standard(self, value: float) -> float | None:
        """Deviations from the mean; None while there is no deviation."""
        deviation = self.deviation
        return (value - self.mean) / deviation if deviation else None

    def minmax(self, value: float) -> float | None:
        """0 at the least value so far, 1 at the greatest, beyond them where it is new."""
        return (value - self.low) / (self.high - self.low) if self.high > self.low else None
