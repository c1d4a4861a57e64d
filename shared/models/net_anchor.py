"""A small neural net (one hidden layer of rectified units) behind imputation and scaling, frozen."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from shared.models.port import F64
from shared.models.standardised import StandardisedAnchor, dense, softmax, two_columns


class NetAnchor(StandardisedAnchor):
    """scores = max(0, z @ inner + inner_bias) @ weights + bias; softmax for classes.

    `inner` [d, h], `weights` [h, C].
    """

    kind: ClassVar[str] = "neural net"
    models = ("MLPClassifier", "MLPRegressor")
    names = ("inner", "inner_bias", "weights", "bias")
    inner: F64
    inner_bias: F64
    weights: F64
    bias: F64

    @classmethod
    def _carried(cls, steps: Sequence[Any], regression: bool) -> dict[str, Any]:
        model = steps[-1]
        if len(model.coefs_) != 2 or model.activation != "relu":
            raise ValueError("only a neural net with one hidden layer of relu can be carried over")
        weights, bias = model.coefs_[1], model.intercepts_[1]
        if not regression:
            weights, bias = two_columns(weights, bias)
        inner = {"inner": model.coefs_[0], "inner_bias": model.intercepts_[0]}
        return {**inner, "weights": weights, "bias": bias}

    def _answers(self, z: F64) -> F64:
        hidden = np.maximum(0.0, dense(z, self.inner, self.inner_bias))
        scores = dense(hidden, self.weights, self.bias)
        return softmax(scores) if len(self._arrays["places"]) else scores
