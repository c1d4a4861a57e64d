"""The log on Kafka: topics `{problem}.{stream}`; outputs, offsets and state in one transaction.

How offsets and order are meant: `shared/log/kafka_reader.py`; how a transaction is kept whole:
`shared/log/kafka_guard.py`; who may write: `shared/log/kafka_members.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from shared.errors import Fenced, Retryable
from shared.log.kafka_clients import Clients
from shared.log.kafka_guard import Guard, Offsets, Send, Watchdog
from shared.log.kafka_members import Member
from shared.log.kafka_reader import NUMBER, KafkaReader
from shared.log.kafka_state import Row, records
from shared.log.kafka_topics import create_missing
from shared.log.memory import MemoryTransaction
from shared.log.port import Append, Checkpoint, Position
from shared.messages.streams import CHECKPOINTS, RAW, Stream
from shared.stage import Record


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
