"""Several stages as one fold, records passing in memory.

The graph has a cycle: what the learner learns changes what the scorer says. It is cut at *freshness
boundaries*, after every F outcomes (DESIGN section 5). Records for a later stage are delivered at
once, records for an earlier one at the next boundary. Between two boundaries no prediction can
depend on an outcome, so events are scored in blocks there, and nothing depends on where a batch of
input ends.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared.errors import Reject
from shared.log.port import Position
from shared.messages.codec import decode, encode
from shared.messages.streams import (
    CONTROL,
    FEATURES,
    LABELS,
    OUTCOMES,
    PREDICTIONS,
    RAW,
    REJECTED,
    Stream,
)
from shared.problem.spec import Problem
from shared.rejecting import rejected
from shared.stage import Out, Record, Service, Stage, Tools

_RANK = {stream: rank for rank, stream in enumerate(Stream)}
_STATE = "fused"


_Packed = tuple[str, str | None, int, int, int, bytes]


class _Saved(msgspec.Struct):
    outcomes: int
    ends: Position
    waiting: list[list[_Packed]]
    due: list[list[_Packed]]


class Fused:
    """The stages of `services`, in this order, as one deterministic fold over their inputs.

    `stamp` fills wall-clock fields of outputs (never read by a stage; left out of digests).
    `elsewhere`: streams that services of other processes write; they are read from the log, also where
    one of these stages writes them too.
    """

    def __init__(
        self,
        services: Sequence[Service],
        problem: Problem,
        tools: Tools,
        stamp: Callable[[], datetime] | None = None,
        elsewhere: frozenset[Stream] = frozenset(),
    ) -> None:
        self._elsewhere = elsewhere
        self.names = [service.name for service in services]
        self.stages: list[Stage] = [
            service.build(problem, tools) for service in services if service.build
        ]
        self._services = services
        self._problem = problem.name
        self._freshness = problem.model.freshness
        self._readers = _readers(services)
        self._prelude = _prelude_length(services)
        self._cycle = {
            stream: [reader for reader in readers if reader >= self._prelude]
            for stream, readers in self._readers.items()
        }
        self._routes = {writer: self._routes_of(writer) for writer in range(-1, len(services))}
        self._holders = [stage for stage in self.stages if hasattr(stage, "held")]
        self._stamp = stamp
        self._outcomes = 0
        self._epoch = 0
        self._ends: Position = {}
        self._waiting = self._nothing()
        self._due = self._nothing()
        self.produced: list[Record] = []
        """Durable outputs of the batch at hand, also while it is being folded."""
        self.running = "runner"
        """The service at work, for whoever asks after a failure."""

    @property
    def inputs(self) -> tuple[Stream, ...]:
        """Streams that are read from the log: read by a stage, and not written by these alone."""
        written = {stream for service in self._services for stream in service.writes}
        read = {stream for service in self._services for stream in service.reads}
        return tuple(s for s in Stream if s in read and (s not in written or s in self._elsewhere))

    @property
    def ends(self) -> Position:
        """Where the next record of each written stream goes, as this fold sees it."""
        return dict(self._ends)

    def stage(self, name: str) -> Stage:
        """The stage of the service `name`."""
        return self.stages[self.names.index(name)]

    def handle(self, records: Sequence[Record]) -> list[Record]:
        """Fold input records; the durable outputs in order, with their offsets."""
        produced = self.produced = list[Record]()
        inbox = [*self._nothing(), []]  # the last is for the stages of the cycle, all of them
        for record in records:
            for reader in self._routes[-1][record.stream][0]:
                inbox[reader].append(record)
        for index in range(self._prelude):
            self._run(index, inbox, produced)
        for chunk in self._chunks(inbox[-1]):
            for index in range(self._prelude, len(self.stages)):
                self._run(index, chunk, produced)
            if self._outcomes // self._freshness != self._epoch:
                self._epoch = self._outcomes // self._freshness
                self._due, self._waiting = self._waiting, self._nothing()
        return produced

    def refuse(self, record: Record, why: Reject) -> list[Record]:
        """Fold the rejection of the input `record` in its place; the durable outputs in order."""
        refused = self._record(Out(REJECTED, rejected(record, self._problem, why), record))
        return [refused, *self.handle([refused])]

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """State entries of all stages, changed since the last call, plus what is under way."""
        for name, stage in zip(self.names, self.stages, strict=True):
            for key, value in stage.changes():
                yield f"{name}/{key}", value
        waiting, due = _packed(self._waiting), _packed(self._due)
        yield _STATE, msgspec.msgpack.encode(_Saved(self._outcomes, self._ends, waiting, due))

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue from saved entries; live objects are handed on anew."""
        by_stage: dict[str, dict[str, bytes]] = {name: {} for name in self.names}
        for key, value in entries.items():
            name, _, rest = key.partition("/")
            if rest and name in by_stage:
                by_stage[name][rest] = value
        for name, stage in zip(self.names, self.stages, strict=True):
            if by_stage[name]:
                stage.restore(by_stage[name])
        if _STATE in entries:
            saved = msgspec.msgpack.decode(entries[_STATE], type=_Saved)
            self._outcomes, self._ends = saved.outcomes, saved.ends
            self._waiting, self._due = _unpacked(saved.waiting), _unpacked(saved.due)
            self._epoch = self._outcomes // self._freshness
        self._resume()

    def _resume(self) -> None:
        for index, stage in enumerate(self.stages):
            resume: Callable[[], Iterable[Out]] | None = getattr(stage, "resume", None)
            for out in resume() if resume else ():
                record = Record(out.stream, out.value, out.key, seq=out.cause.seq)
                for reader in self._readers[out.stream]:
                    if reader < index:
                        list(self.stages[reader].handle([record]))

    def _routes_of(self, writer: int) -> dict[Stream, tuple[list[int], list[int]]]:
        """Who takes what `writer` says (-1: the log) at once, and who at the next boundary.

        A stage knows what it said itself. Before the cycle, its stages are one reader, the last.
        """
        routes = {}
        for stream, readers in self._readers.items():
            later = [reader for reader in readers if reader > writer]
            if writer < self._prelude and self._cycle[stream]:
                later = [reader for reader in later if reader < self._prelude] + [len(self.stages)]
            routes[stream] = later, [reader for reader in readers if reader < writer]
        return routes

    def _run(self, index: int, inbox: list[list[Record]], produced: list[Record]) -> None:
        records = inbox[index]
        if not records:
            return
        inbox[index] = []
        self.running = self.names[index]
        if len(self._services[index].reads) > 1 and not _in_order(records):
            records.sort(key=_order)
        routes = self._routes[index]
        for out in self.stages[index].handle(records):
            record = self._record(out)
            if out.durable:
                produced.append(record)
            if out.stream is OUTCOMES:
                self._outcomes += 1
            at_once, at_boundary = routes[out.stream]
            for reader in at_once:
                inbox[reader].append(record)
            for reader in at_boundary:
                self._waiting[reader].append(record)

    def _record(self, out: Out) -> Record:
        offset = -1
        if out.durable:
            offset = self._ends.get(out.stream, 0)
            self._ends[str(out.stream)] = offset + 1
        if self._stamp is not None and out.stream is PREDICTIONS:
            out.value.scored_at = self._stamp()
        cause = out.cause
        return Record(
            out.stream, out.value, out.key, cause.partition, offset, cause.seq, cause.timestamp_ms
        )

    def _chunks(self, records: list[Record]) -> Iterator[list[list[Record]]]:
        """Cut what waits for the stages of the cycle so that no chunk crosses a boundary.

        A label yields at most one outcome, an event one only if its label is held already, a control
        record any number, an outcome from another process is one: a chunk ends where the boundary
        could be reached. What came due at a boundary goes before the rest.
        """
        records.sort(key=_order)
        chunk, room, held, last = self._take_due(), self._room(), self._held(), -1
        for record in records:
            if room <= 0 and record.seq != last:
                yield chunk
                chunk, room, held = self._take_due(), self._room(), self._held()
            for reader in self._cycle[record.stream]:
                chunk[reader].append(record)
            last = record.seq
            if record.stream is OUTCOMES:
                self._outcomes, room = self._outcomes + 1, room - 1
            elif record.stream is LABELS:
                room -= 1
            elif record.stream is CONTROL:
                room -= self._freshness
            elif record.stream is FEATURES and held:
                room, held = room - 1, held - 1
        yield chunk

    def _held(self) -> int:
        return sum(stage.held for stage in self._holders)

    def _room(self) -> int:
        return self._freshness - self._outcomes % self._freshness

    def _take_due(self) -> list[list[Record]]:
        due, self._due = self._due, self._nothing()
        return due

    def _nothing(self) -> list[list[Record]]:
        return [[] for _ in self._services]


def _order(record: Record) -> tuple[int, int, int]:
    return record.seq, _RANK[record.stream], record.offset


def _in_order(records: list[Record]) -> bool:
    """Most are; a sort with a key costs several times this look."""
    last = -1
    for record in records:
        if record.seq <= last:
            return False
        last = record.seq
    return True


def _readers(services: Sequence[Service]) -> dict[Stream, list[int]]:
    return {
        stream: [i for i, service in enumerate(services) if stream in service.reads]
        for stream in Stream
    }


def _prelude_length(services: Sequence[Service]) -> int:
    """How many first stages no later stage feeds: they take a whole batch at once."""
    for index, service in enumerate(services):
        later = {stream for other in services[index:] for stream in other.writes}
        if later & set(service.reads):
            return index
    return len(services)


def _packed(queues: list[list[Record]]) -> list[list[_Packed]]:
    """Live objects (offset -1) are left out: their stage hands them on anew (`resume`)."""
    return [
        [
            (str(r.stream), r.key, r.offset, r.seq, r.timestamp_ms, encode(r.value))
            for r in queue
            if r.offset >= 0
        ]
        for queue in queues
    ]


def _unpacked(queues: list[list[_Packed]]) -> list[list[Record]]:
    return [[_record(*row) for row in queue] for queue in queues]


def _record(
    name: str, key: str | None, offset: int, seq: int, timestamp_ms: int, data: bytes
) -> Record:
    stream = Stream(name)
    value: Any = data if stream in RAW else decode(stream, data)
    return Record(stream, value, key, 0, offset, seq, timestamp_ms)
