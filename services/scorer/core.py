"""Features in, predictions out; the model changes only between two calls."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import msgspec
import numpy as np

from services.scorer.canary import Exposed, Share
from shared.errors import Reject, UntrustedArtefact
from shared.messages.labels import class_key
from shared.messages.streams import FEATURES, MODELS, PREDICTIONS, REJECTED
from shared.messages.types import Features, ModelEvent, Prediction, Value
from shared.models.arrival import pack_arrival
from shared.models.codec import from_bytes
from shared.models.encoded import Encoded
from shared.models.live import LiveModel, fresh
from shared.models.packed import pack, unpack
from shared.models.port import F64, Verdict
from shared.models.rows import matrix
from shared.models.said import pack_many
from shared.problem.spec import Problem
from shared.registry.manifest import read_manifest
from shared.rejecting import rejected
from shared.stage import Out, Record, Tools


class Answer(NamedTuple):
    """What a version says of one event."""

    value: Value | None
    probabilities: dict[str, float] | None
    interval: tuple[float, float] | None = None


NOTHING = Answer(None, None)
"""Of a version whose numbers are none (NaN, infinite)."""

_DIGITS = 6
"""Published probabilities are rounded: what is judged is what was published."""


class _State(msgspec.Struct):
    """`snapshot` is the one at hand, `offered` a newer one that was not looked at yet."""

    arrivals: bytes = b""
    snapshot: ModelEvent | None = None
    offered: ModelEvent | None = None
    offset: int = -1
    exposed: Exposed = msgspec.field(default_factory=Exposed)


class Scorer:
    """Stateless but for the model at hand (before any snapshot a fresh pool `v1`) and what came lately.

    Fused with the learner it is handed the live model at each boundary; in a process of its own it
    loads the snapshots that the learner publishes, and keeps count of the arrivals itself.
    """

    def __init__(self, problem: Problem, tools: Tools) -> None:
        self._verified = tools.verified
        self._problem = problem.name
        self._regression = problem.task == "regression"
        self._names = problem.model_names
        self._encoded = Encoded(problem)
        self._model = fresh(problem, len(self._names))
        self._beside_learner = False
        self._share = Share(problem.name, problem.promotion.canary)
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
            self._load(record)
        yield from self._score(run)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """What came lately, and which snapshot is at hand (beside a learner: neither)."""
        arrivals = self._model.pool.bank.arrivals
        self._state.exposed = self._share.exposed
        self._state.arrivals = b"" if self._beside_learner else pack(arrivals.snapshot())
        yield "state", msgspec.msgpack.encode(self._state)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        self._state = msgspec.msgpack.decode(entries["state"], type=_State)
        self._share.exposed = self._state.exposed
        if self._state.arrivals:
            self._model.pool.bank.arrivals.restore(unpack(self._state.arrivals))

    def _load(self, record: Record) -> None:
        """Take the fused learner's model, or the newest snapshot when the next features come."""
        event: LiveModel | ModelEvent = record.value
        if isinstance(event, LiveModel):
            self._model, self._beside_learner, self._state = event, True, _State()
        elif event.state == "snapshot" and not self._beside_learner:
            self._state.offered, self._state.offset = event, record.offset

    def _take_newest(self, cause: Record) -> Iterator[Out]:
        """The snapshot that was offered, if it is what the learner signed; else it is rejected.

        Raises:
            Retryable: a blob is not there (yet).
            UntrustedArtefact: the snapshot at hand is no longer what it was.
        """
        state = self._state
        offered, state.offered = state.offered, None
        if offered is not None:
            try:
                self._refuse_older(offered)
                self._open(offered)
            except UntrustedArtefact as why:
                place = Record(MODELS, offered, offered.model, offset=state.offset)
                refusal = Reject(f"snapshot refused: {why}", why.check)
                yield Out(REJECTED, rejected(place, self._problem, refusal), cause)
        if state.snapshot is not None and state.snapshot is not self._loaded:
            self._open(state.snapshot)

    def _open(self, event: ModelEvent) -> None:
        """Have the snapshot at hand. Its manifest counts: nobody signed what else the record says."""
        data = self._verified(event.blob or "", event.manifest or {}, event.model)
        manifest = read_manifest(event.manifest or {})
        pool = from_bytes(data)
        pool.bank.arrivals = self._model.pool.bank.arrivals
        self._model = LiveModel(pool, tuple(manifest.classes), manifest.end)
        self._state.snapshot = self._loaded = event

    def _refuse_older(self, offered: ModelEvent) -> None:
        held = 0 if self._state.snapshot is None else _outcomes(self._state.snapshot)
        if _outcomes(offered) <= held:
            raise UntrustedArtefact(
                f"it holds {_outcomes(offered):,} outcomes, the one at hand {held:,}: an old snapshot "
                "is not taken for a new one"
            )

    def _score(self, run: Sequence[Record]) -> Iterator[Out]:
        if not run:
            return
        yield from self._take_newest(run[0])
        pool = self._model.pool
        rows = self._encoded.rows(pool, [record.value.features for record in run])
        scored = pool.predict_many(matrix(rows, self._names))
        said = pack_many(
            tuple(pool.bank.anchors),
            scored.said,
            {version: verdict.members for version, verdict in scored.by_version.items()},
            half=not self._regression,
        )
        arrival = pack_arrival(scored.arrival)
        answers = {version: self._answers(v) for version, v in scored.by_version.items()}
        speakers = self._speakers([record.value for record in run], answers)
        for row, (record, speaker) in enumerate(zip(run, speakers, strict=True)):
            features: Features = record.value
            answer = answers[speaker][row]
            prediction = Prediction(
                id=features.id,
                time=features.time,
                prediction=answer.value,
                model=speaker,
                features=rows[row],
                feature_set=features.feature_set,
                key=features.key,
                source=features.source,
                probabilities=answer.probabilities,
                interval=answer.interval,
                shadow={v: _shadow(rows[row]) for v, rows in answers.items() if v != speaker}
                or None,
                said=said[row],
                arrival=arrival[row],
                champion=None if speaker == pool.champion else pool.champion,
                fields=features.fields,
                references=features.references,
                unfound=features.unfound,
            )
            yield Out(PREDICTIONS, prediction, record, prediction.key)

    def _speakers(
        self, run: Sequence[Features], answers: Mapping[str, Sequence[Answer]]
    ) -> list[str]:
        """Whose answer each event gets: the champion's, or the canary's. Where that is no number, the
        champion stands in, else the oldest shadow that has one; never a canary beyond its share.
        """
        pool = self._model.pool
        speakers = [pool.champion] * len(run)
        for row in self._share.chosen(pool.canary, run):
            speakers[row] = pool.canary or pool.champion
        others = [v for v in answers if v not in (pool.champion, pool.canary)]
        for row, speaker in enumerate(speakers):
            if answers[speaker][row] is NOTHING:
                able = (v for v in (pool.champion, *others) if answers[v][row] is not NOTHING)
                speakers[row] = next(able, pool.champion)
        return speakers

    def _answers(self, verdict: Verdict) -> list[Answer]:
        """For each row the class with the largest probability and all of them, or the number; `NOTHING`
        where the model's numbers are none.
        """
        mean, ends = verdict.mean, verdict.interval
        if self._regression:
            intervals = repeat(None) if ends is None else map(tuple, ends.tolist())
            rows = [Answer(v, None, i) for (v,), i in zip(mean.tolist(), intervals, strict=False)]
        else:
            rows = self._classified(mean)
        if np.isfinite(mean).all():
            return rows
        whole = np.isfinite(mean)
        return [row if whole[i].all() else NOTHING for i, row in enumerate(rows)]

    def _classified(self, mean: F64) -> list[Answer]:
        classes = self._model.classes
        keys = [class_key(value) for value in classes]
        rounded = np.round(mean[:, : len(keys)], _DIGITS).tolist()
        named = [dict(zip(keys, row, strict=True)) for row in rounded]
        if not classes:
            return [Answer(None, row) for row in named]
        best = mean[:, : len(classes)].argmax(axis=1).tolist()
        return [Answer(classes[place], row) for place, row in zip(best, named, strict=True)]


def _outcomes(snapshot: ModelEvent) -> int:
    """How many it holds, by its manifest."""
    return read_manifest(snapshot.manifest or {}).end


def _shadow(answer: Answer) -> dict[str, object]:
    """As in the prediction itself; what is not known is left out."""
    more = {"probabilities": answer.probabilities, "interval": answer.interval}
    return {"prediction": answer.value, **{k: v for k, v in more.items() if v is not None}}
