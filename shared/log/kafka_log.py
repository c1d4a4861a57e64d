"""The log on Kafka: topics `{problem}.{stream}`; outputs, offsets and state in one transaction.

How offsets and order are meant: `shared/log/kafka_reader.py`; how a transaction is kept whole:
`shared/log/kafka_guard.py`; who may write: `shared/log/kafka_members.py`.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, Self

import msgspec
from kafka.partitioner import murmur2
from kafka.structs import ConsumerGroupMetadata

from shared.errors import Fenced, Retryable
from shared.log.kafka_clients import Clients
from shared.log.kafka_guard import Commit, Offsets, Send
from shared.log.kafka_reader import NUMBER, KafkaReader
from shared.log.kafka_seat import Seat
from shared.log.kafka_state import Row, Turn, records
from shared.log.kafka_topics import PARTITIONED, Places, count_partitions, create_missing
from shared.log.memory import MemoryTransaction
from shared.log.port import WRITER, Append, Checkpoint, Position
from shared.messages.streams import CHECKPOINTS, RAW, Stream, place, stream_at
from shared.stage import Record


class _Pending(NamedTuple):
    """A commit that was not waited for yet, and what is so once it is done."""

    group: str
    turn: Turn
    commit: Commit
    rows: list[Row]
    ends: dict[str, int]
    offsets: Offsets | None

    def moves(self, group: str) -> bool:
        """Is it the one that moves this group's position?"""
        return self.group == group and self.offsets is not None


class KafkaLog(KafkaReader):
    """What one worker reads and writes; `Seat` says what it shares with others of its process.

    Raises:
        Fatal: not allowed, topics are missing or do not fit. Retryable: no answer.
    """

    def __init__(self, seat: Seat, places: Places, foreign: frozenset[Stream] = RAW) -> None:
        known = {n: seat.committed(places.at(n)) for n in places.read(CHECKPOINTS)}
        super().__init__(seat.clients, places, foreign, known)
        self._seat = seat
        self._ends: dict[str, int] = {}
        self._left: set[str] = set()
        self._unsure = False
        self._alone = False
        self._pending: _Pending | None = None
        self._groups: dict[str, ConsumerGroupMetadata] = {}
        self._recover()

    @classmethod
    def opened(
        cls,
        clients: Clients,
        problem: str,
        service: str = "run",
        instance: str = "0",
        foreign: frozenset[Stream] = RAW,
        replication: int = -1,
    ) -> Self:
        """The log of a process that has the whole problem to itself; missing topics are created
        (`replication` -1: as the broker says).
        """
        create_missing(clients, problem, replication=replication)
        partitions = count_partitions(clients, problem)
        log = cls.of_worker(Seat(clients, problem, service, instance, partitions), None, foreign)
        log._alone = True
        return log

    @classmethod
    def of_worker(
        cls, seat: Seat, partition: int | None, foreign: frozenset[Stream] = RAW
    ) -> Self:
        """What a worker on one partition, or (None) on the whole problem reads and writes."""
        return cls(seat, Places(seat.problem, seat.partitions, partition), foreign)

    @contextmanager
    def begin(self, group: str, waits: bool = True) -> Iterator[MemoryTransaction]:
        """See the port. Without `waits` the commit goes on in a thread: most of it is waiting for
        the broker's answers, one after the other.
        """
        if self._pending is None and (self._unsure or not self._seat.guard.is_open):
            self._recover()
        with self._seat.watchdog.watching():
            transaction = MemoryTransaction()
            yield transaction
            self._settled()
            self._commit(group, transaction)
            if waits:
                self._settled()

    def flush(self) -> None:
        """See the port."""
        if self._pending is not None:
            with self._seat.watchdog.watching():
                self._settled()

    def position(self, group: str) -> Position:
        """See the port."""
        shown = self._groups.get(group)
        still = shown is not None and self._seat.member(group).is_still(shown)
        if still and self._pending is not None and self._pending.moves(group):
            return dict(self._pending.turn.position)
        self.flush()
        if shown is not None and not still:
            self._leave(group)
        self._learn(group)
        return dict(self._state.group(group).last.position)

    def checkpoint(self, group: str) -> Checkpoint:
        """See the port."""
        self.flush()
        self._learn(group)
        return self._state.checkpoint(group)

    def trim(self, name: str, before: int) -> int:
        """See the port; on a foreign stream it counts offsets, used or not."""
        before = min(before, self._end(name))
        first = self._first(name)
        if before <= first:
            return 0
        tp = self._places.at(name)
        until = min(self._at(name, before), self._tails.ends([tp])[tp])
        with self._clients.admin() as admin:
            admin.delete_records({tp: until})
        return before - first

    def close(self) -> None:
        """See the port; a worker's seat stays, others of the process may go on."""
        with suppress(
            Retryable
        ):  # whoever comes next finds out what was committed, and goes on there
            self.flush()
        if self._alone:
            self._seat.close()
        super().close()

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """See `KafkaReader.read`."""
        found = super().read(streams, position, limit)
        if not found:
            self.flush()
            self._settle()
        return found

    def _recover(self) -> None:
        """A fresh producer; then look up what became of the transaction that failed."""
        self._unsure = True  # until it is looked up, also if others of the process go on
        self._seat.recover()
        self._look_up()
        self._unsure = False

    def _look_up(self) -> None:
        """What is committed; go on numbering there, now that nobody else can be writing."""
        self._here.catch_up(self._clients.high_watermark(self._places.token))
        written = [self._places.written(s) for s in Stream if s not in self._foreign]
        self._ends = {name: self._state.end(name) for name in written}

    def _learn(self, group: str) -> None:
        """Take the group over: from its position, which nobody else can move any more, on."""
        if self._unsure or not self._seat.guard.is_open:
            self._recover()
        if group in self._groups:
            return
        # others of the process have work meanwhile, and may be given the token back
        shown = self._seat.member(group).join(self._places.token, waits=self._alone)
        self._look_up()
        self._left.discard(group)
        self._groups[group] = shown

    def _leave(self, group: str) -> None:
        """Its position has to be learned anew, by whoever folds it, before anything is committed."""
        self._left.add(group)
        self._groups.pop(group, None)

    def _commit(self, group: str, transaction: MemoryTransaction) -> None:
        if transaction.position is not None:
            if group in self._left:
                raise Retryable(
                    f"the group {group} was arranged anew; its position may have moved"
                )
            self._learn(group)
        ends = dict(self._ends)
        sends = [self._send(group, record, ends) for record in transaction.appended]
        turn, rows = self._changes(group, transaction, ends)
        token = self._places.token
        sends += [Send(token, row.value, row.key.encode()) for row in rows]
        offsets = self._offsets(group, transaction.position)
        with self._undone(group):
            commit = self._seat.guard.start(sends, offsets)
        self._pending = _Pending(group, turn, commit, rows, ends, offsets)

    def _settled(self) -> None:
        """Wait for the commit that is under way; take in what it has changed."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        with self._undone(pending.group):
            last = self._seat.guard.outcome(pending.commit)
        if pending.offsets is not None:
            self._seat.member(pending.group).committed(pending.offsets.by_partition)
        self._tails.wrote(last)
        self._ends = pending.ends
        self._here.wrote(pending.rows, last)

    @contextmanager
    def _undone(self, group: str) -> Iterator[None]:
        """After any error everything has to be looked up anew."""
        try:
            yield
        except BaseException as error:
            self._unsure = True
            self._leave(group)
            if isinstance(error, Fenced) and not self._seat.fenced(group):
                raise Retryable(
                    f"{error} No: no other is there, the transaction took too long."
                ) from error
            raise

    def _send(self, group: str, record: Append, ends: dict[str, int]) -> Send:
        headers = list(record.headers.items()) if record.headers else []
        name = self._where(record)
        if record.stream not in self._foreign:
            headers.append((NUMBER, b"%d" % ends[name]))
            ends[name] += 1
        elif record.stream not in RAW:
            headers.append((WRITER, group.encode()))
        key = None if record.key is None else record.key.encode()
        return Send(self._places.at(name), record.value, key, record.timestamp_ms, headers)

    def _where(self, record: Append) -> str:
        """The place that a record goes to: our own; an event to that of its key, as Kafka's default."""
        stream = record.stream
        if stream not in self._foreign or stream not in PARTITIONED:
            return self._places.written(stream)
        key = record.key
        spread = zlib.crc32(record.value) if key is None else murmur2(key.encode()) & 0x7FFFFFFF
        return place(stream, spread % self._places.partitions)

    def _changes(
        self, group: str, transaction: MemoryTransaction, ends: Mapping[str, int]
    ) -> tuple[Turn, list[Row]]:
        entries: dict[str, bytes | None] = {}
        for changed, _ in transaction.saved:
            entries.update(changed)
        saved = transaction.saved[-1][1] if transaction.saved else None
        known = self._state.group(group)
        written = {self._where(record) for record in transaction.appended} | set(known.last.ends)
        several = len(_in_streams(transaction.position or {})) > 1
        turn = known.following(transaction.position, saved is not None, several)
        turn = msgspec.structs.replace(
            turn, ends={name: ends[name] for name in written if name in ends}
        )
        return turn, records(group, turn, saved, entries)

    def _offsets(self, group: str, position: Position | None) -> Offsets | None:
        if position is None:
            return None
        ours = _in_streams(position)
        places = {self._places.at(name): self._consumed(name, at) for name, at in ours.items()}
        return Offsets(places or {self._places.token: self._here.reached}, self._groups[group])

    def _consumed(self, name: str, offset: int) -> int:
        """Kafka's offset to commit for a position: past markers, where they are all that is left."""
        if self._reached.get(name) == offset:
            return self._tails.reached(self._places.at(name))
        return self._at(name, offset)

    def _settle(self) -> None:
        """Nothing to read: remain a member; let committed offsets reach the ends of the topics."""
        for group, shown in list(self._groups.items()):
            if not self._seat.member(group).is_still(shown):
                self._leave(group)
                continue
            position = _in_streams(self._state.group(group).last.position)
            reached = {name: at for name, at in position.items() if self._reached.get(name) == at}
            self._seat.member(group).settle(
                {self._places.at(name): self._consumed(name, at) for name, at in reached.items()}
            )

    def _first(self, name: str) -> int:
        """The offset of the oldest record that is kept; the end when there is none."""
        tp, stream = self._places.at(name), stream_at(name)
        self._reached.pop(name, None)
        start = self._tails.start(tp)
        if stream in self._foreign:
            return start
        self._tails.fetch({tp: start}, 1)
        rows = self._tails.tail(tp).rows
        return self._offset(stream, rows[0]) if rows else self._end(name)


def _in_streams(position: Position) -> Position:
    """The part of a position that lies in streams; a collector's lies in a source outside."""
    known = set(Stream)
    return {name: at for name, at in position.items() if name.partition("/")[0] in known}
