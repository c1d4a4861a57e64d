"""Recursive least squares with forgetting, on the scaled features."""

import math

import numpy as np
from numba import njit

from shared.models.port import F32, F64, FAST, Expert, Labels, Rows

FORGET = (0.9995, 0.99)
WAIT = 30.0  # events before the first step: the scale must have settled
RIDGE = 0.1  # least information kept about a weight; an event of one deviation brings 1
CUT = 6.0  # deviations of the target a prediction may lie off
LONGEST = 120  # features used: the cost is quadratic
Y_MEMORY = 0.0005


@njit(cache=True, fastmath=FAST, forceinline=True)
def move_target(scale: F64, y: float) -> None:
    """`scale` = events, mean, variance of the target, memory 2000 events."""
    scale[0] += 1.0
    step = max(1.0 / scale[0], Y_MEMORY)
    off = y - scale[1]
    scale[1] += step * off
    scale[2] += step * (off * off - scale[2])


@njit(cache=True, fastmath=FAST, forceinline=True)
def dot(w: F64, f: F64) -> float:
    """Sum of products."""
    s = 0.0
    for q in range(f.shape[0]):
        s += w[q] * f[q]
    return s


@njit(cache=True, fastmath=FAST, forceinline=True)
def _observe(inverse: F64, k: F64, den: float, keep: float) -> None:
    """`inverse` = (inverse - k k' / den) / keep, exactly symmetric."""
    for j in range(k.shape[0]):
        for q in range(j + 1):
            inverse[j, q] = (inverse[j, q] - k[j] * k[q] / den) / keep
            inverse[q, j] = inverse[j, q]


@njit(cache=True, fastmath=FAST, forceinline=True)
def rls_step(w: F64, inverse: F64, keep: float, f: F64, error: float, turn: int) -> None:
    """One step of recursive least squares on an event of features `f` missed by `error`.

    What forgetting takes, a ridge gives back: each event also observes coordinate `turn` mod n as it
    is, so that `inverse` stays below 1 / RIDGE where the features do not move (no wind-up).
    """
    n = f.shape[0]
    k = np.empty(n)
    den = keep
    for j in range(n):
        k[j] = dot(inverse[j], f)
        den += k[j] * f[j]
    for j in range(n):
        w[j] += k[j] / den * error
    _observe(inverse, k, den, keep)
    j = turn % n
    for q in range(n):
        k[q] = inverse[j, q]
    _observe(inverse, k, 1.0 / (RIDGE * n * (1.0 - keep)) + k[j], 1.0)


@njit(cache=True, fastmath=FAST, forceinline=True)
def _features(z: F64, f: F64) -> None:
    for j in range(f.shape[0] - 1):
        f[j] = z[j]
    f[-1] = 1.0


@njit(cache=True, fastmath=FAST)
def _predict(z: F64, w: F64, scale: F64, out: F32, first: int) -> None:
    f = np.empty(w.shape[1])
    for i in range(z.shape[0]):
        _features(z[i], f)
        for r in range(w.shape[0]):
            p = min(CUT, max(-CUT, dot(w[r], f)))
            out[i, first + r, 0] = p * math.sqrt(scale[2]) + scale[1]


@njit(cache=True, fastmath=FAST)
def _learn(z: F64, y: F64, w: F64, inverse: F64, forget: F64, scale: F64) -> None:
    f = np.empty(w.shape[1])
    for i in range(z.shape[0]):
        if scale[0] >= WAIT and scale[2] > 0.0:
            _features(z[i], f)
            target = (y[i] - scale[1]) / math.sqrt(scale[2])
            for r in range(w.shape[0]):
                p = min(CUT, max(-CUT, dot(w[r], f)))
                rls_step(w[r], inverse[r], forget[r], f, target - p, int(scale[0]))
        move_target(scale, y[i])


class LeastSquares(Expert):
    """One column a rate of forgetting. State: weights and inverse covariance, [2, D + 1, D + 1]."""

    arrays = ("weights", "inverse", "scale")

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = tuple(f"least-squares-{forget}" for forget in FORGET)
        used = min(n_features, LONGEST) + 1
        self.forget = np.array(FORGET)
        self.weights = np.zeros((len(FORGET), used))
        self.inverse = np.tile(np.eye(used) * 10.0, (len(FORGET), 1, 1))
        self.scale = np.zeros(3)

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """The linear prediction, cut at 6 deviations of the target."""
        _predict(rows.z, self.weights, self.scale, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """One exact step an event."""
        _learn(rows.z, y, self.weights, self.inverse, self.forget, self.scale)
