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

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Any

from shared.errors import Fatal
from shared.log.kafka_clients import Clients
from shared.log.kafka_committed import Committed
from shared.log.kafka_state import State
from shared.log.kafka_tails import Tails
from shared.log.kafka_topics import Places
from shared.log.port import Position
from shared.messages.streams import CHECKPOINTS, EVENTS, RAW, Stream, stream_at
from shared.stage import Record

NUMBER = "n"
"""The record header with our offset, in decimal."""
_RANK = {stream: rank for rank, stream in enumerate(Stream)} | {EVENTS: len(Stream)}
"""At the same time: an event comes after the labels and ticks that were known by then."""


class KafkaReader:
    """The half that only looks; any number of them, anywhere.

    `committed`: what the process knows of the places of `checkpoints` already, kept by somebody else.
    """

    def __init__(
        self,
        clients: Clients,
        places: Places,
        foreign: frozenset[Stream] = RAW,
        committed: Mapping[str, Committed] | None = None,
    ) -> None:
        self._clients = clients
        self._foreign = foreign
        self._places = places
        self._own = (
            []
            if committed
            else [Committed(clients, places.at(n)) for n in places.read(CHECKPOINTS)]
        )
        self._committed = committed or dict(zip(places.read(CHECKPOINTS), self._own, strict=True))
        self._groups: dict[str, Any] = {}
        self._reached: dict[str, int] = {}
        self._tails = Tails(clients, places.all())

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """See the port; for the order across streams see the module."""
        position = dict(position)
        names = [name for stream in streams for name in self._places.read(stream)]
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
        for committed in self._committed.values():
            committed.catch_up()
            for group, saved in committed.state.saved().items():
                found.setdefault(group, {}).update(saved)
        return found

    def states(self, name: str = "state") -> list[bytes]:
        """See the port."""
        for committed in self._committed.values():
            committed.catch_up()
        return [value for c in self._committed.values() for value in c.state.states(name)]

    def numbers(self, stream: Stream) -> bool:
        """See the port."""
        return stream not in self._foreign

    def close(self) -> None:
        """See the port."""
        self._tails.close()
        for committed in self._own:
            committed.close()

    @property
    def _here(self) -> Committed:
        """What groups that work where we do have committed."""
        return self._committed[self._places.written(CHECKPOINTS)]

    @property
    def _state(self) -> State:
        return self._here.state

    def _end(self, name: str) -> int:
        if stream_at(name) in self._foreign:
            tp = self._places.at(name)
            return self._tails.ends([tp])[tp]
        for committed in self._committed.values():
            committed.catch_up()
        return max(committed.state.end(name) for committed in self._committed.values())

    def _merged(
        self, names: Sequence[str], position: Position, bound: Position, limit: int
    ) -> list[Record]:
        starts = {name: position.get(name, 0) for name in names}
        lacking = [
            n for n, at in starts.items() if not (bound and self._is_here(n, at, bound.get(n, 0)))
        ]
        self._tails.fetch({self._places.at(n): self._at(n, starts[n]) for n in lacking}, limit)
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

    def _is_here(self, name: str, at: int, bound: int) -> bool:
        """Was all from `at` up to `bound` fetched? A replay of many small commits need not ask."""
        if self._reached.get(name) != at:
            return False
        rows = self._tails.tail(self._places.at(name)).rows
        return at >= bound or (bool(rows) and self._offset(stream_at(name), rows[-1]) + 1 >= bound)

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


def _by_time(item: tuple[str, Stream, int, Any]) -> tuple[int, int, int]:
    _, stream, _, row = item
    return row.timestamp, _RANK[stream], row.partition


def _record(stream: Stream, offset: int, seq: int, row: Any) -> Record:
    headers = {name: value or b"" for name, value in row.headers if name != NUMBER}
    key = None if row.key is None else row.key.decode(errors="replace")
    value = b"" if row.value is None else row.value
    return Record(stream, value, key, row.partition, offset, seq, row.timestamp, headers or None)
