"""Linear regression on random Fourier and plain scaled features, AdaGrad with forgetting."""

import math

import numpy as np
from numba import njit

from shared.models.fourier import KEEP, adagrad, features, waves
from shared.models.port import F32, F64, FAST, Expert, Labels, Rows
from shared.models.rls import dot, move_target

STEPS = (0.01, 0.03, 0.1)
START = 1e-1
FAR = 3.0  # deviations of the target; a larger miss counts as this large
CUT = 10.0


@njit(cache=True, fastmath=FAST, forceinline=True)
def _fill(z: F64, directions: F64, phases: F64, f: F64) -> None:
    features(z, directions, phases, f)
    n_waves = phases.shape[0]
    for j in range(z.shape[0]):
        f[n_waves + j] = z[j]
    f[-1] = 1.0


@njit(cache=True, fastmath=FAST)
def _predict(
    z: F64, directions: F64, phases: F64, w: F64, scale: F64, out: F32, first: int
) -> None:
    f = np.empty(w.shape[1])
    for i in range(z.shape[0]):
        _fill(z[i], directions, phases, f)
        for r in range(w.shape[0]):
            p = min(CUT, max(-CUT, dot(w[r], f)))
            out[i, first + r, 0] = p * math.sqrt(scale[2]) + scale[1]


@njit(cache=True, fastmath=FAST)
def _learn(
    z: F64, y: F64, directions: F64, phases: F64, w: F64, squares: F64, steps: F64, scale: F64
) -> None:
    f = np.empty(w.shape[1])
    for i in range(z.shape[0]):
        if scale[2] > 0.0:
            _fill(z[i], directions, phases, f)
            target = (y[i] - scale[1]) / math.sqrt(scale[2])
            for r in range(w.shape[0]):
                error = min(FAR, max(-FAR, dot(w[r], f) - target))
                adagrad(w[r], squares[r], KEEP, steps[r], error, f)
        move_target(scale, y[i])


class FourierRegression(Expert):
    """One column a step size. State: weights and squared gradients [steps, waves + d + 1]."""

    arrays = ("weights", "squares", "scale")

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = tuple(f"fourier-{step}" for step in STEPS)
        self.directions, self.phases = waves(n_features, 1.0 / math.sqrt(n_features), seed)
        self.steps = np.array(STEPS)
        size = len(self.phases) + n_features + 1
        self.weights = np.zeros((len(STEPS), size))
        self.squares = np.full_like(self.weights, START)
        self.scale = np.zeros(3)

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """The linear prediction."""
        _predict(rows.z, self.directions, self.phases, self.weights, self.scale, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """One AdaGrad step an event."""
        _learn(
            rows.z, y, self.directions, self.phases, self.weights, self.squares, self.steps,
            self.scale,
        )  # fmt: skip
