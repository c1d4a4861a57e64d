"""Fitted scikit-learn trees, forests and histogram boosting, served by a compiled traversal.

One row through a scikit-learn forest costs milliseconds, through these arrays microseconds; the
answers are checked in the tests against the library's own.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.models.class_places import class_places, spread
from shared.models.port import F64, I64, Arrays, State

I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
# by name, so that serving needs no scikit-learn
SINGLE = ("DecisionTree", "ExtraTree")
AVERAGED = ("RandomForest", "ExtraTrees")
BOOSTED = ("HistGradientBoosting",)
MEAN, LOGIT, SUM = 0, 1, 2  # what becomes of the leaves' values: `how`


@njit(cache=True)
def sum_leaves(
    x: F64, narrow: bool, feat: I32, thr: F64, left: I32, right: I32, nan_left: U8, root: I32,
    leaf: F64, total: F64,
) -> None:  # fmt: skip
    """Add to `total` [n, V] the leaf values each row reaches; `narrow`: compare in single precision.

    Trees of boosting come one a class in turn: with leaves of one value, tree t adds to t mod V.
    """
    n_values, width = total.shape[1], leaf.shape[1]
    for i in range(x.shape[0]):
        for t in range(root.shape[0]):
            j = root[t]
            while feat[j] >= 0:
                value = x[i, feat[j]]
                if narrow:
                    value = float(np.float32(value))
                go_left = nan_left[j] == 1 if np.isnan(value) else value <= thr[j]
                j = left[j] if go_left else right[j]
            if width == n_values:
                for v in range(width):
                    total[i, v] += leaf[j, v]
            else:
                total[i, t % n_values] += leaf[j, 0]


class TreesAnchor:
    """The nodes of all trees in a row. `base` [V]: added to the sum; `places`: see `spread`."""

    kind: ClassVar[str] = "trees"
    arrays = (
        "feat",
        "thr",
        "left",
        "right",
        "nan_left",
        "root",
        "leaf",
        "base",
        "places",
        "shape",
    )

    def __init__(
        self, nodes: dict[str, Any], base: F64, places: I64, shape: Sequence[int]
    ) -> None:
        self.feat, self.thr, self.nan_left = nodes["feat"], nodes["thr"], nodes["nan_left"]
        self.left, self.right = nodes["left"], nodes["right"]
        self.root, self.leaf = nodes["root"], nodes["leaf"]
        self.base, self.places = base, places
        self.shape = np.array(shape, np.int64)  # classes of the pool, how, narrow

    @classmethod
    def from_sklearn(cls, fitted: Any, classes: Sequence[Any] = ()) -> Self:
        """Of a fitted HistGradientBoosting*, RandomForest*, ExtraTrees* or DecisionTree*.

        `classes`: the pool's class labels in the pool's order (of the type the model was fitted on).

        Raises:
            ValueError: another kind of model, categorical splits, or a class unknown to the pool.
        """
        labels = getattr(fitted, "classes_", None)
        places = (
            np.zeros(0, np.int64) if labels is None else class_places(labels.tolist(), classes)
        )
        n_classes = max(1, len(classes))
        family = _family(fitted)
        if family in BOOSTED:
            return cls._of_boosting(fitted, places, n_classes)
        if family not in SINGLE + AVERAGED:
            raise ValueError(f"{type(fitted).__name__} is no tree model that can be carried over")
        trees = [fitted] if family in SINGLE else list(fitted.estimators_)
        parts = [_of_tree(tree.tree_, labels is not None) for tree in trees]
        nodes = _joined(parts)
        return cls(nodes, np.zeros(nodes["leaf"].shape[1]), places, (n_classes, MEAN, 1))

    @classmethod
    def _of_boosting(cls, fitted: Any, places: I64, n_classes: int) -> Self:
        if fitted.is_categorical_ is not None and np.any(fitted.is_categorical_):
            raise ValueError("categorical splits of histogram boosting cannot be carried over")
        classifier = hasattr(fitted, "classes_")
        if not classifier and fitted.loss not in ("squared_error", "absolute_error", "quantile"):
            raise ValueError(f"boosting with the loss {fitted.loss!r} cannot be carried over")
        parts = [_of_predictor(tree.nodes) for row in fitted._predictors for tree in row]
        base = np.asarray(fitted._baseline_prediction, np.float64).reshape(-1)
        return cls(_joined(parts), base, places, (n_classes, LOGIT if classifier else SUM, 0))

    def predict_many(self, x: F64) -> F64:
        """Probabilities or predictions, [n, K]."""
        n_classes, how, narrow = (int(v) for v in self.shape)
        total = np.tile(self.base, (len(x), 1))
        sum_leaves(
            np.ascontiguousarray(x, np.float64), narrow == 1, self.feat, self.thr, self.left,
            self.right, self.nan_left, self.root, self.leaf, total,
        )  # fmt: skip
        if how == MEAN:
            total /= len(self.root)
        elif how == LOGIT:
            total = _probabilities(total)
        return spread(total, self.places, n_classes) if len(self.places) else total

    def snapshot(self) -> State:
        """The whole model as plain arrays."""
        return {name: getattr(self, name) for name in self.arrays}

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """The model of a snapshot."""
        plain: dict[str, Any] = {name: np.ascontiguousarray(arrays[name]) for name in cls.arrays}
        return cls(plain, plain["base"], plain["places"], plain["shape"].tolist())


def _family(fitted: Any) -> str:
    """`RandomForest` of a scikit-learn RandomForestClassifier; empty if not scikit-learn's."""
    kind = type(fitted)
    name = str(kind.__name__)
    known = kind.__module__.startswith("sklearn.")
    return name.removesuffix("Classifier").removesuffix("Regressor") if known else ""


def _probabilities(scores: F64) -> F64:
    if scores.shape[1] == 1:
        p = 1.0 / (1.0 + np.exp(-scores))
        return np.hstack([1.0 - p, p])
    e: F64 = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _of_tree(tree: Any, classifier: bool) -> dict[str, Any]:
    """The nodes of one scikit-learn tree; a classifier's leaves hold class shares."""
    values = tree.value[:, 0, :].astype(np.float64)
    if classifier:
        values = values / values.sum(axis=1, keepdims=True)
    return {
        "feat": np.where(tree.children_left < 0, -1, tree.feature).astype(np.int32),
        "thr": tree.threshold.astype(np.float64),
        "left": tree.children_left, "right": tree.children_right,
        "nan_left": tree.missing_go_to_left.astype(np.uint8), "leaf": values,
    }  # fmt: skip


def _of_predictor(nodes: Any) -> dict[str, Any]:
    """The nodes of one tree of histogram boosting."""
    is_leaf = nodes["is_leaf"].astype(bool)
    return {
        "feat": np.where(is_leaf, -1, nodes["feature_idx"]).astype(np.int32),
        "thr": nodes["num_threshold"].astype(np.float64),
        "left": nodes["left"].astype(np.int64), "right": nodes["right"].astype(np.int64),
        "nan_left": nodes["missing_go_to_left"].astype(np.uint8),
        "leaf": nodes["value"].astype(np.float64)[:, None],
    }  # fmt: skip


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One set of arrays for all trees; children are counted through."""
    root = np.cumsum([0, *(len(part["feat"]) for part in parts[:-1])]).astype(np.int32)
    joined: dict[str, Any] = {"root": root}
    for name in ("feat", "thr", "nan_left", "leaf"):
        joined[name] = np.concatenate([part[name] for part in parts])
    for name in ("left", "right"):
        moved = [part[name] + first for part, first in zip(parts, root, strict=True)]
        joined[name] = np.concatenate(moved).astype(np.int32)
    return joined


def compile_traversal() -> None:
    """Compile the traversal (see `warm.py`)."""
    leaf = {"feat": -1, "thr": 0.0, "nan_left": 0, "left": -1, "right": -1, "leaf": [0.0]}
    kinds = {"feat": np.int32, "nan_left": np.uint8}
    part = {name: np.array([value], kinds.get(name)) for name, value in leaf.items()}
    anchor = TreesAnchor(_joined([part]), np.zeros(1), np.zeros(0, np.int64), (1, SUM, 0))
    anchor.predict_many(np.zeros((1, 1)))
