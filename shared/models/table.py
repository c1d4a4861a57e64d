"""The table of expert families: a new one is one file and one line here."""

from collections.abc import Callable, Mapping

from river import tree

from shared.models.counts import Counts
from shared.models.forest import Forest
from shared.models.fourier import Fourier
from shared.models.fourier_regression import FourierRegression
from shared.models.neighbours import Neighbours
from shared.models.persistence import Persistence
from shared.models.port import Expert, Task
from shared.models.regression_forest import RegressionForest
from shared.models.river_expert import RiverExpert
from shared.models.rls import LeastSquares
from shared.models.seasons import Seasons
from shared.models.softmax import Softmax

# (n_features, n_classes, seed) -> a fresh expert
Make = Callable[[int, int, int], Expert]


def _river_tree(n_features: int, n_classes: int, seed: int) -> Expert:
    return RiverExpert("river-hoeffding-tree", tree.HoeffdingTreeClassifier, n_classes)


def _river_regression_tree(n_features: int, n_classes: int, seed: int) -> Expert:
    return RiverExpert("river-hoeffding-tree", tree.HoeffdingTreeRegressor, n_classes)


_CLASSIFIERS: dict[str, Make] = {
    "softmax": Softmax,
    "fourier": Fourier,
    "neighbours": Neighbours,
    "counts": Counts,
    "seasons": Seasons,
    "forest": Forest,
    "river-hoeffding-tree": _river_tree,
}
_REGRESSORS: dict[str, Make] = {
    "least-squares": LeastSquares,
    "fourier": FourierRegression,
    "neighbours": Neighbours,
    "forest": RegressionForest,
    "persistence": Persistence,
    "river-hoeffding-tree": _river_regression_tree,
}

EXPERTS: Mapping[Task, Mapping[str, Make]] = {
    "binary": _CLASSIFIERS,
    "multiclass": _CLASSIFIERS,
    "regression": _REGRESSORS,
}
DEFAULT: Mapping[Task, tuple[str, ...]] = {
    "binary": tuple(_CLASSIFIERS),
    "multiclass": tuple(_CLASSIFIERS),
    "regression": tuple(_REGRESSORS),
}
