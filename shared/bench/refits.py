"""A batch model fitted anew every so often: every fit's errors on all later rows, reckoned once.

Policies are then compared exactly, and all on the same fits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.bench.streams import Stream
from shared.runtime.clock import cpu_s

GRID = 256
"""Rows between two possible fits."""
FIRST = 4 * GRID
WINDOW = 2_000
"""Newest labelled rows that a fit learns from."""
MODELS = ("linear", "boosting")


@dataclass(frozen=True, slots=True)
class Refits:
    """`errors` [fits, rows]: of fit k, made of the rows before `places[k]`, on the rows from there on
    (2 before). `fit_s`: the mean CPU seconds of a fit.
    """

    stream: str
    model: str
    places: npt.NDArray[np.int64]
    errors: npt.NDArray[np.int8]
    fit_s: float


def refits(stream: Stream, model: str) -> Refits:
    """`model` of `MODELS`, at fixed settings, over the whole stream."""
    x, y = np.nan_to_num(stream.x), stream.y
    n = len(x)
    places = np.arange(FIRST, n, GRID)
    errors = np.full((len(places), n), 2, np.int8)
    spent_s = 0.0
    for row, place in zip(errors, places, strict=True):
        begin = max(0, place - WINDOW)
        started = cpu_s()
        predict = _fitted(model, x[begin:place], y[begin:place])
        spent_s += cpu_s() - started
        row[place:] = predict(x[place:]) != y[place:]
    return Refits(stream.name, model, places, errors, spent_s / len(places))


def _fitted(model: str, x: Any, y: Any) -> Callable[[Any], Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(y)) < 2:
        return lambda rows: np.full(len(rows), y[0])
    if model == "linear":
        made: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    else:
        made = HistGradientBoostingClassifier(
            max_iter=30 if len(np.unique(y)) == 2 else 10,
            max_leaf_nodes=15,
            early_stopping=False,
            random_state=0,
        )
    predict: Callable[[Any], Any] = made.fit(x, y).predict
    return predict
