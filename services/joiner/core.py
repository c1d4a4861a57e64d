"""The label ledger: predictions wait for their labels, early labels wait for their predictions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite

import msgspec

from services.joiner.requests import Requests
from shared.errors import Reject
from shared.messages.cloudevents import plain_label
from shared.messages.codec import decode
from shared.messages.labels import class_key
from shared.messages.streams import LABEL_REQUESTS, LABELS, OUTCOMES, PREDICTIONS, REJECTED
from shared.messages.types import Control, Label, Outcome, Prediction, Value
from shared.problem.spec import Problem
from shared.rejecting import rejected
from shared.stage import Out, Record
from shared.table import Table

MOST_WAITING = 1_000_000
"""Predictions that wait for a label at the same time; beyond it the oldest stays unlabelled."""
MOST_DONE = 10_000
"""Labelled ids that are remembered, for corrections and to tell `twice` from `unknown`."""


class _Early(msgspec.Struct):
    value: bytes
    offset: int
    timestamp_ms: int


class _Done(msgspec.Struct):
    """What became of an id. `outcome` is kept only where corrections are allowed."""

    label: str
    outcome: Outcome | None = None


class Joiner:
    """Folds predictions, labels and ticks into outcomes."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._spec = problem.label
        self._classes = {class_key(value): value for value in self._spec.classes or ()}
        self._waiting: Table[Prediction] = Table("waiting", MOST_WAITING, Prediction)
        self._early: Table[_Early] = Table("early", self._spec.early, _Early)
        self._done: Table[_Done] = Table("done", MOST_DONE, _Done)
        self._expired: Table[bool] = Table("expired", MOST_DONE, bool)
        self._requests = Requests(problem.label)
        self._tables = (self._waiting, self._early, self._done, self._expired)

    @property
    def held(self) -> int:
        """Early labels: each may turn the next event into an outcome at once."""
        return len(self._early)

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """Join; see the class."""
        for record in records:
            if record.stream is PREDICTIONS:
                yield from self._asked(record, record.value.time)
                yield from self._predicted(record)
            elif record.stream is LABELS:
                try:
                    yield from self._labelled(record)
                except Reject as why:
                    yield Out(REJECTED, rejected(record, self._problem.name, why), record)
            else:
                yield from self._controlled(record)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Entries by table and id: a checkpoint costs what changed."""
        for table in self._tables:
            yield from table.changes()
        yield "requests", str(self._requests.window).encode()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        for table in self._tables:
            table.restore(entries)
        self._requests.window = int(entries.get("requests", b"-1"))

    def _predicted(self, record: Record) -> Iterable[Out]:
        prediction: Prediction = record.value
        early = self._early.pop(prediction.id)
        if early is None:
            self._waiting.put(prediction.id, prediction)
            return ()
        label = self._checked(decode(LABELS, early.value))
        return [self._first(prediction, label, record, early.timestamp_ms)]

    def _labelled(self, record: Record) -> Iterable[Out]:
        value = plain_label(record.value, record.headers)
        label = self._checked(decode(LABELS, value))
        prediction = self._waiting.get(label.id)
        if prediction is not None:
            if label.revoked:
                raise Reject(f"the label of {label.id} is revoked before it came", "revoked")
            self._waiting.pop(label.id)
            return [self._first(prediction, label, record, record.timestamp_ms)]
        done = self._done.get(label.id)
        if done is not None:
            return [self._corrected(done, label, record)]
        if label.id in self._expired:
            raise Reject(
                f"the label of {label.id} came after the wait of {self._spec.wait}", "late_label"
            )
        if label.id in self._early:
            raise Reject(
                f"a second label for {label.id}, which waits for its event", "label_twice"
            )
        early = _Early(value, record.offset, record.timestamp_ms)
        forgotten = self._early.put(label.id, early)
        return () if forgotten is None else [self._unknown(forgotten, record)]

    def _checked(self, label: Label) -> Label:
        """The label with its class as declared, or its number finite and in range."""
        if label.revoked:
            return label
        if label.label is None:
            raise Reject(f"the label of {label.id} has no value", "label_missing", "label")
        if self._problem.task != "regression":
            if not self._classes:
                return label
            key = class_key(label.label)
            if key not in self._classes:
                known = ", ".join(self._classes)
                raise Reject(
                    f"{key} is not a class; the classes are {known}", "label_class", "label"
                )
            label.label = self._classes[key]
            return label
        return self._number(label)

    def _number(self, label: Label) -> Label:
        value = label.label
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise Reject(f"the label {value!r} is not a number", "label_type", "label")
        low, high = self._spec.range or (None, None)
        if (low is not None and value < low) or (high is not None and value > high):
            raise Reject(f"the label {value} is outside {low} to {high}", "label_range", "label")
        return label

    def _first(self, prediction: Prediction, label: Label, record: Record, at_ms: int) -> Out:
        at = label.time or datetime.fromtimestamp(at_ms / 1000, UTC)
        outcome = _outcome(prediction, label.label, at, revision=0, default=False)
        keep = outcome if self._spec.revisions else None
        self._done.put(prediction.id, _Done(class_key(label.label), keep))
        return Out(OUTCOMES, outcome, record, prediction.key)

    def _corrected(self, done: _Done, label: Label, record: Record) -> Out:
        key = "" if label.revoked else class_key(label.label)
        if key == done.label:
            raise Reject(f"the label of {label.id} came twice", "label_twice")
        outcome = done.outcome
        if outcome is None or outcome.revision >= self._spec.revisions:
            raise Reject(
                f"the label of {label.id} was corrected more than {self._spec.revisions} times "
                "(label.revisions in the problem file allows more)",
                "label_revisions",
            )
        at = label.time or datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
        value = None if label.revoked else label.label
        corrected = _outcome(outcome, value, at, outcome.revision + 1, default=False)
        self._done.put(label.id, _Done(key, corrected))
        return Out(OUTCOMES, corrected, record, corrected.key)

    def _controlled(self, record: Record) -> Iterator[Out]:
        control: Control = record.value
        if control.command in ("tick", "end"):
            yield from self._asked(record, control.time)
        if control.command == "tick" and self._spec.wait is not None:
            yield from self._expire(record, control.time - self._spec.wait)
        elif control.command == "end":
            for key, early in self._early.items():
                self._early.pop(key)
                yield self._unknown(early, record)

    def _asked(self, record: Record, time: datetime) -> Iterator[Out]:
        """When `time` is past a window: what is to be labelled of it, most informative first."""
        if self._requests.passed(time):
            waiting = (prediction for _, prediction in self._waiting.items())
            for request in self._requests.close(waiting, time):
                yield Out(LABEL_REQUESTS, request, record, request.key)

    def _expire(self, record: Record, before: datetime) -> Iterator[Out]:
        """Predictions from before `before` get the default label, or stay without one."""
        while (oldest := self._waiting.oldest()) is not None and oldest[1].time <= before:
            key, prediction = oldest
            self._waiting.pop(key)
            if self._spec.default is None:
                self._expired.put(key, True)
                continue
            outcome = _outcome(prediction, self._spec.default, record.value.time, 0, default=True)
            keep = outcome if self._spec.revisions else None
            self._done.put(key, _Done(class_key(self._spec.default), keep))
            yield Out(OUTCOMES, outcome, record, prediction.key)

    def _unknown(self, early: _Early, cause: Record) -> Out:
        """An early label whose event never came, as rejected."""
        record = Record(LABELS, early.value, offset=early.offset, timestamp_ms=early.timestamp_ms)
        label: Label = decode(LABELS, early.value)
        why = Reject(f"no event with the id {label.id} has come", "label_unknown_id", "id")
        return Out(REJECTED, rejected(record, self._problem.name, why), cause)


def _outcome(
    prediction: Prediction, label: Value | None, at: datetime, revision: int, default: bool
) -> Outcome:
    return Outcome(
        id=prediction.id,
        time=prediction.time,
        prediction=prediction.prediction,
        model=prediction.model,
        features=prediction.features,
        feature_set=prediction.feature_set,
        key=prediction.key,
        source=prediction.source,
        probabilities=prediction.probabilities,
        interval=prediction.interval,
        shadow=prediction.shadow,
        rules=prediction.rules,
        said=prediction.said,
        arrival=prediction.arrival,
        scored_at=prediction.scored_at,
        champion=prediction.champion,
        label=label,
        labelled_at=at,
        revision=revision,
        default=default,
    )
