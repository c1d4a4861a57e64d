"""Features in, predictions out; the model changes only between two calls."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from shared.features.feature_set import FeatureSet
from shared.messages.labels import class_key
from shared.messages.streams import FEATURES, PREDICTIONS
from shared.messages.types import Features, ModelEvent, Prediction, Value
from shared.models.arrival import pack_arrival
from shared.models.codec import from_bytes
from shared.models.live import LiveModel, fresh
from shared.models.packed import pack, unpack
from shared.models.port import Verdict
from shared.models.rows import matrix
from shared.models.said import pack_many
from shared.problem.spec import Problem
from shared.stage import Out, Record, Tools

Answer = tuple[Value | None, dict[str, float] | None]

_DIGITS = 6
"""Published probabilities are rounded: what is judged is what was published."""


class _State(msgspec.Struct):
    arrivals: bytes = b""
    snapshot: ModelEvent | None = None


class Scorer:
    """Stateless but for the model at hand (before any snapshot a fresh pool `v1`) and what came lately.

    Fused with the learner it is handed the live model at each boundary; in a process of its own it
    loads the snapshots that the learner publishes, and keeps count of the arrivals itself.
    """

    def __init__(self, problem: Problem, tools: Tools) -> None:
        self._blobs = tools.blobs
        self._regression = problem.task == "regression"
        self._names = FeatureSet(problem).names
        self._model = fresh(problem, len(self._names))
        self._beside_learner = False
        self._state = _State()
        self._loaded: ModelEvent | None = None

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
        """What came lately, and which snapshot is at hand (beside a learner: neither)."""
        arrivals = self._model.pool.bank.arrivals
        self._state.arrivals = b"" if self._beside_learner else pack(arrivals.snapshot())
        yield "state", msgspec.msgpack.encode(self._state)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        self._state = msgspec.msgpack.decode(entries["state"], type=_State)
        if self._state.arrivals:
            self._model.pool.bank.arrivals.restore(unpack(self._state.arrivals))

    def _load(self, event: LiveModel | ModelEvent) -> None:
        """Take the fused learner's model, or the newest snapshot when the next features come."""
        if isinstance(event, LiveModel):
            self._model, self._beside_learner, self._state.snapshot = event, True, None
        elif event.state == "snapshot" and not self._beside_learner:
            self._state.snapshot = event

    def _take_newest(self) -> None:
        """Raises Retryable: the snapshot's blob is not there (yet)."""
        newest = self._state.snapshot
        if newest is not None and newest is not self._loaded:
            pool = from_bytes(self._blobs.get(newest.blob or ""))
            pool.bank.arrivals = self._model.pool.bank.arrivals
            self._model = LiveModel(pool, tuple(newest.classes), newest.outcomes)
            self._loaded = newest

    def _score(self, run: Sequence[Record]) -> Iterator[Out]:
        if not run:
            return
        self._take_newest()
        pool = self._model.pool
        scored = pool.predict_many(matrix([record.value.features for record in run], self._names))
        said = pack_many(
            tuple(pool.bank.anchors),
            scored.said,
            {version: verdict.members for version, verdict in scored.by_version.items()},
            half=not self._regression,
        )
        arrival = pack_arrival(scored.arrival)
        answers = {version: self._answers(v) for version, v in scored.by_version.items()}
        champion = answers.pop(pool.champion)
        interval = scored.by_version[pool.champion].interval
        intervals = [None] * len(run) if interval is None else list(map(tuple, interval.tolist()))
        for row, record in enumerate(run):
            features: Features = record.value
            value, probabilities = champion[row]
            prediction = Prediction(
                id=features.id,
                time=features.time,
                prediction=value,
                model=pool.champion,
                features=features.features,
                feature_set=features.feature_set,
                key=features.key,
                probabilities=probabilities,
                interval=intervals[row],
                shadow={v: _shadow(*rows[row]) for v, rows in answers.items()} or None,
                said=said[row],
                arrival=arrival[row],
            )
            yield Out(PREDICTIONS, prediction, record, prediction.key)

    def _answers(self, verdict: Verdict) -> list[Answer]:
        """For each row the class with the largest probability and all of them, or the number."""
        if self._regression:
            return [(value, None) for (value,) in verdict.mean.tolist()]
        classes = self._model.classes
        keys = [class_key(value) for value in classes]
        rounded = np.round(verdict.mean[:, : len(keys)], _DIGITS).tolist()
        named = [dict(zip(keys, row, strict=True)) for row in rounded]
        if not classes:
            return [(None, row) for row in named]
        best = verdict.mean[:, : len(classes)].argmax(axis=1).tolist()
        return [(classes[place], row) for place, row in zip(best, named, strict=True)]


def _shadow(value: Value | None, probabilities: dict[str, float] | None) -> dict[str, object]:
    if probabilities is None:
        return {"prediction": value}
    return {"prediction": value, "probabilities": probabilities}
