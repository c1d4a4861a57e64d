"""Softmax regressions on random Fourier features (Rahimi & Recht 2007), AdaGrad with forgetting.

The features approximate a Gaussian kernel on the scaled inputs; several step sizes share them. Of two
classes one has weights, the other's are their mirror: the gradients are. Weights are in single
precision: the root and the division of AdaGrad are most of the cost.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from shared.models.port import F32, F64, FAST, I64, Expert, Labels, Rows, widen
from shared.models.scores import normalise

STEPS = (0.02, 0.08, 0.25)
N_WAVES = 200
KEEP = 0.9995  # of the squared gradients, an event
START = 1e-2  # squared gradient before the first event


def waves(n_features: int, width: float, seed: int) -> tuple[F64, F64]:
    """Directions [d, waves] and phases [waves] for a kernel of that `width`, from the seed alone."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n_features, N_WAVES)) * width
    return directions, rng.uniform(0.0, 2.0 * math.pi, N_WAVES)


@njit(cache=True, fastmath={"contract", "arcp"}, error_model="numpy", forceinline=True)
def cosine(x: float) -> float:
    """cos(x) within 1e-15 for |x| < 100, in steps that vectorise (libm's is a call a number).

    Taylor's series on what is left of `x` beyond whole half turns, pi in two parts.
    """
    turns = np.rint(x * (1.0 / math.pi))
    r = (x - turns * math.pi) - turns * 1.2246467991473532e-16
    p = 1.0
    for k in range(20, 0, -2):
        p = 1.0 - r * r / (k * (k - 1.0)) * p
    odd: float = turns - 2.0 * np.floor(0.5 * turns)
    return p * (1.0 - 2.0 * odd)


@njit(cache=True, fastmath=FAST, forceinline=True)
def features(z: F64, directions: F64, phases: F64, f: F64) -> None:
    """`f[:waves]` = sqrt(2) cos(z directions + phases)."""
    n_waves = phases.shape[0]
    for q in range(n_waves):
        f[q] = phases[q]
    for j in range(z.shape[0]):
        for q in range(n_waves):
            f[q] += z[j] * directions[j, q]
    for q in range(n_waves):
        f[q] = 1.4142135623730951 * cosine(f[q])


@njit(cache=True, fastmath=FAST, forceinline=True)
def _proba(f: F32, w: F32, p: F64) -> None:
    """`p` [K] = softmax(w f) for `w` [K, D], or [1, D] of two classes: the second one's scores."""
    for c in range(w.shape[0]):
        s = np.float32(0.0)
        for q in range(f.shape[0]):
            s += f[q] * w[c, q]
        p[c] = s
    if w.shape[0] == 1:
        p[1] = 1.0 / (1.0 + math.exp(-2.0 * p[0]))
        p[0] = 1.0 - p[1]
        return
    normalise(p)


@njit(cache=True, fastmath=FAST)
def _predict(z: F64, directions: F64, phases: F64, w: F32, out: F32, first: int) -> None:
    wide, f, p = np.ones(w.shape[2]), np.empty(w.shape[2], np.float32), np.empty(out.shape[2])
    for i in range(z.shape[0]):
        features(z[i], directions, phases, wide)
        for q in range(f.shape[0]):
            f[q] = wide[q]
        for r in range(w.shape[0]):
            _proba(f, w[r], p)
            for c in range(p.shape[0]):
                out[i, first + r, c] = p[c]


@njit(
    cache=True, fastmath=FAST, error_model="numpy", forceinline=True
)  # a check of the divisor stops vectors
def adagrad(w: Any, g2: Any, keep: Any, step: Any, err: Any, f: Any) -> None:
    """One step of `w` against the gradient `err` f; `g2`: its squares, decayed by `keep`.

    In the precision of the arguments, all of one: float32 or float64.
    """
    for q in range(f.shape[0]):
        g = f[q] * err
        g2[q] = keep * g2[q] + g * g
        w[q] -= step * g / np.sqrt(g2[q])


@njit(cache=True, fastmath=FAST)
def _learn(z: F64, y: I64, directions: F64, phases: F64, w: F32, g2: F32, steps: F64) -> None:
    single, n_rows = np.float32, w.shape[1]
    wide, f, p = np.ones(w.shape[2]), np.empty(w.shape[2], single), np.empty(max(2, n_rows))
    for i in range(z.shape[0]):
        features(z[i], directions, phases, wide)
        for q in range(f.shape[0]):
            f[q] = wide[q]
        for r in range(w.shape[0]):
            _proba(f, w[r], p)
            p[y[i]] -= 1.0
            for c in range(n_rows):
                err = p[1] if n_rows == 1 else p[c]
                adagrad(w[r, c], g2[r, c], single(KEEP), single(steps[r]), single(err), f)


class Fourier(Expert):
    """One column a step size. State: weights and squared gradients [steps, K, waves + 1].

    Of two classes: [steps, 1, waves + 1], the second one's.
    """

    arrays = ("weights", "squares")
    cost_us = 12.0

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = tuple(f"fourier-{step}" for step in STEPS)
        width = 1.2 / math.sqrt(n_features) if n_features > 3 else 1.5
        self.directions, self.phases = waves(n_features, width, seed)
        self.steps = np.array(STEPS)
        rows = 1 if n_classes == 2 else n_classes
        self.weights = np.zeros((len(STEPS), rows, N_WAVES + 1), np.float32)
        self.squares = np.full_like(self.weights, START)

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """Softmax of the linear scores."""
        _predict(rows.z, self.directions, self.phases, self.weights, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """One AdaGrad step an event."""
        _learn(rows.z, y, self.directions, self.phases, self.weights, self.squares, self.steps)

    def grow(self, n_classes: int) -> None:
        """A new class starts at weight 0; the first of two is written out."""
        if self.weights.shape[1] == 1:
            self.weights = np.concatenate([-self.weights, self.weights], axis=1)
            self.squares = np.concatenate([self.squares, self.squares], axis=1)
        self.weights = widen(self.weights, (1,), n_classes, 0.0)
        self.squares = widen(self.squares, (1,), n_classes, START)
