"""The log port: what every backend promises (suite: `tests/contract/test_log.py`).

A log holds, per stream, records at offsets 0, 1, 2, …; per *group* a committed position and a
*checkpoint*: state entries and the position that they belong to. What one transaction appends,
advances and saves becomes visible together, or not at all, also after the process died.

On Kafka a stream may have several partitions, each with its own offsets. A *place* names one: the
stream's name for partition 0 (the only one on other backends), `predictions/3` for partition 3.

Not promised: reading what an open transaction has appended; more than one open transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from shared.messages.streams import Stream, place
from shared.stage import Record

Position = dict[str, int]
"""The next offset to read, by place; a place that is missing stands for 0."""

WRITER = "writer"
"""The record header with the group that wrote it, on streams that several services write."""


class Append(msgspec.Struct, frozen=True, gc=False):
    """A record to be appended; `value` in bytes as they shall be read again."""

    stream: Stream
    value: bytes
    key: str | None = None
    timestamp_ms: int = 0
    headers: Mapping[str, bytes] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """State entries as they were when `position` had been folded."""

    position: Position = field(default_factory=dict)
    entries: dict[str, bytes] = field(default_factory=dict)


class Transaction(Protocol):
    """One unit: outputs, position and changed state of one group."""

    def append(self, records: Iterable[Append]) -> None:
        """Add records at the ends of their streams, in this order."""
        ...

    def advance(self, position: Position) -> None:
        """Set the group's committed position."""
        ...

    def save(self, entries: Iterable[tuple[str, bytes | None]], position: Position) -> None:
        """Set (or with None delete) state entries; the checkpoint is now at `position`."""
        ...


class LogReader(Protocol):
    """The half of a log that only looks."""

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """Up to `limit` committed records from `position` on, in arrival order, values as bytes.

        Never skips: a record is returned only when all committed earlier ones of `streams` from
        `position` on are too.
        """
        ...

    def end(self, stream: Stream) -> int:
        """The offset that the next record of `stream` will have; the sum over its partitions."""
        ...

    def ends(self, stream: Stream) -> Position:
        """The same for each of its places."""
        ...

    def checkpoints(self) -> dict[str, Position]:
        """Where the checkpoints of the groups that have saved one are."""
        ...

    def states(self, name: str = "state") -> list[bytes]:
        """The saved entries of all groups named `…/name`; those named `…/state` may name blobs."""
        ...

    def close(self) -> None:
        """Release the backend; everything committed stays."""
        ...


class Log(LogReader, Protocol):
    """An ordered, durable record of everything (DESIGN rule 1)."""

    def begin(self, group: str, waits: bool = True) -> AbstractContextManager[Transaction]:
        """Open a transaction; leaving normally commits, leaving by an exception undoes all.

        Without `waits` a backend may commit while its caller goes on: `position` is then what it will
        be, and an error comes from the next `begin`, `flush` or (where nothing is left) `read`.

        Raises:
            Fatal: the backend cannot write (a full disk: nothing of the transaction was kept).
            Retryable: try again from the last commit.
        """
        ...

    def flush(self) -> None:
        """Wait until all that was begun is committed.

        Raises:
            Fatal, Retryable: as `begin`.
        """
        ...

    def position(self, group: str) -> Position:
        """The group's committed position; empty when it never committed."""
        ...

    def checkpoint(self, group: str) -> Checkpoint:
        """The group's last saved checkpoint; empty when there is none."""
        ...

    def numbers(self, stream: Stream) -> bool:
        """Whether offsets of `stream` are 0, 1, 2, … without gaps, given by its one writer."""
        ...

    def trim(self, name: str, before: int) -> int:
        """Forget records of the place `name` below offset `before`; how many went. Ends stay."""
        ...


def advanced(position: Position, records: Iterable[Record]) -> Position:
    """`position` moved past `records`."""
    last = {(record.stream, record.partition): record.offset for record in records}
    return position | {place(*where): offset + 1 for where, offset in last.items()}
