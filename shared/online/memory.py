"""The online view in memory: the reference for the port, for tests and one-process runs."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock

from shared.online.port import Batch, Kind, Place, State


class MemoryOnline:
    """Dictionaries; lost with the process, and rebuilt from the log."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._state: State | None = None
        self._values: dict[tuple[Kind, str], tuple[bytes, int]] = {}
        self._predicted: dict[str, deque[tuple[str, int]]] = {}
        self._lock = Lock()

    def state(self) -> State | None:
        """See the port."""
        return self._state

    def begin(self, after: int | None, generation: int) -> bool:
        """See the port."""
        with self._lock:
            if after != (self._state.generation if self._state else None):
                return False
            self._values.clear()
            self._predicted.clear()
            self._state = State(generation)
            return True

    def put(self, generation: int, batch: Batch) -> bool:
        """See the port."""
        with self._lock:
            if self._state is None or self._state.generation != generation:
                return False
            there = self._next(batch.partition)
            if there < batch.start:
                return False
            if there < batch.end:
                self._apply(batch, there)
                places = {**self._state.places, batch.partition: Place(batch.end, batch.last)}
                self._state = replace(self._state, places=places)
            return True

    def mark(self, generation: int, positions: Mapping[str, int], at_ms: int) -> bool:
        """See the port."""
        with self._lock:
            if self._state is None or self._state.generation != generation:
                return False
            if any(self._next(name) < position for name, position in positions.items()):
                return False
            self._state = replace(self._state, at_ms=max(at_ms, self._state.at_ms or 0))
            return True

    def get(self, kind: Kind, key: str) -> tuple[tuple[bytes, int] | None, State | None]:
        """See the port."""
        with self._lock:
            return self._values.get((kind, key)), self._state

    def sweep(self) -> int:
        """See the port; here nothing is left behind."""
        return 0

    def close(self) -> None:
        """See the port."""

    def _next(self, partition: str) -> int:
        place = self._state.places.get(partition) if self._state else None
        return place.next if place else 0

    def _apply(self, batch: Batch, there: int) -> None:
        predicted = self._predicted.setdefault(batch.partition, deque())
        for kind, key, value, position in batch.entries:
            if position < there:
                continue
            self._values[kind, key] = value, position
            if kind == "prediction":
                predicted.append((key, position))
        while predicted and predicted[0][1] < batch.end - self._most:
            key, position = predicted.popleft()
            held = self._values.get(("prediction", key))
            if held is not None and held[1] == position:
                del self._values["prediction", key]
