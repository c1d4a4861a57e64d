"""The table of expert families: a new one is one file and one line here."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from shared.models.counts import Counts
from shared.models.forest import Forest
from shared.models.fourier import Fourier
from shared.models.fourier_regression import FourierRegression
from shared.models.mondrian import MondrianForest
from shared.models.neighbours import Neighbours
from shared.models.on_view import OnView
from shared.models.persistence import Persistence
from shared.models.port import Expert, Task
from shared.models.regression_forest import RegressionForest
from shared.models.rls import LeastSquares
from shared.models.seasons import Seasons
from shared.models.softmax import Softmax

VIEW_STEPS = (0.002, 0.01, 0.05)  # smaller than those of `softmax`: a view has more columns

# (n_features, n_classes, seed) -> a fresh expert
Make = Callable[[int, int, int], Expert]


def _river(name: str, path: str, scaled: bool = False, **arguments: Any) -> Make:
    """A table line for the River model at `path`; its classes must be on the list in
    `river_expert.py`. River takes seconds to import, so only a pool that has such a member does.
    """

    def make(n_features: int, n_classes: int, seed: int) -> Expert:
        from shared.models.river_expert import RiverExpert

        module, _, model = path.rpartition(".")
        return RiverExpert(
            name, partial(getattr(import_module(f"river.{module}"), model), **arguments), scaled
        )

    return make


def _on_view(make: Make) -> Make:
    """A table line for an expert that looks at the view instead of the features (`on_view.py`)."""
    return partial(OnView, make)


_CLASSIFIERS: dict[str, Make] = {
    "softmax": Softmax,
    "fourier": Fourier,
    "neighbours": Neighbours,
    "counts": Counts,
    "seasons": Seasons,
    "forest": Forest,
    "view-softmax": _on_view(partial(Softmax, steps=VIEW_STEPS)),
    "view-forest": _on_view(Forest),
    "mondrian": MondrianForest,
    "river-logistic": _river("river-logistic", "linear_model.LogisticRegression", scaled=True),
    "river-softmax": _river("river-softmax", "linear_model.SoftmaxRegression", scaled=True),
    "river-tree": _river("river-tree", "tree.HoeffdingTreeClassifier", max_depth=10),
}
_REGRESSORS: dict[str, Make] = {
    "least-squares": LeastSquares,
    "fourier": FourierRegression,
    "neighbours": Neighbours,
    "forest": RegressionForest,
    "view-least-squares": _on_view(LeastSquares),
    "view-forest": _on_view(RegressionForest),
    "persistence": Persistence,
    "river-tree": _river("river-tree", "tree.HoeffdingTreeRegressor", max_depth=8),
}

EXPERTS: Mapping[Task, Mapping[str, Make]] = {
    "binary": _CLASSIFIERS,
    "multiclass": _CLASSIFIERS,
    "regression": _REGRESSORS,
}
_COMMON = (
    "softmax", "fourier", "neighbours", "counts", "seasons", "forest", "view-softmax", "view-forest",
    "mondrian",
)  # fmt: skip
_REGRESSION = (
    "least-squares", "fourier", "neighbours", "forest", "view-least-squares", "persistence",
)  # fmt: skip


def default_experts(task: Task) -> tuple[str, ...]:
    """The experts of a pool that names none; those of classifiers that add nothing sleep (`naps.py`).

    Left out, though in the table: River's linear models (17 us an event: of two classes, the smallest
    step of `softmax` says the same) and its tree of numbers (it adds nothing to a forest whose leaves
    are linear models).
    """
    return _REGRESSION if task == "regression" else _COMMON
