"""A CapyMOA model (MOA on a Java machine) on the course; CPU time counts all threads, the JIT's too."""

from collections.abc import Callable
from typing import Any

import numpy as np

from shared.bench.course import Learner
from shared.bench.streams import Stream
from shared.models.port import F64

_NAMES = {
    "ARF": ("AdaptiveRandomForestClassifier", "AdaptiveRandomForestRegressor"),
    "SRP": ("StreamingRandomPatches", ""),
    "LB": ("LeveragingBagging", ""),
    "SOKNL": ("", "SOKNL"),
}


def prepared(model: str, n_models: int, stream: Stream, seed: int) -> Callable[[], Learner]:
    """`model` of CapyMOA with `n_models` members; rows become instances beforehand. Missing is 0."""
    from capymoa import classifier, regressor
    from capymoa.stream import NumpyStream

    source = NumpyStream(
        np.nan_to_num(stream.x),
        stream.y,
        dataset_name=stream.name,
        target_type="numeric" if stream.regression else "categorical",
    )
    instances = []
    while source.has_more_instances():
        instances.append(source.next_instance())
    made = getattr(
        regressor if stream.regression else classifier, _NAMES[model][stream.regression]
    )
    schema = source.get_schema()
    return lambda: _Learner(
        made(schema, ensemble_size=n_models, random_seed=seed), instances, len(stream.classes)
    )


class _Learner(Learner):
    def __init__(self, model: Any, instances: list[Any], n_classes: int) -> None:
        self._model, self._instances, self._n_classes = model, instances, n_classes

    def predict_many(self, start: int, end: int) -> F64:
        if not self._n_classes:
            said = [self._model.predict(self._instances[i]) or 0.0 for i in range(start, end)]
            return np.array(said, np.float64)[:, None]
        found = np.zeros((end - start, self._n_classes))
        for i in range(start, end):
            p = self._model.predict_proba(self._instances[i])
            if p is not None:
                found[i - start, : len(p)] = p
        return found

    def learn_many(self, start: int, end: int) -> None:
        for i in range(start, end):
            self._model.train(self._instances[i])
