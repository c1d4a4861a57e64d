"""Which features tell something of the label, with the rate of false discoveries held down.

As tsfresh does (Christ et al., "Distributed and parallel time series feature extraction", 2016): one
test a feature, then the procedure of Benjamini and Hochberg (1995) over all. The test is an F-test over
ranks (Conover and Iman, 1981), so neither outliers nor units matter. It takes rows as independent: on a
stream they are not quite, so the rate is a guide; held-back rows say whether a candidate is any good.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectFdr, f_classif, f_regression
from sklearn.pipeline import Pipeline

from services.trainer.dataset import Labels, Shape

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def relevant(x: F64, y: Labels, shape: Shape) -> I64:
    """The columns of `x` [n, d] that are relevant to `y` [n]; a missing value counts as the median.

    Raises:
        ValueError: there is none.
    """
    known = np.isfinite(x)
    middle = [
        np.median(x[:, j][known[:, j]]) if known[:, j].any() else 0.0 for j in range(x.shape[1])
    ]
    ranks = rankdata(np.where(known, x, middle), axis=0)
    columns = np.flatnonzero(np.ptp(ranks, axis=0) > 0)  # not of constant or unknown ones
    if len(columns):
        target = rankdata(y) if shape.regression else y
        test = f_regression if shape.regression else f_classif
        with np.errstate(all="ignore"):  # a feature that separates the classes: p is 0
            chosen = SelectFdr(test, alpha=shape.false_discovery).fit(ranks[:, columns], target)
        columns = columns[chosen.get_support()]
    if not len(columns):
        raise ValueError(
            f"no feature of {x.shape[1]} is relevant (retraining.false_discovery is "
            f"{shape.false_discovery})"
        )
    return columns


def _filled(x: F64) -> F64:
    """With each column's median where a number is missing; a column without any is 0."""
    known = np.isfinite(x)
    columns = zip(x.T, known.T, strict=True)
    medians = [np.median(column[there]) if there.any() else 0.0 for column, there in columns]
    return np.where(known, x, medians)


def given_only(columns: I64, estimator: Any) -> Pipeline:
    """`estimator` behind a step that passes on `columns` alone."""
    chosen = ColumnTransformer([("relevant", "passthrough", columns.tolist())])
    return Pipeline([("chosen", chosen), ("model", estimator)])
