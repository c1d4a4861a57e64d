"""The label ledger: predictions wait for their labels, early labels wait for their predictions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from services.joiner.checks import LabelChecks
from services.joiner.panel import Statement, label_time, merged, statement_of, told, verdict
from services.joiner.requests import Requests
from shared.errors import Reject
from shared.messages.cloudevents import plain_label
from shared.messages.codec import decode
from shared.messages.labels import class_key
from shared.messages.streams import LABEL_REQUESTS, LABELS, OUTCOMES, PREDICTIONS, REJECTED
from shared.messages.types import Control, Label, Outcome, Prediction, Value
from shared.problem.spec import Problem
from shared.problem.times import EPOCH
from shared.rejecting import rejected
from shared.stage import Out, Record
from shared.table import Table

MOST_WAITING = 1_000_000
"""Predictions that wait for a label at the same time; beyond it the oldest stays unlabelled."""
MOST_DONE = 10_000
"""Labelled ids that are remembered, for corrections and to tell `twice` from `unknown`."""
BLOCK = 64
"""Of these: every event brings one and takes one away."""


class _Early(msgspec.Struct):
    value: bytes
    offset: int
    timestamp_ms: int


class _Done(msgspec.Struct):
    """What became of an id. `outcome` is kept only where corrections are allowed; `said` where several
    labellers are weighed.
    """

    label: str
    outcome: Outcome | None = None
    said: list[Statement] = []


class Joiner:
    """Folds predictions, labels and ticks into outcomes."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._spec = problem.label
        self._checks = LabelChecks(problem)
        self._waiting: Table[Prediction] = Table("waiting", MOST_WAITING, Prediction)
        self._early: Table[list[_Early]] = Table("early", self._spec.early, list[_Early])
        self._done: Table[_Done] = Table("done", MOST_DONE, _Done, BLOCK)
        self._expired: Table[bool] = Table("expired", MOST_DONE, bool, BLOCK)
        self._votes: Table[list[Statement]] = Table("votes", MOST_DONE, list[Statement])
        """Of predictions that wait although somebody spoke: all that was said is revoked."""
        self._weighs = self._spec.conflict != "first"
        self._requests = Requests(problem.label)
        self._tables = (self._waiting, self._early, self._done, self._expired, self._votes)

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
        labels = [(self._checks(decode(LABELS, e.value)), e.timestamp_ms) for e in early]
        if self._weighs:
            said: list[Statement] = []
            for label, at_ms in labels:
                said = merged(said, statement_of(label, at_ms)) or said
            return self._judged(prediction, said, record)
        ((label, at_ms),) = labels
        return [self._first(prediction, label.label, label_time(label, at_ms), record)]

    def _labelled(self, record: Record) -> Iterable[Out]:
        value = plain_label(record.value, record.headers)
        label = self._checks(decode(LABELS, value))
        prediction = self._waiting.get(label.id)
        at_ms = record.timestamp_ms
        if prediction is not None:
            if self._weighs:
                before = self._votes.get(label.id) or []
                return self._judged(prediction, told(before, label, at_ms), record)
            if label.revoked:
                raise Reject(f"the label of {label.id} is revoked before it came", "revoked")
            self._waiting.pop(label.id)
            return [self._first(prediction, label.label, label_time(label, at_ms), record)]
        done = self._done.get(label.id)
        if done is not None:
            weigh = self._reweighed if self._weighs else self._corrected
            return weigh(done, label, record)
        if label.id in self._expired:
            raise Reject(
                f"the label of {label.id} came after the wait of {self._spec.wait}", "late_label"
            )
        return self._came_early(label, value, record)

    def _came_early(self, label: Label, value: bytes, record: Record) -> Iterable[Out]:
        before = self._early.get(label.id) or []
        if before and not self._weighs:
            raise Reject(
                f"a second label for {label.id}, which waits for its event", "label_twice"
            )
        known = [statement_of(decode(LABELS, e.value), e.timestamp_ms) for e in before]
        told(known, label, record.timestamp_ms)
        early = _Early(value, record.offset, record.timestamp_ms)
        forgotten = self._early.put(label.id, [*before, early])
        return [self._unknown(one, record) for one in forgotten or ()]

    def _first(
        self,
        prediction: Prediction,
        label: Value | None,
        at: datetime,
        record: Record,
        said: Sequence[Statement] = (),
    ) -> Out:
        outcome = _outcome(prediction, label, at, revision=0, default=False)
        keep = outcome if self._spec.revisions or self._weighs else None
        self._done.put(prediction.id, _Done(class_key(label), keep, list(said)))
        return Out(OUTCOMES, outcome, record, prediction.key)

    def _judged(
        self, prediction: Prediction, said: list[Statement], record: Record
    ) -> Iterable[Out]:
        """What the labellers of a waiting prediction make of it."""
        chosen = verdict(said, self._spec.conflict, self._spec.labellers)
        if chosen is None:
            self._waiting.put(prediction.id, prediction)
            self._votes.put(prediction.id, said)
            return ()
        self._waiting.pop(prediction.id)
        self._votes.pop(prediction.id)
        at = EPOCH + timedelta(microseconds=chosen.at_us)
        return [self._first(prediction, chosen.label, at, record, said)]

    def _reweighed(self, done: _Done, label: Label, record: Record) -> Iterable[Out]:
        """One statement more about what has an outcome; a new one only if the verdict changes."""
        said = told(done.said, label, record.timestamp_ms)
        chosen = verdict(said, self._spec.conflict, self._spec.labellers)
        key = "" if chosen is None else class_key(chosen.label)
        outcome = done.outcome
        if key == done.label or outcome is None:
            self._done.put(label.id, _Done(done.label, outcome, said))
            return ()
        at_us = max(statement.at_us for statement in said) if chosen is None else chosen.at_us
        value = None if chosen is None else chosen.label
        corrected = _revised(outcome, value, EPOCH + timedelta(microseconds=at_us))
        self._done.put(label.id, _Done(key, corrected, said))
        return [Out(OUTCOMES, corrected, record, corrected.key)]

    def _corrected(self, done: _Done, label: Label, record: Record) -> Iterable[Out]:
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
        value = None if label.revoked else label.label
        corrected = _revised(outcome, value, label_time(label, record.timestamp_ms))
        self._done.put(label.id, _Done(key, corrected))
        return [Out(OUTCOMES, corrected, record, corrected.key)]

    def _controlled(self, record: Record) -> Iterator[Out]:
        control: Control = record.value
        if control.command in ("tick", "end"):
            yield from self._asked(record, control.time)
        if control.command == "tick" and self._spec.wait is not None:
            yield from self._expire(record, control.time - self._spec.wait)
        elif control.command == "end":
            for key, early in self._early.items():
                self._early.pop(key)
                yield from (self._unknown(one, record) for one in early)

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
            said = self._votes.pop(key) or []
            if self._spec.default is None:
                self._expired.put(key, True)
                continue
            outcome = _outcome(prediction, self._spec.default, record.value.time, 0, default=True)
            keep = outcome if self._spec.revisions or self._weighs else None
            self._done.put(key, _Done(class_key(self._spec.default), keep, said))
            yield Out(OUTCOMES, outcome, record, prediction.key)

    def _unknown(self, early: _Early, cause: Record) -> Out:
        """An early label whose event never came, as rejected."""
        record = Record(LABELS, early.value, offset=early.offset, timestamp_ms=early.timestamp_ms)
        label: Label = decode(LABELS, early.value)
        why = Reject(f"no event with the id {label.id} has come", "label_unknown_id", "id")
        return Out(REJECTED, rejected(record, self._problem.name, why), cause)


def _revised(outcome: Outcome, label: Value | None, at: datetime) -> Outcome:
    corrected = _outcome(outcome, label, at, outcome.revision + 1, default=False)
    corrected.replaced = outcome.label
    return corrected


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
        references=prediction.references,
        unfound=prediction.unfound,
        label=label,
        labelled_at=at,
        revision=revision,
        default=default,
    )
