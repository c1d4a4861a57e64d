"""Reading the log on Kafka: what offsets and order mean there.

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
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Any

from shared.errors import Fatal, Retryable
from shared.log.kafka_clients import Clients
from shared.log.kafka_state import Row, State
from shared.log.kafka_tails import Tails
from shared.log.kafka_topics import partition
from shared.log.port import Position
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


def _by_time(item: tuple[Stream, int, Any]) -> tuple[int, int]:
    stream, _, row = item
    return row.timestamp, _RANK[stream]


def _record(stream: Stream, offset: int, seq: int, row: Any) -> Record:
    headers = {name: value or b"" for name, value in row.headers if name != NUMBER}
    key = None if row.key is None else row.key.decode(errors="replace")
    value = b"" if row.value is None else row.value
    return Record(stream, value, key, row.partition, offset, seq, row.timestamp, headers or None)
