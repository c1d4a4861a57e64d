"""The online view in memory: the reference for the port, for tests and one-process runs."""

from collections.abc import Iterable
from threading import Lock

from shared.online.port import Entry


class MemoryOnline:
    """Two dictionaries; lost with the process, and rebuilt from the log."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[bytes, int]] = {}
        self._positions: dict[str, int] = {}
        self._lock = Lock()

    def put_many(self, partition: str, entries: Iterable[Entry]) -> None:
        """See the port."""
        with self._lock:
            for key, value, position in entries:
                held = self._values.get(key)
                if held is None or position > held[1]:
                    self._values[key] = value, position
                self._positions[partition] = max(self.position(partition), position + 1)

    def get(self, key: str) -> tuple[bytes, int] | None:
        """See the port."""
        return self._values.get(key)

    def position(self, partition: str) -> int:
        """See the port."""
        return self._positions.get(partition, 0)

    def wipe(self) -> None:
        """See the port."""
        with self._lock:
            self._values.clear()
            self._positions.clear()

    def close(self) -> None:
        """See the port."""
