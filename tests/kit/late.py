"""A log in memory that commits late, as Kafka does, and fails where it is told to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.errors import Retryable
from shared.log.memory import MemoryLog, MemoryTransaction
from shared.log.passing import PassingLog
from shared.log.port import Checkpoint, Position
from shared.messages.streams import Stream
from shared.stage import Record


class LateLog(PassingLog):
    """What is not waited for is committed at the next `begin` or `flush`, or when nothing is left.

    The `at`-th commit fails: before it takes effect, or `after` (its answer is lost).
    """

    def __init__(self, log: MemoryLog, at: int = 0, after: bool = False) -> None:
        super().__init__(log)
        self._at, self._after = at, after
        self._pending: tuple[str, MemoryTransaction] | None = None
        self.commits = self.late = 0

    @contextmanager
    def begin(self, group: str, waits: bool = True) -> Iterator[MemoryTransaction]:
        transaction = MemoryTransaction()
        yield transaction
        self.flush()
        self._pending = (group, transaction)
        self.late += not waits
        if waits:
            self.flush()

    def flush(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        self.commits += 1
        fails = self.commits == self._at
        if fails and not self._after:
            raise Retryable("no broker")
        group, transaction = pending
        with self._log.begin(group) as taken:
            taken.append(transaction.appended)
            if transaction.position is not None:
                taken.advance(transaction.position)
            for entries, position in transaction.saved:
                taken.save(entries.items(), position)
        if fails:
            raise Retryable("no answer")

    def position(self, group: str) -> Position:
        if self._pending is not None and self._pending[0] == group:
            return dict(self._pending[1].position or {})
        return super().position(group)

    def checkpoint(self, group: str) -> Checkpoint:
        self.flush()
        return super().checkpoint(group)

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        found = super().read(streams, position, limit)
        if not found:
            self.flush()
        return found
