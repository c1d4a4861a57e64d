"""A linear model behind imputation and scaling, frozen, as a handful of arrays."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from shared.models.class_places import class_places, spread
from shared.models.port import F64, I64, Arrays, State

# by name, so that serving needs no scikit-learn
LINEAR = ("LogisticRegression", "Ridge", "LinearRegression", "Lasso", "ElasticNet")


def _name(step: Any) -> str:
    kind = type(step)
    return str(kind.__name__) if kind.__module__.startswith("sklearn.") else ""


def _steps(fitted: Any) -> list[Any]:
    """The steps of a pipeline; of another model the model itself."""
    return [step for _, step in fitted.steps] if _name(fitted) == "Pipeline" else [fitted]


class LinearAnchor:
    """scores = ((x with NaN filled) - mean) / scale @ weights + bias; softmax for classes.

    `weights` [d, C], `places` where the C classes stand among `n_classes`; regression: C = 1 and no
    places.
    """

    kind: ClassVar[str] = "linear"

    def __init__(
        self,
        fill: F64,
        mean: F64,
        scale: F64,
        weights: F64,
        bias: F64,
        places: I64,
        n_classes: int,
    ) -> None:
        self.fill, self.mean, self.scale = fill, mean, scale
        self.weights, self.bias = weights, bias
        self.places, self.n_classes = places, n_classes

    @staticmethod
    def takes(fitted: Any) -> bool:
        """Whether `from_sklearn` can carry the model over."""
        return _name(_steps(fitted)[-1]) in LINEAR

    @classmethod
    def from_sklearn(cls, fitted: Any, classes: Sequence[Any] = ()) -> Self:
        """Of a linear model, or of a pipeline imputer? - scaler? - linear model.

        Raises:
            ValueError: another step is in the pipeline, or a class is unknown to the pool.
        """
        *before, model = _steps(fitted)
        if _name(model) not in LINEAR:
            raise ValueError(f"{type(model).__name__} is no linear model that can be carried over")
        d = model.n_features_in_
        fill, mean, scale = np.zeros(d), np.zeros(d), np.ones(d)
        for step in before:
            if _name(step) == "SimpleImputer" and not step.add_indicator:
                fill = np.nan_to_num(np.asarray(step.statistics_, np.float64))
            elif _name(step) == "StandardScaler":
                mean = np.zeros(d) if step.mean_ is None else step.mean_
                scale = np.ones(d) if step.scale_ is None else step.scale_
            else:
                raise ValueError(
                    f"a linear anchor cannot carry the step {type(step).__name__}; use SimpleImputer "
                    "(without indicator) and StandardScaler"
                )
        weights, bias = np.atleast_2d(model.coef_).T, np.atleast_1d(model.intercept_)
        if _name(model) != "LogisticRegression":
            return cls(fill, mean, scale, weights, np.resize(bias, 1), np.zeros(0, np.int64), 1)
        if weights.shape[1] == 1:  # two classes, one score
            weights, bias = np.c_[0.0 * weights, weights], np.r_[0.0, bias]
        places = class_places(model.classes_.tolist(), classes)
        return cls(fill, mean, scale, weights, bias, places, len(classes))

    def predict_many(self, x: F64) -> F64:
        """Probabilities or predictions, [n, K]."""
        filled = np.where(np.isfinite(x), x, self.fill)
        # row by row in a fixed order: a product over a block may round otherwise than over a row
        scores = (
            np.einsum("nd,dc->nc", (filled - self.mean) / self.scale, self.weights) + self.bias
        )
        if not len(self.places):
            return np.asarray(scores)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        return spread(p / p.sum(axis=1, keepdims=True), self.places, self.n_classes)

    def snapshot(self) -> State:
        """The whole model as plain arrays."""
        return {
            "fill": self.fill, "mean": self.mean, "scale": self.scale, "weights": self.weights,
            "bias": self.bias, "places": self.places, "n_classes": np.array([self.n_classes]),
        }  # fmt: skip

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """The model of a snapshot."""
        fill, mean, scale, weights, bias = (
            np.asarray(arrays[name], np.float64)
            for name in ("fill", "mean", "scale", "weights", "bias")
        )
        places = np.asarray(arrays["places"], np.int64)
        return cls(fill, mean, scale, weights, bias, places, int(arrays["n_classes"][0]))
