"""Features in, predictions out; the model changes only between two calls."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from shared.features.feature_set import FeatureSet
from shared.messages.labels import class_key
from shared.messages.streams import FEATURES, PREDICTIONS
from shared.messages.types import Features, ModelEvent, Prediction, Value
from shared.models.live import LiveModel, fresh
from shared.models.pool import Pool
from shared.models.port import Scored, Verdict
from shared.models.rows import matrix
from shared.models.said import pack
from shared.problem.spec import Problem
from shared.stage import Out, Record

_DIGITS = 6
"""Published probabilities are rounded: what is judged is what was published."""


class Scorer:
    """Stateless but for the model at hand; before any snapshot that is a fresh pool `v1`."""

    def __init__(self, problem: Problem) -> None:
        self._regression = problem.task == "regression"
        self._names = FeatureSet(problem).names
        self._model = fresh(problem, len(self._names))

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """Score runs of features in one call each."""
        run: list[Record] = []
        for record in records:
            if record.stream is FEATURES:
                run.append(record)
                continue
            yield from self._score(run)
            run = []
            self._load(record.value)
        yield from self._score(run)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Nothing: the learner beside hands its live model on after a restore."""
        yield from ()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""

    def _load(self, event: LiveModel | ModelEvent) -> None:
        """Take the fused learner's model; records about models are for others."""
        if isinstance(event, LiveModel):
            self._model = event

    def _score(self, run: Sequence[Record]) -> Iterator[Out]:
        if not run:
            return
        pool = self._model.pool
        scored = pool.predict_many(matrix([record.value.features for record in run], self._names))
        for row, record in enumerate(run):
            prediction = self._prediction(record.value, scored, row, pool)
            yield Out(PREDICTIONS, prediction, record, prediction.key)

    def _prediction(self, features: Features, scored: Scored, row: int, pool: Pool) -> Prediction:
        champion = scored.by_version[pool.champion]
        value, probabilities = self._answer(champion, row)
        shadow = {
            version: self._shadow(verdict, row)
            for version, verdict in scored.by_version.items()
            if version != pool.champion
        }
        members = {version: v.members[row] for version, v in scored.by_version.items()}
        interval = champion.interval
        return Prediction(
            id=features.id,
            time=features.time,
            prediction=value,
            model=pool.champion,
            features=features.features,
            feature_set=features.feature_set,
            key=features.key,
            probabilities=probabilities,
            interval=None
            if interval is None
            else (float(interval[row, 0]), float(interval[row, 1])),
            shadow=shadow or None,
            said=pack(
                tuple(pool.bank.anchors), scored.said[row], members, half=not self._regression
            ),
        )

    def _answer(self, verdict: Verdict, row: int) -> tuple[Value | None, dict[str, float] | None]:
        """The class with the largest probability, or the number."""
        if self._regression:
            return float(verdict.mean[row, 0]), None
        classes = self._model.classes
        chances = verdict.mean[row].tolist()
        named = {class_key(c): round(p, _DIGITS) for c, p in zip(classes, chances, strict=False)}
        if not classes:
            return None, named
        best = int(np.argmax(verdict.mean[row, : len(classes)]))
        return classes[best], named

    def _shadow(self, verdict: Verdict, row: int) -> dict[str, object]:
        value, probabilities = self._answer(verdict, row)
        if probabilities is None:
            return {"prediction": value}
        return {"prediction": value, "probabilities": probabilities}
