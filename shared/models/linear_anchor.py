"""A linear model behind imputation and scaling, frozen, as a handful of arrays."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from shared.models.port import F64
from shared.models.standardised import StandardisedAnchor, dense, softmax, two_columns


class LinearAnchor(StandardisedAnchor):
    """scores = z @ weights + bias; softmax for classes. `weights` [d, C]; regression: C = 1."""

    kind: ClassVar[str] = "linear"
    models = ("LogisticRegression", "Ridge", "LinearRegression", "Lasso", "ElasticNet")
    names = ("weights", "bias")
    weights: F64
    bias: F64

    @classmethod
    def _carried(cls, steps: Sequence[Any], regression: bool) -> dict[str, Any]:
        model = steps[-1]
        weights, bias = np.atleast_2d(model.coef_).T, np.atleast_1d(model.intercept_)
        if regression:
            return {"weights": weights, "bias": np.resize(bias, 1)}
        weights, bias = two_columns(weights, bias)
        return {"weights": weights, "bias": bias}

    def _answers(self, z: F64) -> F64:
        scores = dense(z, self.weights, self.bias)
        return softmax(scores) if len(self._arrays["places"]) else scores
