"""The linear baseline: stochastic gradient descent on standardised features.

The same numbers as River's `StandardScaler() | LogisticRegression()` (one-vs-rest beyond two classes)
and `StandardScaler() | LinearRegression()` with their defaults (learning rate .01), over plain arrays,
so that the state needs no pickle. It differs where River would break: a missing value is the mean,
standardised values are held within +-20, and a step never overshoots, so it cannot diverge.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

F64 = npt.NDArray[np.float64]

RATE = 0.01
Z_LIMIT = 20.0
MOST_CORRECTION = 1.0
"""A step on the squared loss takes away at most all of the error at hand (as normalised LMS)."""


def _standardise(x: F64, mean: F64, variance: F64, z: F64) -> None:
    for i in range(x.shape[0]):
        z[i] = 0.0
        if np.isfinite(x[i]) and variance[i] > 0:
            z[i] = min(max((x[i] - mean[i]) / np.sqrt(variance[i]), -Z_LIMIT), Z_LIMIT)


def _raw(z: F64, weights: F64, bias: F64, out: F64) -> None:
    for k in range(weights.shape[0]):
        total = bias[k]
        for i in range(z.shape[0]):
            total += weights[k, i] * z[i]
        out[k] = total


def _scaler_learn(x: F64, count: F64, mean: F64, variance: F64) -> None:
    for i in range(x.shape[0]):
        if np.isfinite(x[i]):
            count[i] += 1
            apart = x[i] - mean[i]
            mean[i] += apart / count[i]
            variance[i] += (apart * (x[i] - mean[i]) - variance[i]) / count[i]


def _step(z: F64, raw: F64, target: F64, weights: F64, bias: F64, logistic: bool) -> None:
    length = 1.0
    for i in range(z.shape[0]):
        length += z[i] * z[i]
    for k in range(raw.shape[0]):
        if logistic:
            step = RATE * (1 / (1 + np.exp(-raw[k])) - target[k])
        else:
            step = min(2 * RATE, MOST_CORRECTION / length) * (raw[k] - target[k])
        bias[k] -= step
        for i in range(z.shape[0]):
            weights[k, i] -= step * z[i]


standardise: Any = njit(cache=True)(_standardise)
raw_outputs: Any = njit(cache=True)(_raw)
scaler_learn: Any = njit(cache=True)(_scaler_learn)
gradient_step: Any = njit(cache=True)(_step)


class Linear:
    """Online linear model over [d] feature vectors; one output for two classes or a number."""

    _NAMES = ("count", "mean", "variance", "weights", "bias")

    def __init__(self, n_features: int, n_outputs: int, logistic: bool) -> None:
        self._logistic = logistic
        self._count = np.zeros(n_features)
        self._mean = np.zeros(n_features)
        self._variance = np.zeros(n_features)
        self._weights = np.zeros((n_outputs, n_features))
        self._bias = np.zeros(n_outputs)

    def predict(self, x: F64) -> F64:
        """[outputs] at `x` [d] (NaN: missing): numbers, or probabilities when logistic."""
        z, raw = np.empty(len(x)), np.empty(len(self._bias))
        standardise(x, self._mean, self._variance, z)
        raw_outputs(z, self._weights, self._bias, raw)
        return 1 / (1 + np.exp(-raw)) if self._logistic else raw

    def learn(self, x: F64, target: F64) -> None:
        """One step towards `target` [outputs] (0/1 when logistic), the scaler first."""
        z, raw = np.empty(len(x)), np.empty(len(self._bias))
        scaler_learn(x, self._count, self._mean, self._variance)
        standardise(x, self._mean, self._variance, z)
        raw_outputs(z, self._weights, self._bias, raw)
        gradient_step(z, raw, target, self._weights, self._bias, self._logistic)

    def grow(self, n_outputs: int) -> None:
        """Room for more outputs; what was learned stays.

        From one output (the second of two classes) to three and more, the first class's is its mirror.
        """
        old = len(self._bias)
        if n_outputs <= old:
            return
        weights, bias = self._weights, self._bias
        if old == 1 and self._logistic:
            weights, bias = np.vstack([-weights, weights]), np.concatenate([-bias, bias])
        more = n_outputs - len(bias)
        self._weights = np.pad(weights, ((0, more), (0, 0)))
        self._bias = np.pad(bias, (0, more))

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the state."""
        return {name: getattr(self, f"_{name}").copy() for name in self._NAMES}

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Continue exactly."""
        for name in self._NAMES:
            setattr(self, f"_{name}", arrays[name].astype(np.float64))
