"""What most anchors share: imputation and scaling before, classes at their places after."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from shared.models.class_places import class_places, spread
from shared.models.port import F64, Arrays, State


def sklearn_name(step: Any) -> str:
    """The class of a scikit-learn object, by name (serving needs no scikit-learn); else empty."""
    kind = type(step)
    return str(kind.__name__) if kind.__module__.startswith("sklearn.") else ""


def steps_of(fitted: Any) -> list[Any]:
    """The steps of a pipeline, also behind a scaled target; of another model the model itself."""
    if sklearn_name(fitted) == "TransformedTargetRegressor":
        fitted = fitted.regressor_
    if sklearn_name(fitted) == "Pipeline":
        return [step for _, step in fitted.steps]
    return [fitted]


def softmax(scores: F64) -> F64:
    """[n, C] scores as probabilities."""
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def two_columns(weights: F64, bias: F64) -> tuple[F64, F64]:
    """A single score of two classes as one score each."""
    if weights.shape[1] == 1:
        return np.c_[0.0 * weights, weights], np.r_[0.0, bias]
    return weights, bias


def dense(x: F64, weights: F64, bias: F64) -> F64:
    """x @ weights + bias, row by row in a fixed order: a product over a block may round otherwise."""
    return np.asarray(np.einsum("nd,dc->nc", x, weights) + bias)


class StandardisedAnchor:
    """z = ((x with NaN filled) - mean) / scale, then what a subclass makes of z with its `names`.

    `places` is where the model's classes stand among `n_classes`; a regression has none.
    """

    kind: ClassVar[str]
    models: ClassVar[tuple[str, ...]]
    """The last steps, by name, that can be carried over."""
    names: ClassVar[tuple[str, ...]]
    _shared: ClassVar[tuple[str, ...]] = ("fill", "mean", "scale", "places", "n_classes")

    def __init__(self, arrays: Arrays) -> None:
        known = (*self._shared, *self.names)
        self._arrays: dict[str, Any] = {n: np.ascontiguousarray(arrays[n]) for n in known}
        for name, value in self._arrays.items():
            setattr(self, name, value)

    @classmethod
    def takes(cls, fitted: Any) -> bool:
        """Whether `from_sklearn` can carry the model over."""
        return sklearn_name(steps_of(fitted)[-1]) in cls.models

    @classmethod
    def from_sklearn(cls, fitted: Any, classes: Sequence[Any] = ()) -> Self:
        """Of a model, or of a pipeline imputer? - scaler? - model.

        Raises:
            ValueError: another step is in the pipeline, or a class is unknown to the pool.
        """
        if not cls.takes(fitted):
            raise ValueError(f"{type(fitted).__name__} is no {cls.kind} model")
        steps = steps_of(fitted)
        labels = getattr(steps[-1], "classes_", None)
        places, n_classes = np.zeros(0, np.int64), 1
        if labels is not None:
            places, n_classes = class_places(labels.tolist(), classes), len(classes)
        arrays = {"places": places, "n_classes": np.array([n_classes]), **cls._standard(steps)}
        own = cls._carried(steps, labels is None)
        if sklearn_name(fitted) == "TransformedTargetRegressor":
            target = fitted.transformer_
            own["weights"] = own["weights"] * target.scale_[0]
            own["bias"] = own["bias"] * target.scale_[0] + target.mean_[0]
        return cls({**arrays, **own})

    @classmethod
    def _carried(cls, steps: Sequence[Any], regression: bool) -> dict[str, Any]:
        """The arrays `names` of the last steps."""
        raise NotImplementedError

    @classmethod
    def _standard(cls, steps: Sequence[Any]) -> dict[str, Any]:
        d = steps[0].n_features_in_
        out = {"fill": np.zeros(d), "mean": np.zeros(d), "scale": np.ones(d)}
        for step in steps[:-1]:
            if sklearn_name(step) == "SimpleImputer" and not step.add_indicator:
                out["fill"] = np.nan_to_num(np.asarray(step.statistics_, np.float64))
            elif sklearn_name(step) == "StandardScaler":
                out["mean"] = np.zeros(d) if step.mean_ is None else step.mean_
                out["scale"] = np.ones(d) if step.scale_ is None else step.scale_
            elif not cls._knows(step):
                raise ValueError(
                    f"a {cls.kind} anchor cannot carry the step {type(step).__name__}; use "
                    "SimpleImputer (without indicator) and StandardScaler"
                )
        return out

    @classmethod
    def _knows(cls, step: Any) -> bool:
        """Whether another step before the model is carried over by `_carried`."""
        return False

    def _answers(self, z: F64) -> F64:
        """[n, C] probabilities of the classes at `places`, or [n, 1] predictions."""
        raise NotImplementedError

    def predict_many(self, x: F64) -> F64:
        """Probabilities or predictions, [n, K]."""
        a = self._arrays
        answers = self._answers((np.where(np.isfinite(x), x, a["fill"]) - a["mean"]) / a["scale"])
        return (
            spread(answers, a["places"], int(a["n_classes"][0])) if len(a["places"]) else answers
        )

    def snapshot(self) -> State:
        """The whole model as plain arrays."""
        return dict(self._arrays)

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """The model of a snapshot."""
        return cls(arrays)
