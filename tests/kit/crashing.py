"""A log that fails at its k-th touch: the tool for enumerated crash points."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shared.errors import Retryable
from shared.log.passing import PassingLog
from shared.log.port import Append, Checkpoint, Log, Position, Transaction
from shared.messages.streams import Stream
from shared.stage import Record


class Crash(BaseException):
    """The process dies here; nobody inside can catch that."""


class CrashingLog(PassingLog):
    """Counts every touch of the log; raises `error` at touch number `at` (0: never).

    `after_commit`: the touch at the end of a transaction happens once the commit is through, so that
    both sides of every commit are crash points.
    """

    def __init__(self, log: Log, at: int = 0, error: type[BaseException] = Crash) -> None:
        super().__init__(log)
        self._at = at
        self._error = error
        self.touches = 0

    def touch(self) -> None:
        self.touches += 1
        if self.touches == self._at:
            raise self._error(f"touch {self._at}")

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        self.touch()
        return super().read(streams, position, limit)

    @contextmanager
    def begin(self, group: str, waits: bool = True) -> Iterator[Any]:
        self.touch()
        with super().begin(group, waits) as transaction:
            yield _Touching(transaction, self)
            self.touch()
        self.touch()

    def position(self, group: str) -> Position:
        self.touch()
        return super().position(group)

    def checkpoint(self, group: str) -> Checkpoint:
        self.touch()
        return super().checkpoint(group)

    def trim(self, name: str, before: int) -> int:
        self.touch()
        return super().trim(name, before)


class _Touching:
    def __init__(self, transaction: Transaction, log: CrashingLog) -> None:
        self._transaction = transaction
        self._log = log

    def append(self, records: Iterable[Append]) -> None:
        self._log.touch()
        self._transaction.append(records)

    def advance(self, position: Position) -> None:
        self._log.touch()
        self._transaction.advance(position)

    def save(self, entries: Iterable[tuple[str, bytes | None]], position: Position) -> None:
        self._log.touch()
        self._transaction.save(entries, position)


__all__ = ["Crash", "CrashingLog", "Retryable"]
