"""A support vector machine on a Gaussian kernel, frozen.

The kernel is the Nyström approximation (Williams and Seeger 2001) from some hundred rows: a machine on
all pairs of rows costs minutes to fit and a pass over its support vectors an event. Probabilities are
Platt's sigmoid of the score (Platt 1999), in scikit-learn's form.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from shared.models.port import F64, I64
from shared.models.standardised import (
    StandardisedAnchor,
    dense,
    sklearn_name,
    softmax,
    two_columns,
)


class KernelAnchor(StandardisedAnchor):
    """scores = exp(-gamma |z - landmark|^2) @ weights + bias.

    `landmarks` [m, d], `weights` [m, C] (with the kernel's normalisation in them). Two classes:
    softmax. More (`one_by_one`): a sigmoid each, normalised.
    """

    kind: ClassVar[str] = "kernel machine"
    models = ("CalibratedClassifierCV", "LinearSVR")
    names = ("landmarks", "gamma", "weights", "bias", "one_by_one")
    landmarks: F64
    gamma: F64
    weights: F64
    bias: F64
    one_by_one: I64

    @classmethod
    def _knows(cls, step: Any) -> bool:
        return sklearn_name(step) == "Nystroem"

    @classmethod
    def _carried(cls, steps: Sequence[Any], regression: bool) -> dict[str, Any]:
        *before, model = steps
        kernel = before[-1] if before else None
        if kernel is None or not cls._knows(kernel) or kernel.kernel != "rbf" or not kernel.gamma:
            raise ValueError("a kernel machine needs a step Nystroem with kernel rbf and a gamma")
        weights, bias = _linear(model, regression)
        many = weights.shape[1] > 1
        if not regression:
            weights, bias = two_columns(weights, bias)
        return {
            "landmarks": kernel.components_,
            "gamma": np.array([float(kernel.gamma)]),
            "weights": kernel.normalization_.T @ weights,
            "bias": bias,
            "one_by_one": np.array([int(many)]),
        }

    def _answers(self, z: F64) -> F64:
        apart = np.einsum("nd,nd->n", z, z)[:, None] - 2.0 * dense(
            z, self.landmarks.T, np.zeros(1)
        )
        apart += np.einsum("md,md->m", self.landmarks, self.landmarks)
        scores = dense(np.exp(-self.gamma[0] * np.maximum(apart, 0.0)), self.weights, self.bias)
        if not len(self._arrays["places"]):
            return scores
        if not self.one_by_one[0]:
            return softmax(scores)
        p = 1.0 / (1.0 + np.exp(-scores))
        total = p.sum(axis=1, keepdims=True)
        return np.where(total > 0, p / np.where(total > 0, total, 1.0), 1.0 / p.shape[1])


def _linear(model: Any, regression: bool) -> tuple[F64, F64]:
    """[m, C] weights and [C] bias of the machine, with Platt's a and b of each class in them."""
    if regression:
        return np.atleast_2d(model.coef_).T, np.atleast_1d(model.intercept_)
    if len(model.calibrated_classifiers_) != 1 or model.method != "sigmoid":
        raise ValueError(
            "only CalibratedClassifierCV(ensemble=False, method='sigmoid') is carried"
        )
    inner = model.calibrated_classifiers_[0]
    a = np.array([calibrator.a_ for calibrator in inner.calibrators])
    b = np.array([calibrator.b_ for calibrator in inner.calibrators])
    machine = inner.estimator
    return -a * machine.coef_.T, -(a * machine.intercept_ + b)
