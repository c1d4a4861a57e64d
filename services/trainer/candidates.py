"""The families of batch models that a job tries: a new one is a function here and a line in the table.

Defaults are chosen so that a fit of 10,000 rows costs about a quarter of a second of one core and the
model stays small: it is served one event at a time.
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
    """Fewer and smaller trees where every class needs its own."""
    make = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    few = n_classes <= 4
    return make(
        max_iter=100 if few else 40,
        max_leaf_nodes=31 if few else 15,
        max_bins=127,
        early_stopping=False,
        random_state=seed,
    )


def _forest(regression: bool, seed: int, n_classes: int) -> Estimator:
    make = ExtraTreesRegressor if regression else ExtraTreesClassifier
    return make(
        n_estimators=30, max_features=0.5, min_samples_leaf=10, n_jobs=1, random_state=seed
    )


CANDIDATES = {
    "logistic": Candidate("logistic regression (ridge for numbers)", _linear),
    "ridge": Candidate("ridge for numbers (logistic regression for classes)", _linear),
    "boosting": Candidate("100 gradient-boosted trees", _boosting),
    "forest": Candidate("30 extremely randomised trees", _forest),
}
"""By the names in the problem file (`retraining.candidates`)."""
