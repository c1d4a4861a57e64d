"""Whether a column remembers: from one row to the next, over a season; and whether that helps."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.draft.moments import F64

I64 = npt.NDArray[np.int64]
_LEAST_ROWS = 100
_REMEMBERS = 0.5
"""Least correlation of a value with the one before it."""
_GAIN = 0.02
"""Least share of the target's variance that a derived feature explains beyond its column."""
_LONGEST_SEASON = 1_000
_PEAK = 0.3
USUAL_SIZES = (10, 50)
_ROWS, _BEFORE = 2_000, 500


class Past(NamedTuple):
    """A window, or a lag, of one column that says more on the target than the column itself."""

    size: int
    lag: int | None
    gain: float


class Series:
    """Rows in the order of their keys, each key's in the order of the file."""

    def __init__(self, keys: I64, target: F64) -> None:
        """`keys`: [n]; `target`: [n, c], one column a class, or the numbers."""
        self._order = np.argsort(keys, kind="stable")
        keys = keys[self._order]
        fresh = np.r_[True, keys[1:] != keys[:-1]]
        starts = np.flatnonzero(fresh)
        self._place = np.arange(len(keys)) - starts[np.cumsum(fresh) - 1]
        """How many rows of the same key come before."""
        ends = np.r_[starts[1:], len(keys)]
        longest = int(np.argmax(ends - starts))
        self._longest = slice(int(starts[longest]), int(ends[longest]))
        self._target = target[self._order]

    def remembers(self, column: F64) -> float:
        """Correlation with the value before, of the same key; 0 where it cannot be told."""
        x = column[self._order]
        now, then = x[1:], x[:-1]
        both = (self._place[1:] > 0) & ~np.isnan(now) & ~np.isnan(then)
        now, then = now[both], then[both]
        if len(now) < _LEAST_ROWS or now.std() == 0.0 or then.std() == 0.0:
            return 0.0
        steps = now - then
        if (steps >= 0).all() or (steps <= 0).all():
            return 0.0  # a count or a date, not a memory
        return float(np.corrcoef(now, then)[0, 1])

    def season(self, columns: Sequence[F64]) -> int | None:
        """Rows (of the key with the most of them) after which most of `columns` come back."""
        rows = self._order[self._longest]
        found = [lag for column in columns if (lag := _period(column[rows])) is not None]
        if not found:
            return None
        return max(
            sorted(set(found)), key=lambda lag: sum(abs(lag - x) <= 0.05 * lag for x in found)
        )

    def past(self, column: F64, sizes: Sequence[int], season: int | None) -> Past | None:
        """The window of `sizes`, and the lag, that explain the target better than the column does."""
        x = np.where(np.isnan(column), np.nanmean(column), column)[self._order]
        own = self._explained(x)
        gains = {size: self._gain(x, size) - own for size in sizes}
        size = max(gains, key=lambda size: gains[size])
        lags = [1] if season is None else [1, season]
        lag_gains = {lag: self._explained(x - self._lagged(x, lag)) - own for lag in lags}
        lag = max(lag_gains, key=lambda lag: lag_gains[lag])
        best = max(gains[size], lag_gains[lag])
        if best < _GAIN:
            return None
        return Past(
            size if gains[size] >= _GAIN else 0, lag if lag_gains[lag] >= _GAIN else None, best
        )

    def derived(self, column: F64, past: Past) -> F64:
        """[n, k] what `past` adds to a column, in the order of the file."""
        x = np.where(np.isnan(column), np.nanmean(column), column)[self._order]
        found = []
        if past.size:
            mean = self._mean(x, past.size)
            found += [mean, x - mean]
        if past.lag:
            then = self._lagged(x, past.lag)
            found += [then, x - then]
        back = np.empty((len(x), len(found)))
        back[self._order] = np.column_stack(found)
        return back

    def _gain(self, x: F64, size: int) -> float:
        mean = self._mean(x, size)
        return max(self._explained(x - mean), self._explained(mean))

    def _mean(self, x: F64, size: int) -> F64:
        """Mean of the last `size` values of the key, the present one included."""
        total = np.r_[0.0, np.cumsum(x)]
        width = np.minimum(self._place + 1, size)
        ends = np.arange(1, len(x) + 1)
        mean: F64 = (total[ends] - total[ends - width]) / width
        return mean

    def _lagged(self, x: F64, lag: int) -> F64:
        then = np.r_[np.full(min(lag, len(x)), np.nan), x[: max(len(x) - lag, 0)]]
        return np.where(self._place >= lag, then, x)

    def _explained(self, x: F64) -> float:
        """Share of `x`'s variance that goes along with the target (the best of its columns)."""
        spread = x.std()
        if spread == 0.0:
            return 0.0
        z = (x - x.mean()) / spread
        t = self._target - self._target.mean(0)
        scale = t.std(0)
        r = (z[:, None] * t).mean(0) / np.where(scale == 0.0, 1.0, scale)
        return float((r**2).max())


def neighbours_score(x: F64, target: F64, regression: bool) -> float:
    """How well five nearest neighbours among the 500 rows before answer: accuracy, or R2.

    `x`: [n, d] numbers; `target`: [n, c], one column a class, or the numbers. The newest 2,500 rows.
    """
    x, target = x[-_ROWS - _BEFORE :], target[-_ROWS - _BEFORE :]
    spread = x.std(0)
    x = (x - x.mean(0)) / np.where(spread == 0.0, 1.0, spread)
    first = min(_BEFORE, len(x) // 2)
    answers = np.empty((len(x) - first, target.shape[1]))
    for row in range(first, len(x)):
        before = slice(max(0, row - _BEFORE), row)
        distance = ((x[before] - x[row]) ** 2).sum(1)
        nearest = np.argsort(distance, kind="stable")[:5]
        answers[row - first] = target[before][nearest].mean(0)
    truth = target[first:]
    if regression:
        return float(
            1.0 - ((answers - truth) ** 2).sum() / max(float(truth.var(0)[0]) * len(truth), 1e-300)
        )
    return float((answers.argmax(1) == truth.argmax(1)).mean())


def _period(column: F64) -> int | None:
    """The lag of the first high peak of the autocorrelation after its first valley."""
    x = np.where(np.isnan(column), np.nanmean(column), column)
    longest = min(len(x) // 4, _LONGEST_SEASON)
    if longest < 4 or x.std() == 0.0:
        return None
    x = x - x.mean()
    power = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
    r = np.fft.irfft(power)[: longest + 1]
    r = r / r[0]
    valley = int(np.argmax(r < 0.0)) if (r < 0.0).any() else 0
    if valley == 0:
        return None
    peak = valley + int(np.argmax(r[valley:]))
    return peak if r[peak] > _PEAK and peak < longest else None
