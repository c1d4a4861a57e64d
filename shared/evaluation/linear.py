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
I64 = npt.NDArray[np.int64]

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


_SCALER = ("count", "mean", "variance")

standardise: Any = njit(cache=True)(_standardise)
raw_outputs: Any = njit(cache=True)(_raw)
scaler_learn: Any = njit(cache=True)(_scaler_learn)
gradient_step: Any = njit(cache=True)(_step)


@njit(cache=True)
def predict_linear(x: F64, state: F64, logistic: bool) -> F64:
    """[outputs] at `x`; `state` as in `Linear`."""
    d = x.shape[0]
    z, out = np.empty(d), np.empty(state.shape[0] - 3)
    standardise(x, state[1], state[2], z)
    raw_outputs(z, state[3:, :d], state[3:, d], out)
    if logistic:
        for k in range(out.shape[0]):
            out[k] = 1 / (1 + np.exp(-out[k]))
    return out


@njit(cache=True)
def learn_linear(x: F64, target: F64, state: F64, logistic: bool) -> None:
    """One step; the scaler first."""
    d = x.shape[0]
    z, raw = np.empty(d), np.empty(target.shape[0])
    scaler_learn(x, state[0], state[1], state[2])
    standardise(x, state[1], state[2], z)
    raw_outputs(z, state[3:, :d], state[3:, d], raw)
    gradient_step(z, raw, target, state[3:, :d], state[3:, d], logistic)


@njit(cache=True)
def replay_linear(
    x: F64, target: F64, order: I64, known: I64, state: F64, logistic: bool, out: F64
) -> None:
    """Fill `out` [n, outputs]: row i of `x` [n, d] predicted once the first `known[i]` rows of `order`
    were learned, towards `target` [n, outputs]; `state` as in `Linear`.
    """
    done = 0
    for i in range(x.shape[0]):
        while done < known[i]:
            learn_linear(x[order[done]], target[order[done]], state, logistic)
            done += 1
        out[i] = predict_linear(x[i], state, logistic)


class Linear:
    """Online linear model over [d] feature vectors; one output for two classes or a number.

    `_state` [3 + outputs, d + 1]: the scaler's counts, means and variances (last column unused), then
    the weights of each output with its bias last. One array is one argument to a kernel.
    """

    def __init__(self, n_features: int, n_outputs: int, logistic: bool) -> None:
        self._logistic = logistic
        self._state = np.zeros((3 + n_outputs, n_features + 1))

    def predict(self, x: F64) -> F64:
        """[outputs] at `x` [d] (NaN: missing): numbers, or probabilities when logistic."""
        return np.asarray(predict_linear(x, self._state, self._logistic))

    def learn(self, x: F64, target: F64) -> None:
        """One step towards `target` [outputs] (0/1 when logistic), the scaler first."""
        learn_linear(x, target, self._state, self._logistic)

    def grow(self, n_outputs: int) -> None:
        """Room for more outputs; what was learned stays.

        From one output (the second of two classes) to three and more, the first class's is its mirror.
        """
        old, state = len(self._state) - 3, self._state
        if n_outputs <= old:
            return
        if old == 1 and self._logistic:
            state = np.vstack([state[:3], -state[3:], state[3:]])
        self._state = np.pad(state, ((0, 3 + n_outputs - len(state)), (0, 0)))

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the state."""
        scaler = dict(zip(_SCALER, self._state[:3, :-1].copy(), strict=True))
        outputs = self._state[3:]
        return {**scaler, "weights": outputs[:, :-1].copy(), "bias": outputs[:, -1].copy()}

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Continue exactly."""
        state = np.zeros((3 + len(arrays["bias"]), len(arrays["count"]) + 1))
        for row, name in enumerate(_SCALER):
            state[row, :-1] = arrays[name]
        state[3:, :-1], state[3:, -1] = arrays["weights"], arrays["bias"]
        self._state = state
