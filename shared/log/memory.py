"""A log in memory: the reference for the port, for tests and for `--data-dir :memory:`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import islice

from shared.log.port import Append, Checkpoint, Position
from shared.messages.streams import Stream
from shared.stage import Record


class MemoryTransaction:
    """Collects one unit; `MemoryLog.begin` applies it."""

    def __init__(self) -> None:
        self.appended: list[Append] = []
        self.position: Position | None = None
        self.saved: list[tuple[dict[str, bytes | None], Position]] = []

    def append(self, records: Iterable[Append]) -> None:
        """See the port."""
        self.appended.extend(records)

    def advance(self, position: Position) -> None:
        """See the port."""
        self.position = dict(position)

    def save(self, entries: Iterable[tuple[str, bytes | None]], position: Position) -> None:
        """See the port."""
        self.saved.append((dict(entries), dict(position)))


class MemoryLog:
    """Everything in dictionaries; lost with the process, so never the default."""

    def __init__(self) -> None:
        self._records: dict[Stream, list[Record]] = {}
        self._trimmed: dict[Stream, int] = {}
        self._positions: dict[str, Position] = {}
        self._checkpoints: dict[str, Checkpoint] = {}
        self._seq = 0

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """See the port."""
        tails = (self._from(stream, position.get(str(stream), 0)) for stream in streams)
        return list(islice(merge(*tails, key=lambda record: record.seq), limit))

    def end(self, stream: Stream) -> int:
        """See the port."""
        return self._trimmed.get(stream, 0) + len(self._records.get(stream, ()))

    @contextmanager
    def begin(self, group: str, waits: bool = True) -> Iterator[MemoryTransaction]:
        """See the port."""
        transaction = MemoryTransaction()
        yield transaction
        for record in transaction.appended:
            self._append(record)
        if transaction.position is not None:
            self._positions[group] = transaction.position
        for changed, position in transaction.saved:
            entries = {**self.checkpoint(group).entries, **changed}
            kept = {key: value for key, value in entries.items() if value is not None}
            self._checkpoints[group] = Checkpoint(position, kept)

    def flush(self) -> None:
        """See the port."""

    def position(self, group: str) -> Position:
        """See the port."""
        return dict(self._positions.get(group, {}))

    def checkpoint(self, group: str) -> Checkpoint:
        """See the port."""
        return self._checkpoints.get(group, Checkpoint())

    def numbers(self, stream: Stream) -> bool:
        """See the port."""
        return True

    def ends(self, stream: Stream) -> Position:
        """See the port."""
        return {str(stream): self.end(stream)}

    def checkpoints(self) -> dict[str, Position]:
        """See the port."""
        return {group: dict(saved.position) for group, saved in self._checkpoints.items()}

    def states(self, name: str = "state") -> list[bytes]:
        """See the port."""
        saved = (checkpoint.entries for checkpoint in self._checkpoints.values())
        return [
            value for found in saved for key, value in found.items() if key.endswith(f"/{name}")
        ]

    def trim(self, name: str, before: int) -> int:
        """See the port."""
        stream = Stream(name)
        gone = max(0, min(before, self.end(stream)) - self._trimmed.get(stream, 0))
        self._trimmed[stream] = self._trimmed.get(stream, 0) + gone
        del self._records.get(stream, [])[:gone]
        return gone

    def close(self) -> None:
        """See the port."""

    def _from(self, stream: Stream, offset: int) -> Iterator[Record]:
        start = max(0, offset - self._trimmed.get(stream, 0))
        return islice(self._records.get(stream, ()), start, None)

    def _append(self, record: Append) -> None:
        self._seq += 1
        stored = Record(
            stream=record.stream,
            value=record.value,
            key=record.key,
            offset=self.end(record.stream),
            seq=self._seq,
            timestamp_ms=record.timestamp_ms,
            headers=record.headers,
        )
        self._records.setdefault(record.stream, []).append(stored)
