"""A log that hands every call on: the base of what stands before a log and changes a few of them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from shared.log.port import Checkpoint, Log, Position, Transaction
from shared.messages.streams import Stream
from shared.stage import Record


class PassingLog:
    """`log` as it is."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """As the log."""
        return self._log.read(streams, position, limit)

    def begin(self, group: str, waits: bool = True) -> AbstractContextManager[Transaction]:
        """As the log."""
        return self._log.begin(group, waits)

    def flush(self) -> None:
        """As the log."""
        self._log.flush()

    def position(self, group: str) -> Position:
        """As the log."""
        return self._log.position(group)

    def checkpoint(self, group: str) -> Checkpoint:
        """As the log."""
        return self._log.checkpoint(group)

    def numbers(self, stream: Stream) -> bool:
        """As the log."""
        return self._log.numbers(stream)

    def end(self, stream: Stream) -> int:
        """As the log."""
        return self._log.end(stream)

    def ends(self, stream: Stream) -> Position:
        """As the log."""
        return self._log.ends(stream)

    def checkpoints(self) -> dict[str, Position]:
        """As the log."""
        return self._log.checkpoints()

    def states(self, name: str = "state") -> list[bytes]:
        """As the log."""
        return self._log.states(name)

    def trim(self, name: str, before: int) -> int:
        """As the log."""
        return self._log.trim(name, before)

    def close(self) -> None:
        """As the log."""
        self._log.close()
