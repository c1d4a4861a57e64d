"""Raw events and published predictions in, how often they disagree out.

An event and its prediction find each other by id, whichever is read first. (Where an id comes again
after a rejection, the rejection says which event is meant: it is read before the later event, since
the log's readers merge streams by time.) The features are folded anew from what the producer sent, in
the order in which events were accepted, and compared bit by bit with those that were served. What is
looked up is looked up in the references that the featurizer had read by then, as the prediction says.

That finds what a feature's own code cannot see of itself: another definition or version at work, state
that was lost or mixed up by a restart or a move, a reading or rounding on the way, numbers changed
after they were made. An operator that is wrong in the same way on both sides is for the tests (each has
a slow oracle in pandas).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import msgspec

from services.auditor.facts import Facts
from services.auditor.reading import Reading
from services.auditor.sample import Sample
from services.auditor.tally import Tally, window_of
from shared.features.feature_set import FeatureSet
from shared.features.keys import Keys
from shared.features.past import Plan
from shared.messages.streams import AUDITS, EVENTS, PREDICTIONS, REFERENCES, REJECTED
from shared.messages.types import Audit, Prediction, Rejected, Valid
from shared.problem.spec import Problem
from shared.stage import Out, Record
from shared.table import Table

MOST_WAITING = 20_000
"""Events, and predictions, that wait for each other; a prediction forgotten beyond it is unmatched."""


_NOTHING = Plan()


class _Raw(msgspec.Struct):
    offset: int
    valid: Valid


class _Said(msgspec.Struct):
    """`is_first`: its key was not known when it was scored (new, or forgotten before)."""

    prediction: Prediction
    is_first: bool


class _Pair(msgspec.Struct):
    """They wait for references that the featurizer had read and the auditor has not."""

    partition: int
    said: _Said
    raw: _Raw


class _Replica:
    """What the auditor knows of one partition: its own fold, the keys that the featurizer knows."""

    def __init__(self, problem: Problem) -> None:
        self.features = FeatureSet(problem)
        self.known = Keys(_NOTHING, problem.events.max_keys, problem.events.expire)
        self.tally = Tally()
        self.is_whole = True
        """Whether the auditor could fold the partition from its first event on."""

    def knows(self, key: str) -> bool:
        """Whether nothing before what was seen of `key` can matter any more."""
        reach = self.features.reach
        return self.is_whole or (reach is not None and self.features.seen(key) >= reach)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Entries that changed since the last call."""
        yield "tally", msgspec.msgpack.encode((self.is_whole, self.tally))
        yield from ((f"features/{name}", value) for name, value in self.features.changes())
        yield from ((f"known/{name}", value) for name, value in self.known.changes())

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        kind = tuple[bool, Tally]
        self.is_whole, self.tally = msgspec.msgpack.decode(entries["tally"], type=kind)
        for part, fold in (("features/", self.features), ("known/", self.known)):
            fold.restore(
                {k.removeprefix(part): v for k, v in entries.items() if k.startswith(part)}
            )


class Auditor:
    """A fold over raw events and predictions; its state: one `_Replica` a partition, and who waits."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._topic = f"{problem.name}.{EVENTS}"
        self._window: timedelta = problem.audit.window
        self._sample = Sample(problem)
        self._reading = Reading(problem)
        self._learned = frozenset(problem.learned_names)
        self._replicas: dict[int, _Replica] = {}
        self._events: Table[list[_Raw]] = Table("event", MOST_WAITING, list[_Raw])
        self._said: Table[_Said] = Table("said", MOST_WAITING, _Said)
        self._refused: Table[bool] = Table("refused", MOST_WAITING, bool)
        self._pairs: Table[_Pair] = Table("pair", MOST_WAITING, _Pair)
        self._tables = (self._events, self._said, self._refused, self._pairs)
        self._facts = Facts(problem) if problem.lookups else None
        self._read: dict[int, int] = {}
        """The next event expected, by partition."""
        self._names: dict[tuple[int, int], str] = {}
        """From partition and offset of an event that waits to its name in the table."""

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """See `shared.stage.Stage`."""
        if self._sample.empty:
            return
        for record in records:
            if record.stream is EVENTS:
                audit = self._came(record)
            elif record.stream is PREDICTIONS:
                audit = self._predicted(record)
            elif record.stream is REJECTED:
                audit = self._refuse(record.value)
            else:
                told = self._referred if record.stream is REFERENCES else self._controlled
                yield from told(record)
                continue
            if audit is not None:
                yield Out(AUDITS, audit, record)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """See `shared.stage.Stage`."""
        for table in self._tables:
            yield from table.changes()
        if self._facts is not None:
            yield from self._facts.changes()
        for partition, replica in self._replicas.items():
            yield from ((f"{partition}/{k}", value) for k, value in replica.changes())
        for partition, offset in self._read.items():
            yield f"{partition}/read", msgspec.msgpack.encode(offset)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See `shared.stage.Stage`."""
        for table in self._tables:
            table.restore(entries)
        if self._facts is not None:
            self._facts.restore(entries)
        for name, same in self._events.items():
            partition = int(name.partition(":")[0])
            self._names |= {(partition, raw.offset): name for raw in same}
        shares: dict[int, dict[str, bytes]] = {}
        for entry, value in entries.items():
            owner, _, rest = entry.partition("/")
            if owner.isdigit():
                shares.setdefault(int(owner), {})[rest] = value
        for number, share in shares.items():
            if "read" in share:
                self._read[number] = msgspec.msgpack.decode(share["read"], type=int)
            if "tally" in share:
                self._replica(number).restore(share)

    def _came(self, record: Record) -> Audit | None:
        partition, offset = record.partition, record.offset
        if partition not in self._read:
            self._replica(partition).is_whole = offset == 0
        self._read[partition] = offset + 1
        valid = self._reading.valid(record)
        refused = self._refused.pop(f"{partition}:{offset}") if self._refused else None
        if valid is None or refused or not self._sample.follows(valid.key):
            return None
        name = f"{partition}:{valid.id}"
        raw = _Raw(offset, valid)
        same = self._events.get(name)
        said = self._said.pop(name) if same is None else None
        if said is not None:
            return self._compared(partition, said, raw)
        for lost in self._events.put(name, [*(same or ()), raw]) or ():
            self._names.pop((partition, lost.offset), None)
        self._names[partition, offset] = name
        return None

    def _predicted(self, record: Record) -> Audit | None:
        prediction: Prediction = record.value
        partition = record.partition
        first = False
        if not self._sample.whole:
            known, key = self._replica(partition).known, prediction.key or ""
            before = known.past(key)
            first = known.at(key, prediction.time) is not before  # new, or anew after it expired
        if not self._sample.follows(prediction.key):
            return None
        name = f"{partition}:{prediction.id}"
        said = _Said(prediction, first)
        same = self._events.get(name)
        if same is not None and len(same) == 1:
            self._events.pop(name)
            del self._names[partition, same[0].offset]
            return self._compared(partition, said, same[0])
        replica = self._replica(partition)
        if self._said.put(name, said) is not None and replica.is_whole:
            replica.tally.unmatched += 1
        return None

    def _refuse(self, rejected: Rejected) -> Audit | None:
        """The event is out. Several of one id may have waited: then it may be clear now which is in."""
        if rejected.topic != self._topic:
            return None
        partition, offset = rejected.partition, rejected.offset
        name = self._names.pop((partition, offset), None)
        if name is None:
            if offset >= self._read.get(partition, 0):
                self._refused.put(f"{partition}:{offset}", True)
            return None
        left = [raw for raw in self._events.pop(name) or () if raw.offset != offset]
        said = self._said.pop(name) if len(left) == 1 else None
        if said is not None:
            del self._names[partition, left[0].offset]
            return self._compared(partition, said, left[0])
        if left:
            self._events.put(name, left)
        return None

    def _referred(self, record: Record) -> Iterator[Out]:
        """A reference: some pairs may have waited for it, in the order of their partition."""
        if self._facts is None:
            return
        self._facts.came(record)
        for name, pair in self._pairs.items() if self._pairs else ():
            if (pair.said.prediction.references or 0) <= self._facts.position:
                self._pairs.pop(name)
                audit = self._folded(pair.partition, pair.said, pair.raw)
                if audit is not None:
                    yield Out(AUDITS, audit, record)

    def _compared(self, partition: int, said: _Said, raw: _Raw) -> Audit | None:
        """Compare them, once the references are read that the featurizer had read."""
        facts = self._facts
        if facts is None or (said.prediction.references or 0) <= facts.position:
            return self._folded(partition, said, raw)
        lost = self._pairs.put(f"{partition}:{raw.offset}", _Pair(partition, said, raw))
        if lost is not None:
            self._replica(lost.partition).tally.unmatched += 1
        return None

    def _looks_up(self, replica: _Replica, position: int) -> bool:
        """Bring what the replica looks things up in to `position`; whether it can be brought there."""
        if self._facts is None:
            return True
        references = replica.features.references
        moves = references.position < position
        found = self._facts.move(references, position)
        if moves:
            folds = (other.features.references for other in self._replicas.values())
            self._facts.let_go(min(fold.position for fold in folds))
        return found

    def _folded(self, partition: int, said: _Said, raw: _Raw) -> Audit | None:
        """Fold the event, compare; the window before, if this one begins another."""
        replica, valid = self._replica(partition), raw.valid
        is_repeated = self._looks_up(replica, said.prediction.references or 0)
        if not is_repeated:
            replica.is_whole = False  # what is looked up may be remembered
        if said.is_first or not is_repeated:
            replica.features.drop(valid.key or "")
        is_founded = is_repeated and replica.knows(valid.key or "")
        expected = replica.features.transform(valid)
        number, audit = window_of(valid.time, self._window), None
        if number > replica.tally.number:
            audit = self._closed(partition)
            replica.tally = Tally(number)
        if not is_founded:
            replica.tally.unfounded += 1
        elif self._sample.compares(valid.id):
            replica.tally.compare(
                said.prediction, expected, replica.features.digest, self._learned
            )
        return audit

    def _controlled(self, record: Record) -> Iterator[Out]:
        """At the end of a source its last windows are closed."""
        if record.value.command != "end":
            return
        for partition, replica in self._replicas.items():
            audit = self._closed(partition)
            replica.tally = Tally(replica.tally.number)
            if audit is not None:
                yield Out(AUDITS, audit, record)

    def _closed(self, partition: int) -> Audit | None:
        replica = self._replica(partition)
        return replica.tally.audit(self._window, replica.features.digest, partition)

    def _replica(self, partition: int) -> _Replica:
        replica = self._replicas.get(partition)
        if replica is None:
            replica = self._replicas[partition] = _Replica(self._problem)
            if self._facts is not None:
                self._facts.begin(replica.features.references)
        return replica
