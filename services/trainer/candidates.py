"""The families of batch models that a job tries: a new one is a function here and a line in the table.

Defaults are chosen so that a fit of 10,000 rows costs about a tenth of a second of one core and the
model stays small: it is served one event at a time. On the jobs of the electricity example 40 trees of
12 leaves lose less on later rows than 100 of 31 (.213 to .231 nats) at a third of the CPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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

Estimator = Any
"""A scikit-learn estimator, which has no types."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """`make(regression, seed, n_classes)` gives an unfitted estimator; it takes NaN as missing, and
    `shared/models/anchors.py` can serve it.
    """

    about: str
    make: Callable[[bool, int, int], Estimator]


def _linear(regression: bool, seed: int, n_classes: int) -> Estimator:
    model = Ridge() if regression else LogisticRegression(max_iter=300)
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model)


def _boosting(regression: bool, seed: int, n_classes: int) -> Estimator:
    """Fewer trees where every class needs its own."""
    make = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return make(
        max_iter=40 if n_classes <= 4 else 30,
        learning_rate=0.15,
        max_leaf_nodes=12,
        max_bins=127,
        early_stopping=False,
        random_state=seed,
    )


def _forest(regression: bool, seed: int, n_classes: int) -> Estimator:
    """Each tree from half of the rows: two thirds of the CPU, and about as good."""
    make = ExtraTreesRegressor if regression else ExtraTreesClassifier
    return make(
        n_estimators=20,
        max_features=0.5,
        min_samples_leaf=5,
        bootstrap=True,
        max_samples=0.5,
        n_jobs=1,
        random_state=seed,
    )


CANDIDATES = {
    "logistic": Candidate("logistic regression (ridge for numbers)", _linear),
    "ridge": Candidate("ridge for numbers (logistic regression for classes)", _linear),
    "boosting": Candidate("40 gradient-boosted trees", _boosting),
    "forest": Candidate("20 extremely randomised trees", _forest),
}
"""By the names in the problem file (`retraining.candidates`)."""
