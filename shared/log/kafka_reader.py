"""Reading the log on Kafka: what offsets and order mean there.

Offsets. Kafka's own offsets have gaps (markers and aborted attempts take some), and where the gaps lie
depends on how the input was cut into batches. A stream that one service writes is therefore numbered
by it, 0, 1, 2, … in each partition as on every other log: the number travels in the record header `n`,
and is found again by a search, since the distance to Kafka's offset never shrinks. On streams that
others write too (`foreign`: events, labels, control, and where several services write) an offset is
Kafka's own: it grows, and may skip.

Order. Kafka has no order across partitions. `read` gives each in its order and merges them by record
time; what was committed in one transaction is merged by itself, so a replay sees the records in the
order in which they were first folded, provided that each `advance` covers one `read`.
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
from shared.log.kafka_topics import Places
from shared.log.port import Position
from shared.messages.streams import CHECKPOINTS, EVENTS, RAW, Stream, stream_at
from shared.stage import Record

NUMBER = "n"
"""The record header with our offset, in decimal."""
_RANK = {stream: rank for rank, stream in enumerate(Stream)} | {EVENTS: len(Stream)}
"""At the same time: an event comes after the labels and ticks that were known by then."""
_MANY = 10_000
_PAUSE_S = 0.05


class KafkaReader:
    """The half that only looks; any number of them, anywhere."""

    def __init__(self, clients: Clients, places: Places, foreign: frozenset[Stream] = RAW) -> None:
        self._clients = clients
        self._foreign = foreign
        self._places = places
        self._states = {name: State() for name in places.read(CHECKPOINTS)}
        self._folded = dict.fromkeys(self._states, 0)
        self._groups: dict[str, Any] = {}
        self._reached: dict[str, int] = {}
        self._together: dict[str, bool] = {}
        self._tails = Tails(clients, places.all())

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """See the port; for the order across streams see the module."""
        position = dict(position)
        names = [name for stream in streams for name in self._places.read(stream)]
        self._together.update({name: len(names) > 1 for name in names})
        while True:
            bound = self._state.bound(self._groups, names, position)
            found = self._merged(names, position, bound, limit)
            if found or not bound:
                return found
            position.update(bound)  # nothing is left of what that transaction took: it was trimmed

    def end(self, stream: Stream) -> int:
        """See the port; on a foreign stream the next record may come later than that."""
        return sum(self.ends(stream).values())

    def ends(self, stream: Stream) -> Position:
        """See the port."""
        return {name: self._end(name) for name in self._places.read(stream)}

    def checkpoints(self) -> dict[str, Position]:
        """See the port; what a group has saved in several partitions is put together."""
        found: dict[str, Position] = {}
        for name, state in self._states.items():
            self._catch_up(name)
            for group, saved in state.saved().items():
                found.setdefault(group, {}).update(saved)
        return found

    def states(self) -> list[bytes]:
        """See the port."""
        for name in self._states:
            self._catch_up(name)
        return [value for state in self._states.values() for value in state.states()]

    def numbers(self, stream: Stream) -> bool:
        """See the port."""
        return stream not in self._foreign

    def close(self) -> None:
        """See the port."""
        self._tails.close()

    @property
    def _state(self) -> State:
        """What groups that work where we do have committed."""
        return self._states[self._places.written(CHECKPOINTS)]

    def _end(self, name: str) -> int:
        if stream_at(name) in self._foreign:
            tp = self._places.at(name)
            return self._tails.ends([tp])[tp]
        for checkpoints in self._states:
            self._catch_up(checkpoints)
        return max(state.end(name) for state in self._states.values())

    def _merged(
        self, names: Sequence[str], position: Position, bound: Position, limit: int
    ) -> list[Record]:
        starts = {name: position.get(name, 0) for name in names}
        self._tails.fetch({self._places.at(n): self._at(n, at) for n, at in starts.items()}, limit)
        runs = [self._run(n, bound.get(n, 0) if bound else None) for n in names]
        rows = runs[0] if len(runs) == 1 else merge(*runs, key=_by_time)
        taken = dict.fromkeys(names, 0)
        seq = sum(starts.values())
        found = []
        for name, stream, offset, row in islice(rows, limit):
            seq += offset + 1 - starts[name]  # the sum of the positions once this one is read
            starts[name] = offset + 1
            taken[name] += 1
            found.append(_record(stream, offset, seq, row))
        for name, count in taken.items():
            self._tails.tail(self._places.at(name)).take(count)
            self._reached[name] = starts[name]
        return found

    def _run(self, name: str, bound: int | None) -> Iterator[tuple[str, Stream, int, Any]]:
        stream = stream_at(name)
        for row in self._tails.tail(self._places.at(name)).rows:
            offset = self._offset(stream, row)
            if bound is not None and offset >= bound:
                return
            yield name, stream, offset, row

    def _at(self, name: str, offset: int) -> int:
        """Kafka's offset of ours: of the first record that is not before it."""
        stream, tp = stream_at(name), self._places.at(name)
        if stream in self._foreign:
            return offset
        if self._reached.get(name) == offset:
            return self._tails.tail(tp).at
        self._reached.pop(name, None)
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
        others = ", ".join(sorted(self._foreign))
        raise Fatal(
            f"{row.topic}:{row.partition} at {row.offset}: a record without the header {NUMBER!r}. "
            f"Somebody else has written there; the streams for that are {others}."
        )

    def _catch_up(self, checkpoints: str, at_least: int = 0) -> None:
        """Fold what is committed to that place, waiting until that reaches `at_least`.

        Raises:
            Retryable: the transaction of another process does not end.
        """
        tp, state = self._places.at(checkpoints), self._states[checkpoints]
        for _ in range(int(3 * self._clients.timeouts.transaction_s / _PAUSE_S)):
            self._tails.fetch({tp: self._folded[checkpoints]}, _MANY)
            while rows := self._tails.tail(tp).rows:
                state.fold(Row(row.key.decode(), row.value, row.offset) for row in rows)
                self._tails.tail(tp).take(len(rows))
                self._folded[checkpoints] = self._tails.tail(tp).at
                self._tails.fetch({tp: self._folded[checkpoints]}, _MANY)
            if self._tails.reached(tp) >= at_least:
                return
            time.sleep(_PAUSE_S)
        raise Retryable(
            f"{tp.topic}:{tp.partition}: a transaction of another process does not end"
        )


def _by_time(item: tuple[str, Stream, int, Any]) -> tuple[int, int, int]:
    _, stream, _, row = item
    return row.timestamp, _RANK[stream], row.partition


def _record(stream: Stream, offset: int, seq: int, row: Any) -> Record:
    headers = {name: value or b"" for name, value in row.headers if name != NUMBER}
    key = None if row.key is None else row.key.decode(errors="replace")
    value = b"" if row.value is None else row.value
    return Record(stream, value, key, row.partition, offset, seq, row.timestamp, headers or None)
