"""Anchors say what the library's own models say, and survive as plain arrays."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from shared.errors import UntrustedArtefact
from shared.models.anchors import anchor_from_sklearn, anchor_of
from shared.models.candidates import CANDIDATES
from shared.models.linear_anchor import LinearAnchor
from shared.models.port import F64, Task
from shared.models.trees_anchor import TreesAnchor
from tests.unit.models.streams import noisy_stream

SCALED = ("svm", "neural_net", "neighbours")
SMALL: dict[str, Any] = {"n_estimators": 7, "random_state": 0}
CLASSIFIERS = [
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(**SMALL),
    ExtraTreesClassifier(**SMALL),
    HistGradientBoostingClassifier(max_iter=8),
    make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    *(CANDIDATES[name].make(False, 1, 3) for name in SCALED),
    CANDIDATES["naive_bayes"].make(False, 1, 3),
]
REGRESSORS = [
    DecisionTreeRegressor(random_state=0),
    RandomForestRegressor(**SMALL),
    ExtraTreesRegressor(**SMALL),
    HistGradientBoostingRegressor(max_iter=8),
    make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), Ridge()),
    *(CANDIDATES[name].make(True, 1, 1) for name in SCALED),
]


def stream(task: Task) -> tuple[F64, Any]:
    x, y = noisy_stream(task, 400)
    return x / [1.0, 1e6, 1.0, 10.0], y


def name_of(model: BaseEstimator) -> str:
    last = getattr(model, "regressor", model)
    return type(last.steps[-1][1] if hasattr(last, "steps") else last).__name__


def fitted(model: Any, x: F64, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clone(model).fit(x, y)


def agrees(anchor: Any, x: F64, expected: F64) -> None:
    again = anchor_of(anchor.kind, anchor.snapshot())
    np.testing.assert_allclose(anchor.predict_many(x), expected, atol=1e-6)
    np.testing.assert_array_equal(again.predict_many(x), anchor.predict_many(x))
    one_by_one = np.concatenate([anchor.predict_many(row[None]) for row in x])
    np.testing.assert_array_equal(one_by_one, anchor.predict_many(x))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=name_of)
def test_a_classifier_says_what_the_library_says_also_of_missing_values(
    model: Any, task: Task
) -> None:
    x, y = stream(task)
    model = fitted(model, x[:300], y[:300])
    agrees(anchor_from_sklearn(model, sorted(set(y.tolist()))), x, model.predict_proba(x))


@pytest.mark.parametrize("model", REGRESSORS, ids=name_of)
def test_a_regressor_says_what_the_library_says_also_of_missing_values(model: Any) -> None:
    x, y = stream("regression")
    model = fitted(model, x[:300], y[:300])
    agrees(anchor_from_sklearn(model), x, model.predict(x)[:, None])


@pytest.mark.parametrize("model", CLASSIFIERS, ids=name_of)
def test_a_model_that_saw_some_classes_speaks_of_all(model: Any) -> None:
    x, y = stream("multiclass")
    names = np.array(["low", "mid", "high"])[y]
    some = names != "mid"
    model = fitted(model, x[some], names[some])
    anchor = anchor_from_sklearn(model, ["low", "mid", "high", "never"])
    p = anchor.predict_many(x)
    assert p.shape == (len(x), 4)
    assert p[:, [1, 3]].max() == 0.0
    np.testing.assert_allclose(p[:, [2, 0]], model.predict_proba(x), atol=1e-6)  # high, low


def test_what_cannot_be_carried_over_is_refused() -> None:
    x, y = stream("binary")
    x = np.nan_to_num(x)
    with pytest.raises(ValueError, match="GaussianNB"):
        TreesAnchor.from_sklearn(GaussianNB().fit(x, y), [0, 1])
    with pytest.raises(ValueError, match="PolynomialFeatures"):
        model = make_pipeline(PolynomialFeatures(), StandardScaler(), LogisticRegression())
        LinearAnchor.from_sklearn(model.fit(x, y), [0, 1])
    with pytest.raises(ValueError, match="knows class 1"):
        anchor_from_sklearn(DecisionTreeClassifier().fit(x, y), [0, 2])
    with pytest.raises(ValueError, match="categorical"):
        boosted = HistGradientBoostingClassifier(max_iter=2, categorical_features=[2])
        anchor_from_sklearn(boosted.fit(np.abs(np.floor(x)) % 3, y), [0, 1])
    with pytest.raises(UntrustedArtefact, match="mystery"):
        anchor_of("mystery", {})
