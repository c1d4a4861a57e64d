"""Numeric series: a Shiryaev-Roberts e-detector on conformal ranks.

A series' first `n_ref` values are its reference: 63 quantile edges and a count in each of the 64 bins.
A later value's rank p among them, with ties and bins spread by a seeded uniform, is uniform while
values are exchangeable. Twelve bets on p (shifts of +-.15 to +-2 and scales of .5 to 2.2 standard
deviations, of the normal score) give e-values, each summed Shiryaev-Roberts fashion:
`M = (1 + M) * e ** (1 / kappa)`; the evidence is their mean (Shin, Ramdas & Rinaldo, arXiv 2203.03532).
`kappa`, the variance inflation of block means in the reference, tempers for autocorrelation. Values
join the pool 256 to 512 values late; the pool's weight is halved at 20,000, so the reference moves.

On iid data false alarms are near 1 in B (measured). On real features they are not: the world moves.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.drift.port import F64, I64, Arrays, Bool
from shared.drift.state import copied, loaded, packed

SHIFTS = (0.15, 0.35, 0.8, 2.0)
SCALES = (0.5, 0.7, 1.5, 2.2)
BINS = 64
BETS = 2 * len(SHIFTS) + len(SCALES)
LAG = 256
POOL_CAP = 20_000.0
EVIDENCE_CAP = 1e100
BLOCKS = (8, 32, 128)
MIN_BLOCKS = 8


def log_bets() -> F64:
    """[64, 12] log e-value of each bet in each cell of p; exp of it has mean 1 in every column."""
    fine = 50
    normal = NormalDist()
    z = np.array([normal.inv_cdf((i + 0.5) / (BINS * fine)) for i in range(BINS * fine)])
    columns = [np.exp(sign * mu * z - mu * mu / 2) for mu in SHIFTS for sign in (1, -1)]
    columns += [np.exp(-0.5 * z * z * (1 / s**2 - 1)) / s for s in SCALES]
    cells = np.stack([c.reshape(BINS, fine).mean(axis=1) for c in columns], axis=1)
    return np.asarray(np.log(cells / cells.mean(axis=0)), np.float64)


LOG_BETS = log_bets()


class RankState(NamedTuple):
    """The whole state of p series; `values` is [p, n_ref] and read only until the reference is full."""

    values: F64
    seen: I64
    """[p] values of the series since its reference began."""
    drawn: I64
    """[p] uniforms drawn ever: the place in the seeded sequence, which no reset turns back."""
    edges: F64
    counts: F64
    pending: F64
    waiting: F64
    cdf: F64
    """[p, 65] cumulative share of the bins."""
    kappa: F64
    bets: F64
    evidence: F64


@njit(cache=True)
def uniform(seed: int, series: int, counter: int) -> float:
    """A uniform in [0, 1) from a counter: splitmix64's finaliser (Steele et al. 2014)."""
    z = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(series)
    z = z * np.uint64(0x2545F4914F6CDD1D) + np.uint64(counter)
    z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True)
def _bin_of(x: float, edges: F64) -> int:
    """How many edges lie strictly below x: a value at an edge belongs to the lower bin."""
    lo, hi = 0, edges.shape[0]
    while lo < hi:
        mid = (lo + hi) // 2
        if edges[mid] < x:
            lo = mid + 1
        else:
            hi = mid
    return lo


@njit(cache=True)
def _share(j: int, s: RankState) -> None:
    """Counts to cumulative shares; a bin between two equal edges can hold nothing and gets none."""
    total = 0.0
    s.cdf[j, 0] = 0.0
    for k in range(BINS):
        possible = k == 0 or k == BINS - 1 or s.edges[j, k - 1] < s.edges[j, k]
        total += s.counts[j, k] + (0.5 if possible else 0.0)
        s.cdf[j, k + 1] = total
    for k in range(BINS + 1):
        s.cdf[j, k] /= total


@njit(cache=True)
def inflation(ranks: F64) -> float:
    """max(1, b * var(means of blocks of b) / var) over block lengths with enough whole blocks."""
    variance = float(np.var(ranks))
    worst = 1.0
    if variance <= 1e-12:
        return worst
    for b in BLOCKS:
        k = ranks.shape[0] // b
        if k >= MIN_BLOCKS:
            means = np.empty(k)
            for i in range(k):
                means[i] = np.mean(ranks[i * b : (i + 1) * b])
            worst = max(worst, b * float(np.var(means)) * k / (k - 1) / variance)
    return worst


@njit(cache=True)
def _begin(j: int, s: RankState) -> None:
    """The reference of series j is full: edges, counts, kappa."""
    n = s.values.shape[1]
    ordered = np.sort(s.values[j])
    for k in range(1, BINS):
        place = (n - 1) * k / BINS
        low = int(place)
        high = min(low + 1, n - 1)
        part = place - low
        if part == 0.0 or ordered[low] == ordered[high]:
            s.edges[j, k - 1] = ordered[low]
        else:
            s.edges[j, k - 1] = ordered[low] * (1 - part) + ordered[high] * part
    s.counts[j] = 0.0
    s.pending[j] = 0.0
    s.waiting[j] = 0.0
    for i in range(n):
        s.counts[j, _bin_of(s.values[j, i], s.edges[j])] += 1.0
    _share(j, s)
    ranks = np.empty(n)
    for i in range(n):
        b = _bin_of(s.values[j, i], s.edges[j])
        ranks[i] = (s.cdf[j, b] + s.cdf[j, b + 1]) / 2
    s.kappa[j] = inflation(ranks)
    s.bets[j] = 0.0


@njit(cache=True)
def _rank(j: int, x: float, s: RankState, seed: int) -> float:
    """The randomised rank of x in [0, 1), and x into the pool (256 to 512 values late)."""
    if (s.seen[j] - s.values.shape[1]) % LAG == LAG - 1:
        total = 0.0
        for k in range(BINS):
            s.counts[j, k] += s.waiting[j, k]
            s.waiting[j, k] = s.pending[j, k]
            s.pending[j, k] = 0.0
            total += s.counts[j, k]
        if total > POOL_CAP:
            for k in range(BINS):
                s.counts[j, k] *= 0.5
        _share(j, s)
    b = _bin_of(x, s.edges[j])
    s.pending[j, b] += 1.0
    u = uniform(seed, j, s.drawn[j])
    s.drawn[j] += 1
    return float(s.cdf[j, b] + u * (s.cdf[j, b + 1] - s.cdf[j, b]))


@njit(cache=True)
def update_ranks(row: F64, s: RankState, logs: F64, seed: int) -> float:
    """One event: every series that has a value takes it; returns the mean evidence."""
    n_ref = s.values.shape[1]
    for j in range(row.shape[0]):
        x = row[j]
        if np.isnan(x):
            continue
        if s.seen[j] < n_ref:
            s.values[j, s.seen[j]] = min(max(x, -1e300), 1e300)
            s.seen[j] += 1
            if s.seen[j] == n_ref:
                _begin(j, s)
            continue
        cell = min(int(_rank(j, x, s, seed) * BINS), BINS - 1)
        s.seen[j] += 1
        total = 0.0
        for b in range(BETS):
            m = (1.0 + s.bets[j, b]) * np.exp(logs[cell, b] / s.kappa[j])
            s.bets[j, b] = min(m, EVIDENCE_CAP)
            total += s.bets[j, b]
        s.evidence[j] = total / BETS
    return float(np.mean(s.evidence))


class Ranks:
    """The rank e-detector over `n_series` numeric series (a `Detector`).

    `n_ref` values make a reference; `seed` fixes the spreading of ties. State: 2.3 kB a series and
    8 bytes a reference value.
    """

    def __init__(self, n_series: int, n_ref: int = 2_000, seed: int = 1) -> None:
        p = n_series
        state = RankState(
            values=np.zeros((p, n_ref)),
            seen=np.zeros(p, np.int64),
            drawn=np.zeros(p, np.int64),
            edges=np.zeros((p, BINS - 1)),
            counts=np.zeros((p, BINS)),
            pending=np.zeros((p, BINS)),
            waiting=np.zeros((p, BINS)),
            cdf=np.zeros((p, BINS + 1)),
            kappa=np.ones(p),
            bets=np.zeros((p, BETS)),
            evidence=np.zeros(p),
        )
        self._state, block = packed(state)
        self.arguments = (block, LOG_BETS, seed)
        """What `update_ranks` takes after the row."""

    @property
    def evidence(self) -> F64:
        """[p] evidence now."""
        return self._state.evidence

    @property
    def kappa(self) -> F64:
        """[p] variance inflation of each reference; 1 is "no autocorrelation"."""
        return self._state.kappa

    def reference(self, series: int) -> F64 | None:
        """[n_ref] the values that the series' reference was made of; None while incomplete."""
        s = self._state
        return s.values[series].copy() if s.seen[series] >= s.values.shape[1] else None

    def update(self, row: F64) -> float:
        """Take `row` [p]; returns the mean evidence."""
        return float(update_ranks(row, *self.arguments))

    def reset(self, series: Bool) -> None:
        """The marked series take a new reference from their next values."""
        for array in (self._state.seen, self._state.evidence, self._state.bets):
            array[series] = 0
        self._state.values[series] = 0.0

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the state."""
        return copied(self._state)

    def restore(self, arrays: Arrays) -> None:
        """Continue exactly; see `Detector.restore`."""
        loaded(self._state, arrays, "Ranks")
