"""0/1 series (error, missing, unseen, rejected): a Shiryaev-Roberts e-detector on the odds.

The null is the running rate q = (c + 1) / (n + 4). Each bet says that the odds are `x` times those of q
(1.15 to 3.5; and 1/x when two-sided); its e-value is the likelihood ratio, tempered by `1 / kappa`,
where `kappa` is the running variance inflation of block means: errors of a model come in runs, and an
untempered detector alarms 5 to 60 times too often on them (measured on River ARF errors).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.drift.port import F64, I64, Arrays, Bool
from shared.drift.state import copied, loaded, packed

ODDS = (1.15, 1.3, 1.6, 2.2, 3.5)
POOL_CAP = 20_000.0
EVIDENCE_CAP = 1e100
BLOCKS = np.array([8, 32, 128])
MIN_BLOCKS = 8.0


class RateState(NamedTuple):
    """The whole state of p series; the last axis of the block arrays is the block length."""

    seen: F64
    """[p] weight of the past (halved at the cap)."""
    ones: F64
    bets: F64
    evidence: F64
    filled: I64
    """[p, 3] values in the open block."""
    open_sum: F64
    blocks: F64
    """[p, 3] whole blocks, the sum of their means and of the means squared: [p, 3, 3]."""


@njit(cache=True)
def _kappa(j: int, s: RateState) -> float:
    """Variance inflation of the block means seen so far, at least 1."""
    q = s.ones[j] / max(s.seen[j], 1.0)
    variance = q * (1 - q)
    worst = 1.0
    if variance <= 1e-12:
        return worst
    for i in range(BLOCKS.shape[0]):
        k = s.blocks[j, i, 0]
        if k >= MIN_BLOCKS:
            mean = s.blocks[j, i, 1] / k
            spread = max(s.blocks[j, i, 2] / k - mean * mean, 0.0) * k / (k - 1)
            worst = max(worst, BLOCKS[i] * spread / variance)
    return worst


@njit(cache=True)
def _learn(j: int, x: float, s: RateState) -> None:
    """x joins the running rate and the block means."""
    s.seen[j] += 1
    s.ones[j] += x
    for i in range(BLOCKS.shape[0]):
        s.open_sum[j, i] += x
        s.filled[j, i] += 1
        if s.filled[j, i] == BLOCKS[i]:
            mean = s.open_sum[j, i] / BLOCKS[i]
            s.blocks[j, i, 0] += 1.0
            s.blocks[j, i, 1] += mean
            s.blocks[j, i, 2] += mean * mean
            s.filled[j, i] = 0
            s.open_sum[j, i] = 0.0
    if s.seen[j] > POOL_CAP:
        s.seen[j] *= 0.5
        s.ones[j] *= 0.5
        for i in range(BLOCKS.shape[0]):
            for part in range(3):
                s.blocks[j, i, part] *= 0.5


@njit(cache=True)
def update_rates(row: F64, s: RateState, odds: F64, n_ref: int) -> float:
    """One event: every series that has a value takes it; returns the mean evidence."""
    for j in range(row.shape[0]):
        x = row[j]
        if np.isnan(x):
            continue
        if s.seen[j] >= n_ref:
            q = (s.ones[j] + 1) / (s.seen[j] + 4)
            kappa = _kappa(j, s)
            total = 0.0
            for b in range(odds.shape[0]):
                o = q / (1 - q) * odds[b]
                e = o / (1 + o) / q if x > 0 else 1 / (1 + o) / (1 - q)
                if kappa > 1.0:
                    e = e ** (1 / kappa)
                s.bets[j, b] = min((1.0 + s.bets[j, b]) * e, EVIDENCE_CAP)
                total += s.bets[j, b]
            s.evidence[j] = total / odds.shape[0]
        _learn(j, 1.0 if x > 0 else 0.0, s)
    return float(np.mean(s.evidence))


@njit(cache=True)
def _zeros(times: int, s: RateState, odds: F64, n_ref: int) -> None:
    row = np.zeros(s.seen.shape[0])
    for _ in range(times):
        update_rates(row, s, odds, n_ref)


class Rates:
    """The odds e-detector over `n_series` 0/1 series (a `Detector`); any value > 0 is a one.

    `n_ref` values are only learned from; `two_sided` also bets on falling odds. State: 0.3 kB a series.
    """

    def __init__(self, n_series: int, n_ref: int = 200, two_sided: bool = False) -> None:
        p = n_series
        falling = tuple(1 / x for x in ODDS) if two_sided else ()
        odds = np.array(ODDS + falling)
        state = RateState(
            seen=np.zeros(p),
            ones=np.zeros(p),
            bets=np.zeros((p, len(odds))),
            evidence=np.zeros(p),
            filled=np.zeros((p, len(BLOCKS)), np.int64),
            open_sum=np.zeros((p, len(BLOCKS))),
            blocks=np.zeros((p, len(BLOCKS), 3)),
        )
        self._state, block = packed(state)
        self.arguments = (block, odds, n_ref)
        """What `update_rates` takes after the row."""

    @property
    def evidence(self) -> F64:
        """[p] evidence now."""
        return self._state.evidence

    @property
    def rate(self) -> F64:
        """[p] running rate of ones, (c + 1) / (n + 4)."""
        return (self._state.ones + 1) / (self._state.seen + 4)

    @property
    def kappa(self) -> F64:
        """[p] variance inflation by autocorrelation, from the block means so far."""
        return np.array([_kappa(j, self.arguments[0]) for j in range(len(self._state.seen))])

    def update(self, row: F64) -> float:
        """Take `row` [p]; returns the mean evidence."""
        return float(update_rates(row, *self.arguments))

    def zeros(self, times: int) -> None:
        """Take `times` rows of zeros."""
        _zeros(times, *self.arguments)

    def reset(self, series: Bool) -> None:
        """The marked series start anew."""
        for array in self._state:
            array[series] = 0

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the state."""
        return copied(self._state)

    def restore(self, arrays: Arrays) -> None:
        """Continue exactly; see `Detector.restore`."""
        loaded(self._state, arrays, "Rates")
