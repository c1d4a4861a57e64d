"""The log on Kafka: topics `{problem}.{stream}`, outputs, offsets and state in one transaction.

Offsets. Kafka's own offsets have gaps (markers and aborted attempts take some), and where the gaps lie
depends on how the input was cut into batches. A stream that only Headrace writes is therefore numbered
by us, 0, 1, 2, … as on every other log: the number travels in the record header `n`, and is found again
by a search, since the distance to Kafka's offset never shrinks. On streams that others write too
(`foreign`: events and labels) an offset is Kafka's own: it grows, and may skip.

Order. Kafka has no order across topics. `read` gives each stream in its order and merges streams by
record time; what was committed in one transaction is merged by itself, so a replay sees the records
in the order in which they were first folded, provided that each `advance` covers one `read`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import islice
from typing import Any

import msgspec

from shared.errors import Fatal, Fenced, Retryable
from shared.log.kafka_clients import Clients
from shared.log.kafka_guard import Guard, Offsets, Send, Watchdog
from shared.log.kafka_members import Member
from shared.log.kafka_state import Row, State, records
from shared.log.kafka_tails import Tails
from shared.log.kafka_topics import create_missing, partition
from shared.log.memory import MemoryTransaction
from shared.log.port import Append, Checkpoint, Position
from shared.messages.streams import CHECKPOINTS, EVENTS, RAW, Stream
from shared.stage import Record

NUMBER = "n"
"""The record header with our offset, in decimal."""
_RANK = {stream: rank for rank, stream in enumerate(Stream)} | {EVENTS: len(Stream)}
"""At the same time: an event comes after the labels and ticks that were known by then."""
_MANY = 10_000
_PAUSE_S = 0.05


class KafkaReader:
    """The half that only looks; any number of them, anywhere."""

    def __init__(self, clients: Clients, problem: str, foreign: frozenset[Stream] = RAW) -> None:
        self._clients = clients
        self._foreign = foreign
        self._partitions = {stream: partition(problem, stream) for stream in Stream}
        self._state = State()
        self._groups: list[str] = []
        self._reached: dict[Stream, int] = {}
        self._together: dict[str, bool] = {}
        self._tails = Tails(clients, list(self._partitions.values()))
        self._folded = 0

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """See the port; for the order across streams see the module."""
        position = dict(position)
        self._together.update({str(stream): len(streams) > 1 for stream in streams})
        while True:
            bound = self._state.bound(self._groups, [str(s) for s in streams], position)
            found = self._merged(streams, position, bound, limit)
            if found or not bound:
                return found
            position.update(bound)  # nothing is left of what that transaction took: it was trimmed

    def end(self, stream: Stream) -> int:
        """See the port; on a foreign stream the next record may come later than that."""
        if stream in self._foreign:
            return self._tails.ends([self._partitions[stream]])[self._partitions[stream]]
        self._catch_up()
        return self._state.end(stream)

    def close(self) -> None:
        """See the port."""
        self._tails.close()

    def _merged(
        self, streams: Sequence[Stream], position: Position, bound: Position, limit: int
    ) -> list[Record]:
        starts = {stream: position.get(stream, 0) for stream in streams}
        places = {self._partitions[s]: self._place(s, start) for s, start in starts.items()}
        self._tails.fetch(places, limit)
        runs = [self._run(s, bound.get(s, 0) if bound else None) for s in streams]
        rows = runs[0] if len(runs) == 1 else merge(*runs, key=_by_time)
        taken = {stream: 0 for stream in streams}
        seq = sum(starts.values())
        found = []
        for stream, offset, row in islice(rows, limit):
            seq += offset + 1 - starts[stream]  # the sum of the positions once this one is read
            starts[stream] = offset + 1
            taken[stream] += 1
            found.append(_record(stream, offset, seq, row))
        for stream, count in taken.items():
            self._tails.tail(self._partitions[stream]).take(count)
            self._reached[stream] = starts[stream]
        return found

    def _run(self, stream: Stream, bound: int | None) -> Iterator[tuple[Stream, int, Any]]:
        for row in self._tails.tail(self._partitions[stream]).rows:
            offset = self._offset(stream, row)
            if bound is not None and offset >= bound:
                return
            yield stream, offset, row

    def _place(self, stream: Stream, offset: int) -> int:
        """Kafka's offset of ours: of the first record that is not before it."""
        if stream in self._foreign:
            return offset
        tp = self._partitions[stream]
        if self._reached.get(stream) == offset:
            return self._tails.tail(tp).at
        self._reached.pop(stream, None)
        at = offset
        while True:
            self._tails.fetch({tp: at}, 1)
            rows = self._tails.tail(tp).rows
            if not rows:
                return at
            number = self._offset(stream, rows[0])
            if number >= offset:
                return int(rows[0].offset)
            at = rows[0].offset + offset - number

    def _offset(self, stream: Stream, row: Any) -> int:
        if stream in self._foreign:
            return int(row.offset)
        for name, value in row.headers:
            if name == NUMBER:
                return int(value)
        raise Fatal(
            f"{row.topic} at {row.offset}: a record without the header {NUMBER!r}. Somebody else has "
            f"written there; the streams for that are {sorted(self._foreign)}."
        )

    def _catch_up(self, at_least: int = 0) -> None:
        """Fold what is committed to `checkpoints`, waiting until that reaches `at_least`.

        Raises:
            Retryable: the transaction of another process does not end.
        """
        tp = self._partitions[CHECKPOINTS]
        for _ in range(int(3 * self._clients.timeouts.transaction_s / _PAUSE_S)):
            self._tails.fetch({tp: self._folded}, _MANY)
            while rows := self._tails.tail(tp).rows:
                self._state.fold(Row(row.key.decode(), row.value, row.offset) for row in rows)
                self._tails.tail(tp).take(len(rows))
                self._folded = self._tails.tail(tp).at
                self._tails.fetch({tp: self._folded}, _MANY)
            if self._tails.reached(tp) >= at_least:
                return
            time.sleep(_PAUSE_S)
        raise Retryable(f"{tp.topic}: a transaction of another process does not end")


class KafkaLog(KafkaReader):
    """One writing process: `{problem}.{service}.{instance}` is its transactional id (R7).

    A second process with the same id fences this one (exit code 4); one with another `instance`
    stands by until the group is free. Topics that are missing are created (`replication` -1: as the
    broker says).

    Raises:
        Fatal: not allowed. Retryable: no answer.
    """

    def __init__(
        self,
        clients: Clients,
        problem: str,
        service: str = "run",
        instance: str = "0",
        foreign: frozenset[Stream] = RAW,
        replication: int = -1,
    ) -> None:
        create_missing(clients, problem, replication=replication)
        super().__init__(clients, problem, foreign)
        self._problem = problem
        self._instance = f"{service}.{instance}"
        self._guard = Guard(clients, f"{problem}.{service}.{instance}")
        self._watchdog = Watchdog(2 * clients.timeouts.transaction_s)
        self._members: dict[str, Member] = {}
        self._ends: dict[Stream, int] = {}
        self._fenced = False
        self._recover()

    @contextmanager
    def begin(self, group: str) -> Iterator[MemoryTransaction]:
        """See the port."""
        if not self._guard.is_open:
            self._recover()
        with self._watchdog.watching():
            transaction = MemoryTransaction()
            yield transaction
            self._commit(group, transaction)

    def position(self, group: str) -> Position:
        """See the port."""
        self._learn(group)
        return dict(self._state.group(group).last.position)

    def checkpoint(self, group: str) -> Checkpoint:
        """See the port."""
        self._learn(group)
        return self._state.checkpoint(group)

    def trim(self, stream: Stream, before: int) -> int:
        """See the port; on a foreign stream it counts offsets, used or not."""
        tp = self._partitions[stream]
        before = min(before, self.end(stream))
        first = self._first(stream)
        if before <= first:
            return 0
        place = min(self._place(stream, before), self._tails.ends([tp])[tp])
        with self._clients.admin() as admin:
            admin.delete_records({tp: place})
        return before - first

    def close(self) -> None:
        """See the port."""
        self._watchdog.stop()
        self._guard.close()
        for member in self._members.values():
            member.close()
        super().close()

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """See `KafkaReader.read`."""
        found = super().read(streams, position, limit)
        if not found:
            self._settle()
        return found

    def _recover(self) -> None:
        """A fresh producer; then look up what became of the transaction that failed.

        Not once we were fenced: twins that both come back would fence each other for ever (R5).
        """
        if self._fenced:
            raise Fenced(f"{self._problem}.{self._instance}: a newer instance has taken over")
        self._guard.open()
        try:
            self._catch_up(self._clients.high_watermark(self._partitions[CHECKPOINTS]))
        except BaseException:
            self._guard.discard()  # or the next turn would start from what we knew before
            raise
        self._number()

    def _number(self) -> None:
        """Go on numbering where the streams end, now that nobody else can be writing them."""
        self._ends = {s: self._state.end(s) for s in Stream if s not in self._foreign}

    def _learn(self, group: str) -> None:
        """Take the group over: from its position, which nobody else can move any more, on."""
        if not self._guard.is_open:
            self._recover()
        if group in self._groups:
            return
        if group not in self._members:
            token = self._partitions[CHECKPOINTS]
            name = f"{self._problem}.{group}"
            self._members[group] = Member(self._clients, name, self._instance, token)
        self._members[group].join()
        self._catch_up(self._clients.high_watermark(self._partitions[CHECKPOINTS]))
        self._number()
        self._groups.append(group)

    def _commit(self, group: str, transaction: MemoryTransaction) -> None:
        if transaction.position is not None:
            self._learn(group)
        ends = dict(self._ends)
        sends = [self._send(record, ends) for record in transaction.appended]
        rows = self._changes(group, transaction, ends)
        tp = self._partitions[CHECKPOINTS]
        sends += [Send(tp.topic, row.value, row.key.encode()) for row in rows]
        offsets = self._offsets(group, transaction.position)
        try:
            last = self._guard.commit(sends, offsets)
        except BaseException as error:
            if group in self._groups:
                self._groups.remove(group)  # its position has to be learned anew
            self._fenced = isinstance(error, Fenced) and not self._alone(group)
            if isinstance(error, Fenced) and not self._fenced:
                raise Retryable(
                    f"{error} No: no other is there, the transaction took too long."
                ) from error
            raise
        if offsets is not None:
            self._members[group].committed(offsets.by_partition)
        self._tails.wrote(last)
        self._ends = ends
        self._state.fold(row._replace(offset=last[tp]) for row in rows)

    def _alone(self, group: str) -> bool:
        """Nobody has taken our place; the group's membership decides that (R5)."""
        return group in self._members and self._members[group].verify()

    def _send(self, record: Append, ends: dict[Stream, int]) -> Send:
        stream = record.stream
        headers = list(record.headers.items()) if record.headers else []
        if stream not in self._foreign:
            headers.append((NUMBER, b"%d" % ends[stream]))
            ends[stream] += 1
        key = None if record.key is None else record.key.encode()
        topic = self._partitions[stream].topic
        return Send(topic, record.value, key, record.timestamp_ms, headers)

    def _changes(
        self, group: str, transaction: MemoryTransaction, ends: Mapping[Stream, int]
    ) -> list[Row]:
        entries: dict[str, bytes | None] = {}
        for changed, _ in transaction.saved:
            entries.update(changed)
        saved = transaction.saved[-1][1] if transaction.saved else None
        known = self._state.group(group)
        written = {str(record.stream) for record in transaction.appended} | set(known.last.ends)
        several = any(self._together.get(name) for name in transaction.position or ())
        turn = known.following(transaction.position, saved is not None, several)
        turn = msgspec.structs.replace(
            turn, ends={name: ends[Stream(name)] for name in written if Stream(name) in ends}
        )
        return records(group, turn, saved, entries)

    def _offsets(self, group: str, position: Position | None) -> Offsets | None:
        if position is None:
            return None
        token = self._partitions[CHECKPOINTS]
        places = {self._partitions[s]: self._consumed(s, at) for s, at in _streams(position)}
        return Offsets(places or {token: self._folded}, self._members[group].shown())

    def _consumed(self, stream: Stream, offset: int) -> int:
        """Kafka's offset to commit for a position: past markers, where they are all that is left."""
        if self._reached.get(stream) == offset:
            return self._tails.reached(self._partitions[stream])
        return self._place(stream, offset)

    def _settle(self) -> None:
        """Nothing to read: remain a member; let committed offsets reach the ends of the topics."""
        for group in self._groups:
            self._members[group].shown()
            position = self._state.group(group).last.position
            reached = {s: at for s, at in _streams(position) if self._reached.get(s) == at}
            self._members[group].settle(
                {self._partitions[s]: self._consumed(s, at) for s, at in reached.items()}
            )

    def _first(self, stream: Stream) -> int:
        """The offset of the oldest record that is kept; the end when there is none."""
        tp = self._partitions[stream]
        self._reached.pop(stream, None)
        start = self._tails.start(tp)
        if stream in self._foreign:
            return start
        self._tails.fetch({tp: start}, 1)
        rows = self._tails.tail(tp).rows
        return self._offset(stream, rows[0]) if rows else self.end(stream)


def _streams(position: Position) -> list[tuple[Stream, int]]:
    """The part of a position that lies in streams; a collector's lies in a source outside."""
    return [(Stream(name), at) for name, at in position.items() if name in set(Stream)]


def _by_time(item: tuple[Stream, int, Any]) -> tuple[int, int]:
    stream, _, row = item
    return row.timestamp, _RANK[stream]


def _record(stream: Stream, offset: int, seq: int, row: Any) -> Record:
    headers = {name: value or b"" for name, value in row.headers if name != NUMBER}
    key = None if row.key is None else row.key.decode(errors="replace")
    value = b"" if row.value is None else row.value
    return Record(stream, value, key, row.partition, offset, seq, row.timestamp, headers or None)
