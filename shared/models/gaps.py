"""Missing values filled in: with what the feature was on average over the last 500 labelled events.

A value that is not finite is missing and takes the running mean (0 before the first one). One wild
value moves the mean by a bounded step.
"""

import math

import numpy as np
from numba import njit

from shared.models.port import F64, FAST, Arrays, State

MEMORY = 1.0 / 500.0
LARGEST = 1e15  # beyond it single precision would overflow when squared
OUTLIER = 100.0  # deviations; farther values count as this far


@njit(cache=True, fastmath=FAST, forceinline=True)
def bounded(off: float, var: float, seen: float) -> float:
    """How far a value counts as being off its mean, once there is a variance to judge it by."""
    if seen < 30.0 or var <= 0.0:
        return off
    far = OUTLIER * math.sqrt(var)
    return min(far, max(-far, off))


@njit(cache=True, fastmath=FAST)
def _fill(raw: F64, mean: F64, var: F64, seen: F64, learn: bool, x: F64) -> None:
    n, d = raw.shape
    for i in range(n):
        for j in range(d):
            if not math.isfinite(raw[i, j]):
                x[i, j] = mean[j]
                continue
            x[i, j] = min(LARGEST, max(-LARGEST, raw[i, j]))
            if learn:
                step = max(MEMORY, 1.0 / (seen[j] + 1.0))
                off = bounded(x[i, j] - mean[j], var[j], seen[j])
                seen[j] += 1.0
                mean[j] += step * off
                var[j] += step * (off * off - var[j])


class Gaps:
    """Running means of `n_features` features."""

    def __init__(self, n_features: int) -> None:
        self.mean = np.zeros(n_features)
        self.var = np.zeros(n_features)
        self.seen = np.zeros(n_features)

    def filled(self, raw: F64, learn: bool) -> F64:
        """The rows without gaps; with `learn` the means move along, row by row."""
        x = np.empty_like(raw)
        _fill(raw, self.mean, self.var, self.seen, learn, x)
        return x

    def snapshot(self) -> State:
        """Copies of the state."""
        return {"mean": self.mean.copy(), "var": self.var.copy(), "seen": self.seen.copy()}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        self.mean, self.var, self.seen = (
            np.array(arrays[name], np.float64) for name in ("mean", "var", "seen")
        )
