"""How a positive quantity is spread: quantiles within 2.5 %, in bounded memory."""

from math import ceil, log

import msgspec

_PER_BUCKET = 1 / log(1.05)
"""Buckets grow by 5 % (as in DDSketch, arXiv 1908.10693): 1 microsecond to 100 years is 720 of them."""


class Spread(msgspec.Struct):
    """Counts by bucket. `buckets`: number -> [how many, the newest value in it]."""

    n: int = 0
    least: float = 0.0
    most: float = 0.0
    buckets: dict[int, tuple[int, float]] = {}

    def add(self, value: float) -> None:
        """Count one value (negative ones count as 0)."""
        self.n += 1
        if value <= 0:
            value = 0.0
        if self.n == 1 or value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        bucket = ceil(log(value) * _PER_BUCKET) if value > 1e-6 else -300
        self.buckets[bucket] = (self.buckets.get(bucket, (0, 0.0))[0] + 1, value)

    def quantile(self, share: float) -> float | None:
        """The value below which `share` of the values lie; None before the first one."""
        seen = 0
        for bucket in sorted(self.buckets):
            count, value = self.buckets[bucket]
            seen += count
            if seen >= share * self.n:
                return value
        return None
