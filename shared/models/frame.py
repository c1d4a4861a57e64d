"""The bank's view of a row: missing values filled in, features scaled as they run.

Running mean and variance with a memory of 500 labelled events. A value that is not finite is missing
and takes the running mean (0 before the first one). One wild value moves the scale by a bounded step.
"""

import math

import numpy as np
from numba import njit

from shared.models.port import F64, FAST, Arrays, State

MEMORY = 1.0 / 500.0
LARGEST = 1e15  # beyond it single precision would overflow when squared
CUT = 6.0  # scaled values are cut here
OUTLIER = 100.0  # deviations; farther values count as this far when the scale moves


@njit(cache=True, fastmath=FAST)
def _clean(value: float, mean: float) -> float:
    if not math.isfinite(value):
        return mean
    return min(LARGEST, max(-LARGEST, value))


@njit(cache=True, fastmath=FAST)
def scale_block(raw: F64, mean: F64, var: F64, seen: F64, learn: bool, x: F64, z: F64) -> None:
    """Fill `x` and `z`; with `learn` each row moves the scale before it is scaled."""
    n, d = raw.shape
    for i in range(n):
        for j in range(d):
            value = _clean(raw[i, j], mean[j])
            if learn and math.isfinite(raw[i, j]):
                step = max(MEMORY, 1.0 / (seen[j] + 1.0))
                off = value - mean[j]
                if seen[j] >= 30.0 and var[j] > 0.0:
                    far = OUTLIER * math.sqrt(var[j])
                    off = min(far, max(-far, off))
                seen[j] += 1.0
                mean[j] += step * off
                var[j] += step * (off * off - var[j])
            x[i, j] = value
            floor = 1e-12 * mean[j] * mean[j] + 1e-30  # a constant's rounding is no signal
            scaled = (value - mean[j]) / math.sqrt(var[j] + floor)
            z[i, j] = min(CUT, max(-CUT, scaled))


class Frame:
    """Running scale of `n_features` features."""

    def __init__(self, n_features: int) -> None:
        self.mean = np.zeros(n_features)
        self.var = np.zeros(n_features)
        self.seen = np.zeros(n_features)

    def rows(self, raw: F64, learn: bool) -> tuple[F64, F64]:
        """The cleaned and the scaled rows; with `learn` the scale moves along, row by row."""
        x, z = np.empty_like(raw), np.empty_like(raw)
        scale_block(raw, self.mean, self.var, self.seen, learn, x, z)
        return x, z

    def snapshot(self) -> State:
        """Copies of the state."""
        return {"mean": self.mean.copy(), "var": self.var.copy(), "seen": self.seen.copy()}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        self.mean, self.var, self.seen = (
            np.array(arrays[name], np.float64) for name in ("mean", "var", "seen")
        )
