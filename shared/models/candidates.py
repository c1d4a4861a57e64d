"""The families of batch models that a job tries: a new one is a function here and a line in the table.

Defaults are chosen so that a fit of 10,000 rows costs about a tenth of a second of one core and the
model stays small: it is served one event at a time. On the jobs of the electricity example 40 trees of
12 leaves lose less on later rows than 100 of 31 (.213 to .231 nats) at a third of the CPU.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shared.problem.search import ON_VIEW

Estimator = Any
"""A scikit-learn estimator, which has no types."""
Make = Callable[..., Estimator]


@dataclass(frozen=True, slots=True)
class Candidate:
    """`interpretability` says in which terms a person can follow an answer: `weights` (a sum of terms),
    `rules` (a path of conditions), `examples` (the rows it was taken from), `none`.
    `make(regression, seed, n_classes, **settings)` gives an unfitted estimator; it takes NaN as
    missing, and `shared/models/anchors.py` can serve it. What may be set: `FAMILIES` in
    `shared/problem/search.py`. `on_view`: it sees the view of the events, not their features.
    """

    about: str
    make: Make
    interpretability: Literal["weights", "rules", "examples", "none"] = "none"
    on_view: bool = False


def _linear(regression: bool, seed: int, n_classes: int, strength: float = 1.0) -> Estimator:
    model = Ridge(1 / strength) if regression else LogisticRegression(C=strength, max_iter=300)
    return _scaled(model)


def _tree(regression: bool, seed: int, n_classes: int, **settings: Any) -> Estimator:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    make = DecisionTreeRegressor if regression else DecisionTreeClassifier
    usual = {"max_leaf_nodes": 32, "min_samples_leaf": 20}
    return make(random_state=seed, **(usual | settings))


def _boosting(regression: bool, seed: int, n_classes: int, **settings: Any) -> Estimator:
    """Fewer trees where every class needs its own."""
    make = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    usual = {
        "max_iter": 40 if n_classes <= 4 else 30,
        "learning_rate": 0.15,
        "max_leaf_nodes": 12,
    }
    return make(max_bins=127, early_stopping=False, random_state=seed, **(usual | settings))


def _forest(regression: bool, seed: int, n_classes: int, **settings: Any) -> Estimator:
    """Each tree from half of the rows: two thirds of the CPU, and about as good."""
    make = ExtraTreesRegressor if regression else ExtraTreesClassifier
    usual = {"n_estimators": 20, "max_features": 0.5, "min_samples_leaf": 5}
    return make(bootstrap=True, max_samples=0.5, n_jobs=1, random_state=seed, **(usual | settings))


def _svm(
    regression: bool, seed: int, n_classes: int, strength: float = 1.0, gamma: float = 0.03
) -> Estimator:
    """On 100 landmarks: a machine on all pairs of 10,000 rows would take minutes."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.kernel_approximation import Nystroem
    from sklearn.svm import LinearSVC, LinearSVR

    kernel = Nystroem(kernel="rbf", gamma=gamma, n_components=100, random_state=seed)
    if regression:
        machine = LinearSVR(C=strength, random_state=seed)
        return _scaled_target(_scaled(kernel, machine))
    inner = LinearSVC(C=strength, random_state=seed)
    return _scaled(kernel, CalibratedClassifierCV(inner, ensemble=False, cv=3))


def _neural_net(
    regression: bool, seed: int, n_classes: int, width: int = 32, **settings: Any
) -> Estimator:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    make = MLPRegressor if regression else MLPClassifier
    usual = {"alpha": 1e-3, "learning_rate_init": 0.003}
    net = make(hidden_layer_sizes=(width,), max_iter=30, random_state=seed, **(usual | settings))
    return _scaled_target(_scaled(net)) if regression else _scaled(net)


def _neighbours(regression: bool, seed: int, n_classes: int, n_neighbors: int = 40) -> Estimator:
    """By Manhattan distance: scikit-learn sums it as the served form does, so that ties fall alike (its
    Euclidean one is rounded otherwise), and what a search tree keeps has no one byte form.
    """
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    make = KNeighborsRegressor if regression else KNeighborsClassifier
    return _scaled(
        make(n_neighbors, weights="distance", algorithm="brute", metric="manhattan", n_jobs=1)
    )


def _naive_bayes(
    regression: bool, seed: int, n_classes: int, var_smoothing: float = 1e-4
) -> Estimator:
    from sklearn.naive_bayes import GaussianNB

    if regression:
        raise ValueError("naive Bayes predicts classes, not numbers")
    return _scaled(GaussianNB(var_smoothing=var_smoothing))


def _scaled(*steps: Estimator) -> Estimator:
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), *steps)


def _scaled_target(model: Estimator) -> Estimator:
    """Learn the number in units of its standard deviation."""
    from sklearn.compose import TransformedTargetRegressor

    return TransformedTargetRegressor(model, transformer=StandardScaler())


_ON_FEATURES = {
    "logistic": Candidate("logistic regression (ridge for numbers)", _linear, "weights"),
    "ridge": Candidate("ridge for numbers (logistic regression for classes)", _linear, "weights"),
    "tree": Candidate("one tree of 32 leaves", _tree, "rules"),
    "forest": Candidate("20 extremely randomised trees", _forest),
    "boosting": Candidate("40 gradient-boosted trees", _boosting),
    "svm": Candidate("a support vector machine on a Gaussian kernel", _svm),
    "neural_net": Candidate("32 rectified units in one layer", _neural_net),
    "neighbours": Candidate("40 nearest neighbours", _neighbours, "examples"),
    "naive_bayes": Candidate("Gaussian naive Bayes", _naive_bayes, "weights"),
}
CANDIDATES = _ON_FEATURES | {
    f"{ON_VIEW}{name}": replace(one, about=f"{one.about}, on the view", on_view=True)
    for name, one in _ON_FEATURES.items()
}
"""By the names in the problem file (`retraining.candidates`)."""
