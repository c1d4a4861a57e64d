"""A River model on the course, one `predict` and one `learn_one` an event."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from shared.bench.course import Learner
from shared.bench.streams import Stream
from shared.models.port import F64

_SCALED = ("linear_model", "ARFRegressor", "SRPRegressor")
"""Shown behind a StandardScaler in River's own examples."""


def prepared(path: str, stream: Stream, arguments: Mapping[str, Any]) -> Callable[[], Learner]:
    """The model at `path` in River; rows become dicts beforehand. Missing values are 0: most of
    River's models take none.
    """
    names = list(range(stream.x.shape[1]))
    rows = [dict(zip(names, row, strict=True)) for row in np.nan_to_num(stream.x).tolist()]
    labels = stream.y.tolist()
    model = partial(_model, path, arguments)
    model()  # what it imports is not on the bill
    if stream.regression:
        return lambda: _Regressor(model(), rows, labels)
    return lambda: _Classifier(model(), rows, labels, len(stream.classes))


def _model(path: str, arguments: Mapping[str, Any]) -> Any:
    module, _, name = path.rpartition(".")
    given = dict(arguments)
    if (step := given.pop("step", None)) is not None:
        given["optimizer"] = import_module("river.optim").SGD(step)
    if name == "LeveragingBaggingClassifier":
        given["model"] = import_module("river.tree").HoeffdingTreeClassifier()
    made = getattr(import_module(f"river.{module}"), name)(**given)
    if any(part in path for part in _SCALED):
        return import_module("river.preprocessing").StandardScaler() | made
    return made


class _Classifier(Learner):
    def __init__(
        self, model: Any, rows: list[dict[int, float]], labels: list[int], n_classes: int
    ):
        self._model, self._rows, self._labels = model, rows, labels
        self._n_classes = n_classes

    def predict_many(self, start: int, end: int) -> F64:
        said = np.zeros((end - start, self._n_classes))
        for i in range(start, end):
            for label, p in self._model.predict_proba_one(self._rows[i]).items():
                said[i - start, int(label)] = p
        return said

    def learn_many(self, start: int, end: int) -> None:
        for i in range(start, end):
            self._model.learn_one(self._rows[i], self._labels[i])


class _Regressor(Learner):
    def __init__(self, model: Any, rows: list[dict[int, float]], labels: list[float]):
        self._model, self._rows, self._labels = model, rows, labels

    def predict_many(self, start: int, end: int) -> F64:
        said = [self._model.predict_one(self._rows[i]) or 0.0 for i in range(start, end)]
        return np.array([s if math.isfinite(s) else 0.0 for s in said])[:, None]

    def learn_many(self, start: int, end: int) -> None:
        for i in range(start, end):
            self._model.learn_one(self._rows[i], self._labels[i])
