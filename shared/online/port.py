"""The online port: what every backend promises (suite: `tests/contract/test_online.py`).

A view of the log for lookups: the newest features of an entity, the last prediction of an id. It is
rebuildable (DESIGN rule 1): whoever fills it reads committed records from `position(partition)` on
and puts what they say; every entry carries its source position and applies only if newer, so repeats,
restarts and two writers at once do no harm.

A *partition* is where positions come from and are comparable, as `predictions/0`; a key belongs to
one partition. Atomic is each entry, not the batch: after a crash `position` may be older than some
entries, never newer than what is missing.
"""

from collections.abc import Iterable
from typing import Protocol

Entry = tuple[str, bytes, int]
"""Key, value, and the offset of the record that says so."""


class Online(Protocol):
    """Keys to values, last write by position."""

    def put_many(self, partition: str, entries: Iterable[Entry]) -> None:
        """Apply each entry whose position is newer than its key's; then move the partition on.

        Of entries with the same key and position the first stays.

        Raises:
            Retryable, Fatal: some entries may have been applied; put them again.
        """
        ...

    def get(self, key: str) -> tuple[bytes, int] | None:
        """The newest value of `key` and its position; None: never seen."""
        ...

    def position(self, partition: str) -> int:
        """The next position wanted: one more than the newest ever put; 0 at first."""
        ...

    def wipe(self) -> None:
        """Forget everything, positions too: the start of a rebuild."""
        ...

    def close(self) -> None:
        """Release the backend."""
        ...
