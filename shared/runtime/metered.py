"""A log that tells its process's meters what went through it: `MeteredLog(log, meters)`."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from shared.log.passing import PassingLog
from shared.log.port import Append, Checkpoint, Log, Position, Transaction, advanced
from shared.messages.streams import Stream
from shared.runtime.clock import elapsed_s
from shared.runtime.metrics import Meters
from shared.stage import Record

LAG_EVERY_S = 5.0
"""Ends of streams are asked of the backend; that is for now and then."""


class MeteredLog(PassingLog):
    """`log` as it is, measured. The commit that moves a position has folded what was read last.

    `partition` names the worker's share in the sizes of its state.
    """

    def __init__(
        self,
        log: Log,
        meters: Meters,
        partition: int = 0,
        clock_s: Callable[[], float] = elapsed_s,
    ) -> None:
        super().__init__(log)
        self._clock_s = clock_s
        self._lag_due_s = float("-inf")
        self._meters = meters
        self._partition = partition
        self._read: Counter[Stream] = Counter()
        self._unanswered: Callable[[], None] | None = None
        self._sizes_bytes: dict[str, int] = {}

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """As the log, and what it was is remembered until the next commit."""
        with self._undone_by_an_error():
            records = self._log.read(streams, position, limit)
        self._read = Counter(record.stream for record in records)
        at_s = self._clock_s()
        if at_s >= self._lag_due_s:
            self._lag_due_s = at_s + LAG_EVERY_S
            self._measure_lag(streams, advanced(position, records), bool(records))
        return records

    @contextmanager
    def begin(self, group: str, waits: bool = True) -> Iterator[Transaction]:
        """Counted once the commit has answered: what is undone, or replayed, leaves no trace."""
        started_s = elapsed_s()
        with self._undone_by_an_error(), self._log.begin(group, waits) as transaction:
            metered = _MeteredTransaction(transaction)
            yield metered
        self._answered()
        read = Counter[Stream]()
        if metered.advanced:
            read, self._read = self._read, read
        self._unanswered = partial(self._count, metered, read, elapsed_s() - started_s)
        if waits:
            self._answered()

    def flush(self) -> None:
        """As the log, and what it waited for is counted."""
        with self._undone_by_an_error():
            self._log.flush()
        self._answered()

    def position(self, group: str) -> Position:
        """As the log."""
        with self._undone_by_an_error():
            return self._log.position(group)

    def checkpoint(self, group: str) -> Checkpoint:
        """As the log, and the sizes of its entries are taken."""
        self.flush()
        found = self._log.checkpoint(group)
        self._sizes_bytes = {name: len(value) for name, value in found.entries.items()}
        return found

    @contextmanager
    def _undone_by_an_error(self) -> Iterator[None]:
        """Any call may bring the error of the commit that nobody waited for: then it does not count."""
        try:
            yield
        except BaseException:
            self._unanswered = None
            raise

    def _answered(self) -> None:
        if self._unanswered is not None:
            self._unanswered()
        self._unanswered = None

    def _count(self, metered: "_MeteredTransaction", read: Counter[Stream], took_s: float) -> None:
        self._meters.committed(took_s)
        for stream, count in metered.written.items():
            self._meters.written(stream, count)
        for stream, count in read.items():
            self._meters.folded(stream, count)
        if metered.saved is not None:
            self._keep(metered.saved)

    def _measure_lag(self, streams: Sequence[Stream], position: Position, is_behind: bool) -> None:
        """In offsets. Nothing was read: nothing is left, whatever markers stand before the end."""
        self._meters.lag(
            self._partition,
            {
                name: max(0, end - position.get(name, 0)) if is_behind else 0
                for stream in streams
                for name, end in self._log.ends(stream).items()
            },
        )

    def _keep(self, sizes_bytes: dict[str, int | None]) -> None:
        for name, size in sizes_bytes.items():
            if size is None:
                self._sizes_bytes.pop(name, None)
            else:
                self._sizes_bytes[name] = size
        written = sum(size or 0 for size in sizes_bytes.values())
        self._meters.saved(self._partition, written, sum(self._sizes_bytes.values()))


class _MeteredTransaction:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.written: Counter[Stream] = Counter()
        self.advanced = False
        self.saved: dict[str, int | None] | None = None

    def append(self, records: Iterable[Append]) -> None:
        self._transaction.append(self._counted(records))

    def advance(self, position: Position) -> None:
        self._transaction.advance(position)
        self.advanced = True

    def save(self, entries: Iterable[tuple[str, bytes | None]], position: Position) -> None:
        sizes = self.saved = {}
        self._transaction.save(_sized(entries, sizes), position)

    def _counted(self, records: Iterable[Append]) -> Iterator[Append]:
        for record in records:
            self.written[record.stream] += 1
            yield record


def _sized(
    entries: Iterable[tuple[str, bytes | None]], sizes: dict[str, int | None]
) -> Iterator[tuple[str, bytes | None]]:
    for name, value in entries:
        sizes[name] = None if value is None else len(value)
        yield name, value
