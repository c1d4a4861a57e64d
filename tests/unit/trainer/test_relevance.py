"""Relevant features: found, few of them falsely; the subset goes with the model."""

import numpy as np
import pytest
from scipy.stats import f_oneway, rankdata
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from services.trainer.dataset import Shape
from services.trainer.relevance import given_only, relevant
from shared.models.anchors import anchor_from_sklearn
from shared.models.artefact import anchor_from_bytes, anchor_to_bytes

BINARY = Shape(("f",), (0, 1), 1, 1, 0.1)
NUMBER = Shape(("f",), (), 1, 1, 0.1)


def slow(x: np.ndarray, y: np.ndarray, rate: float) -> list[int]:
    """Benjamini and Hochberg's procedure, word for word, on one F-test a column."""
    p = {}
    for column in range(x.shape[1]):
        values = np.where(np.isnan(x[:, column]), np.nanmedian(x[:, column]), x[:, column])
        ranks = rankdata(values)
        if np.ptp(ranks):
            p[column] = f_oneway(*(ranks[y == c] for c in np.unique(y))).pvalue
    order = sorted(p, key=lambda column: p[column])
    passing = [n for n, c in enumerate(order, 1) if p[c] <= rate * n / len(p)]
    return sorted(order[: max(passing, default=0)])


def rows(seed: int, n: int = 300, d: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Four columns of `d` tell of the class; some values are missing, one column is constant."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 2, n)
    x = draw.normal(size=(n, d))
    x[:, :4] += y[:, None] * [1.0, -0.8, 0.6, 0.5]
    x[draw.random((n, d)) < 0.05] = np.nan
    x[:, -1] = 3.0
    return x, y


@pytest.mark.parametrize("seed", range(4))
def test_as_the_procedure_says(seed: int) -> None:
    x, y = rows(seed)
    assert relevant(x, y, BINARY).tolist() == slow(x, y, 0.1)


def test_few_of_the_found_are_false() -> None:
    shares, missed = [], 0
    for seed in range(12):
        found = set(relevant(*rows(seed), BINARY).tolist())
        shares.append(len(found - {0, 1, 2, 3}) / len(found))
        missed += len({0, 1, 2, 3} - found)
    assert np.mean(shares) <= 0.1 + 2 * np.std(shares) / np.sqrt(12)
    assert missed <= 4


def test_nothing_relevant_is_said() -> None:
    x, _ = rows(5)
    with pytest.raises(ValueError, match="no feature of 36 is relevant"):
        relevant(x[:, 4:], np.arange(300) % 2, Shape(("f",), (0, 1), 1, 1, 1e-9))


def test_a_model_carries_its_subset() -> None:
    x, y = rows(1)
    x = np.nan_to_num(x)
    for shape, model, classes in ((BINARY, LogisticRegression(), (0, 1)), (NUMBER, Ridge(), ())):
        target = y if classes else x[:, 0] * 2.0
        columns = relevant(x, target, shape)
        fitted = given_only(columns, make_pipeline(StandardScaler(), model)).fit(x, target)
        anchor = anchor_from_bytes(anchor_to_bytes(anchor_from_sklearn(fitted, classes)))
        theirs = fitted.predict_proba(x) if classes else fitted.predict(x)[:, None]
        assert anchor.predict_many(x) == pytest.approx(theirs, abs=1e-9)
        noise = x.copy()
        noise[:, np.setdiff1d(np.arange(x.shape[1]), columns)] = 1e9
        assert anchor.predict_many(noise).tolist() == anchor.predict_many(x).tolist()
