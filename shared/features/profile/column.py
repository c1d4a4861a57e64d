"""One column of a profile, to be read: what its values look like."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
import numpy.typing as npt

from shared.features.profile.kernel import HASHES, coarsened

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_BELOW_ZERO = np.int64(0x7FFFFFFFFFFFFFFF)
DISTINCT_ERROR = 2 / sqrt(HASHES - 2)
"""Two standard errors of `Column.distinct`, relative, where it is estimated."""


@dataclass(frozen=True)
class Column:
    """`n` values that were there, `missing` that were not; `keys` and `counts`: the occupied bins in
    order, cut by `shift` bits (`kernel.py`). `distinct`: how many different values, exact up to 512 of
    them (`exact`), else estimated (`DISTINCT_ERROR`).
    """

    n: int
    missing: int
    low: float
    high: float
    mean: float
    squares: float
    shift: int
    keys: I64
    counts: I64
    distinct: float

    @property
    def exact(self) -> bool:
        """Whether each bin is one value, so that every figure is that of the values themselves."""
        return self.shift == 0

    @property
    def deviation(self) -> float:
        """Sample standard deviation (n - 1); NaN with fewer than two values."""
        return sqrt(self.squares / (self.n - 1)) if self.n > 1 else float("nan")

    @property
    def relative_error(self) -> float:
        """Most by which `quantile` is off, relative to the quantile; 0 where the bins are exact."""
        return 0.0 if self.exact else 2.0 ** (self.shift - 53)

    @cached_property
    def edges(self) -> tuple[F64, F64]:
        """Least and greatest value that each bin can hold, both included."""
        low, high = self.keys << self.shift, ((self.keys + 1) << self.shift) - 1
        return _floats(low).clip(self.low, self.high), _floats(high).clip(self.low, self.high)

    def quantile(self, q: float) -> float:
        """The middle of the bin that holds the smallest value with at least a share `q` at or below
        it (numpy's `inverted_cdf`); within `relative_error` of it. NaN without values.
        """
        if not self.n:
            return float("nan")
        bin_ = int(np.searchsorted(self.counts.cumsum(), max(1, np.ceil(q * self.n))))
        low, high = self.edges
        return float(low[bin_] / 2 + high[bin_] / 2)

    def top(self, most: int) -> list[tuple[float, int]]:
        """The most frequent values with their counts; none unless `exact`."""
        if not self.exact:
            return []
        order = np.argsort(-self.counts, kind="stable")[:most]
        values = _floats(self.keys)[order]
        return list(zip(values.tolist(), self.counts[order].tolist(), strict=True))

    def shares(self, cuts: Sequence[float] | F64) -> F64:
        """Shares of the values in the len(cuts) - 1 intervals [a, b), the last with its end.

        A bin across a cut is shared out evenly. NaN without values.
        """
        if not self.n:
            return np.full(len(cuts) - 1, np.nan)
        at = np.asarray(cuts, np.float64)
        below = self._below(at)
        below[-1] = self._below(np.nextafter(at[-1:], np.inf))[0]
        shares: F64 = np.diff(below)
        return shares

    def _below(self, at: F64) -> F64:
        """Share of the values below each of `at`."""
        low, high = self.edges
        start = np.concatenate([[0.0], self.counts.cumsum()])
        bin_ = np.searchsorted(high, at, "left")
        inside = np.minimum(bin_, len(low) - 1)
        with np.errstate(over="ignore"):  # the widest bins are wider than floats go
            width = high[inside] - low[inside]
            reach = at - low[inside]
        inner = (bin_ < len(low)) & (
            width > 0
        )  # a bin of one value is not below a cut that it ends
        part = np.clip(np.divide(reach, width, out=np.zeros_like(at), where=inner), 0.0, 1.0)
        below: F64 = (start[bin_] + part * self.counts[inside]) / self.n
        return below

    def smaller(self, bins: int) -> "Column":
        """The same in at most `bins` bins."""
        keys, counts, cut = coarsened(self.keys, self.counts, bins)
        return Column(
            self.n, self.missing, self.low, self.high, self.mean, self.squares,
            self.shift + cut, keys, counts, self.distinct,
        )  # fmt: skip


def distance(one: Column, other: Column) -> float:
    """Kolmogorov-Smirnov: the largest difference between the two cumulative shares, 0 to 1, read
    where bins of both begin (so at most, never more than, the distance of the values). NaN: one is
    empty.
    """
    if not (one.n and other.n):
        return float("nan")
    shift = max(one.shift, other.shift)
    keys = np.unique(np.concatenate([c.keys >> (shift - c.shift) for c in (one, other)]))
    first, second = (_cumulative(c, keys, shift) for c in (one, other))
    return float(np.abs(first - second).max())


def _cumulative(column: Column, keys: I64, shift: int) -> F64:
    mine = column.keys >> (shift - column.shift)
    at = np.searchsorted(mine, keys, "right")
    total: F64 = np.concatenate([[0], column.counts.cumsum()])[at] / column.n
    return total


def _floats(keys: I64) -> F64:
    """Keys (uncut) back to the floats they stand for."""
    bits = np.where(keys >= 0, keys, keys ^ _BELOW_ZERO)
    values: F64 = bits.astype(np.int64).view(np.float64)
    return values
