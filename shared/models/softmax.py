"""Softmax regressions on the scaled features, plain stochastic gradient at several step sizes."""

from collections.abc import Sequence

import numpy as np
from numba import njit

from shared.models.port import F32, F64, FAST, I64, Expert, Labels, Rows, widen
from shared.models.scores import normalise

STEPS = (0.005, 0.01, 0.05, 0.2)  # the first is River's LogisticRegression (.01) of two classes


@njit(cache=True, fastmath=FAST, forceinline=True)
def softmax(f: F64, w: F64, p: F64) -> None:
    """`p` = softmax(w f) for `w` [K, D]."""
    for c in range(w.shape[0]):
        s = 0.0
        for q in range(f.shape[0]):
            s += f[q] * w[c, q]
        p[c] = s
    normalise(p)


@njit(cache=True, fastmath=FAST)
def _predict(z: F64, w: F64, out: F32, first: int) -> None:
    n, d = z.shape
    f, p = np.ones(d + 1), np.empty(w.shape[1])
    for i in range(n):
        for q in range(d):
            f[q] = z[i, q]
        for r in range(w.shape[0]):
            softmax(f, w[r], p)
            for c in range(p.shape[0]):
                out[i, first + r, c] = p[c]


@njit(cache=True, fastmath=FAST)
def _learn(z: F64, y: I64, w: F64, steps: F64) -> None:
    n, d = z.shape
    f, p = np.ones(d + 1), np.empty(w.shape[1])
    for i in range(n):
        for q in range(d):
            f[q] = z[i, q]
        for r in range(w.shape[0]):
            softmax(f, w[r], p)
            p[y[i]] -= 1.0
            for c in range(w.shape[1]):
                g = steps[r] * p[c]
                for q in range(d + 1):
                    w[r, c, q] -= g * f[q]


class Softmax(Expert):
    """One column a step size. State: weights [steps, K, d + 1]."""

    arrays = ("weights",)

    def __init__(
        self, n_features: int, n_classes: int, seed: int, steps: Sequence[float] = STEPS
    ) -> None:
        self.names = tuple(f"softmax-{step}" for step in steps)
        self.steps = np.array(steps)
        self.weights = np.zeros((len(steps), n_classes, n_features + 1))

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """Softmax of the linear scores."""
        _predict(rows.z, self.weights, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """One gradient step an event."""
        _learn(rows.z, y, self.weights, self.steps)

    def grow(self, n_classes: int) -> None:
        """A new class starts at weight 0."""
        self.weights = widen(self.weights, (1,), n_classes, 0.0)
