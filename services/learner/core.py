"""Outcomes in, the fresh model out, at every freshness boundary."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
import numpy as np

from services.learner.probing import check_answers
from shared.errors import Reject, UntrustedArtefact
from shared.features.feature_set import FeatureSet
from shared.messages.labels import class_key
from shared.messages.streams import MODELS, OUTCOMES, REJECTED
from shared.messages.types import ModelEvent, Outcome, Value
from shared.models.arrival import unpack_arrival, view_width
from shared.models.artefact import anchor_from_bytes
from shared.models.codec import from_bytes, to_bytes
from shared.models.encoded import Encoded
from shared.models.live import FIRST, LiveModel, fresh, members_per_version
from shared.models.port import Anchor
from shared.models.rows import matrix
from shared.models.said import unpack_many
from shared.problem.spec import Problem
from shared.registry.decisions import refusal, sealed
from shared.registry.manifest import BlobRef, Manifest, read_manifest
from shared.rejecting import rejected
from shared.stage import Out, Record, Tools

SNAPSHOT = "snapshot"
"""The manifest's `kind` of a whole pool."""


class _State(msgspec.Struct):
    outcomes: int
    pool: str
    classes: list[Value]
    buffered: list[Outcome]
    decided: list[tuple[int, ModelEvent]]
    known: list[str] = msgspec.field(default_factory=lambda: [FIRST])


class Learner:
    """Folds outcomes into the pool, F at a time; applies decisions on models at the boundaries.

    A version is taken in once, when its record and its artefact are what the trainer signed. One that
    is refused, or comes again, changes nothing, nor does any step that no trusted key signed: it goes
    to `rejected`, and the monitor pages.
    """

    def __init__(self, problem: Problem, tools: Tools) -> None:
        self._tools = tools
        self._problem = problem.name
        self._feature_set = FeatureSet(problem).digest
        self._regression = problem.task == "regression"
        self._freshness = problem.model.freshness
        self._snapshot_every = problem.model.snapshot_every
        self._names = problem.model_names
        self._encoded = Encoded(problem)
        start = fresh(problem, len(self._names))
        self._pool = start.pool
        self._n_base = len(start.pool.bank.names)
        self._n_members = members_per_version(start.pool)
        self._view_width = view_width(len(self._names))
        self._know(start.classes)
        self._outcomes = 0
        self._buffered: list[Outcome] = []
        self._decided: list[tuple[int, ModelEvent]] = []
        self._known = [FIRST]

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """Fold; at each multiple of F outcomes learn, apply decisions, hand on the model."""
        for record in records:
            if record.stream is MODELS:
                yield from self._told(record)
                continue
            if self._outcomes == 0:
                yield self._born(record)
            self._buffered.append(record.value)
            self._outcomes += 1
            if self._outcomes % self._freshness == 0:
                self._learn()
                yield from self._decide(record)
                yield Out(MODELS, self._live(), record, durable=False)
            if self._outcomes % self._snapshot_every == 0:
                yield self._snapshot(record)

    def _told(self, record: Record) -> Iterator[Out]:
        """A decision, kept until the boundary; one that no trusted key signed is refused at once."""
        why = refusal(record.value, self._tools.trusted, "learner")
        if why is None:
            self._decided.append((record.offset, record.value))
        else:
            yield Out(REJECTED, rejected(record, self._problem, why), record)

    def resume(self) -> Iterator[Out]:
        """The live model, for the scorer beside; see `shared.stage.Out`."""
        yield Out(MODELS, self._live(), Record(OUTCOMES, None), durable=False)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One entry; the pool itself goes to the blob store."""
        digest = self._tools.blobs.put(to_bytes(self._pool))
        state = _State(
            self._outcomes, digest, list(self._classes), self._buffered, self._decided, self._known
        )
        yield "state", msgspec.msgpack.encode(state)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        state = msgspec.msgpack.decode(entries["state"], type=_State)
        self._outcomes = state.outcomes
        self._pool = from_bytes(self._tools.blobs.get(state.pool))
        self._know(state.classes)
        self._buffered, self._decided, self._known = state.buffered, state.decided, state.known

    def _live(self) -> LiveModel:
        return LiveModel(self._pool, tuple(self._classes), self._outcomes)

    def _learn(self) -> None:
        """Everything buffered that carries a first label, in order."""
        targets = [
            (outcome, self._target(outcome.label))
            for outcome in self._buffered
            if outcome.revision == 0 and outcome.label is not None
        ]
        self._buffered = []
        for _, run in groupby(targets, _shape):
            outcomes, labels = zip(*run, strict=True)
            features = [outcome.features for outcome in outcomes]
            y = np.array(labels, np.float64 if self._regression else np.int64)
            said = unpack_many(
                [outcome.said or "" for outcome in outcomes],
                self._n_base,
                self._n_members,
                half=not self._regression,
            )
            self._pool.learn_many(
                matrix(features, self._names),
                y,
                said.experts,
                said.members,
                unpack_arrival([outcome.arrival or "" for outcome in outcomes], self._view_width),
                self._layout(said.anchors),
            )
            self._encoded.learn(self._pool, features, y)

    def _know(self, classes: Iterable[Value]) -> None:
        self._classes = list(classes)
        self._places = {class_key(value): place for place, value in enumerate(self._classes)}

    def _target(self, label: Value) -> Value:
        """The number, or the place of the class; one that appears for the first time gets its own."""
        if self._regression:
            return label
        key = class_key(label)
        if key not in self._places:
            self._places[key] = len(self._classes)
            self._classes.append(label)
            self._pool.grow(max(2, len(self._classes)))
        return self._places[key]

    def _layout(self, anchors: tuple[str, ...]) -> int:
        """The number under which the pool knows the columns: its base experts, then `anchors`."""
        pool = self._pool
        if anchors == tuple(pool.bank.anchors):
            return pool.layout
        names = (*pool.bank.names[: self._n_base], *anchors)
        return next((n for n, known in pool.layouts.items() if known == names), -1)

    def _decide(self, record: Record) -> Iterator[Out]:
        decided, self._decided = self._decided, []
        for offset, event in decided:
            if event.state == "shadow":
                yield from self._join(event, offset, record)
            elif event.model in self._pool.versions:
                self._apply(event)

    def _apply(self, event: ModelEvent) -> None:
        """A step of a version that is in the pool."""
        if event.state == "champion":
            self._pool.promote(event.model)
        elif event.state == "canary":
            self._pool.expose(event.model)
        elif event.state == "proposed":
            self._pool.conceal(event.model)
        elif event.state in ("rejected", "retired"):
            self._pool.drop_version(event.model)

    def _join(self, event: ModelEvent, offset: int, record: Record) -> Iterator[Out]:
        """A shadow joins the pool, if it is new and its artefact is what the trainer signed."""
        is_new = event.model not in self._known
        try:
            if not is_new:
                raise UntrustedArtefact(f"{event.model} came before: no version comes twice")
            self._known.append(event.model)
            self._pool.add_version(event.model, {event.model: self._opened(event)})
        except UntrustedArtefact as why:
            reason = f"artefact refused: {why}"
            place = Record(MODELS, event, event.model, offset=offset)
            yield Out(REJECTED, rejected(place, self._problem, Reject(reason, why.check)), record)
            if is_new:
                refused = msgspec.structs.replace(
                    event, state="rejected", reason=reason, by="learner"
                )
                yield Out(MODELS, sealed(refused, self._tools.signed), record)

    def _opened(self, event: ModelEvent) -> Anchor:
        """Raises UntrustedArtefact: it is not what it says, or its classes are not the pool's, or it
        gives no usable answer.
        """
        data = self._tools.verified(event.blob or "", event.manifest or {}, event.model)
        theirs = [class_key(value) for value in read_manifest(event.manifest or {}).classes]
        if theirs != list(self._places)[: len(theirs)]:
            raise UntrustedArtefact(
                f"{event.model} was made for the classes {', '.join(theirs)}; here they are "
                f"{', '.join(self._places) or 'none'}"
            )
        anchor = anchor_from_bytes(data)
        check_answers(anchor, len(self._names), 1 if self._regression else max(2, len(theirs)))
        return anchor

    def _born(self, record: Record) -> Out:
        outcome: Outcome = record.value
        event = ModelEvent(
            model=self._pool.champion,
            state="champion",
            time=outcome.time,
            reason="the pool that starts from nothing",
            by="learner",
            classes=list(self._classes),
        )
        return Out(MODELS, sealed(event, self._tools.signed), record)

    def _snapshot(self, record: Record) -> Out:
        outcome: Outcome = record.value
        champion, data = self._pool.champion, to_bytes(self._pool)
        event = ModelEvent(
            model=champion,
            state="snapshot",
            time=outcome.time,
            outcomes=self._outcomes,
            blob=self._tools.blobs.put(data),
            champion=champion,
            shadows=[version for version in self._pool.versions if version != champion],
            classes=list(self._classes),
            by="learner",
            manifest=self._tools.signed(self._manifest(data)),
        )
        return Out(MODELS, sealed(event, self._tools.signed), record)

    def _manifest(self, snapshot: bytes) -> dict[str, Any]:
        """What a scorer in another process checks before it decodes the snapshot."""
        return Manifest(
            problem=self._problem,
            version=self._pool.champion,
            parent=None,
            kind=SNAPSHOT,
            artefact=BlobRef.of(snapshot),
            feature_set=self._feature_set,
            features=list(self._names),
            classes=list(self._classes),
            start=0,
            end=self._outcomes,
            selection={},
            seeds={},
            libraries={},
            code="",
            metrics={},
        ).as_dict()


def _shape(learnable: tuple[Outcome, Value]) -> tuple[str, int]:
    """Equal for outcomes whose `said` lists the same anchors, versions and classes."""
    said = learnable[0].said or ""
    return said.partition("|")[0], len(said)
