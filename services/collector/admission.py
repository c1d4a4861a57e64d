"""How much may wait for the log at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from services.collector.replay import Arrival

Append = Callable[[list[Arrival]], None]
"""Puts arrivals on the log, in their order; returns when they are committed.

Raises:
    HeadraceError: they are not; none of them.
"""


class Full(Exception):
    """As much waits for its commit as may."""


class Queue:
    """Bounds what waits for `append`: requests come faster than a disk can sync.

    A request is let in when nothing waits, or when it fits beside what waits: a body over the bound
    is slow, not impossible.
    """

    def __init__(self, append: Append, most_waiting: int) -> None:
        self._append = append
        self._most = most_waiting
        self._waiting = 0
        self._lock = Lock()

    def put(self, arrivals: list[Arrival]) -> None:
        """Append and wait for the commit.

        Raises:
            Full: too much waits; nothing was taken.
            HeadraceError: the log refused; nothing was taken.
        """
        with self._place_for(len(arrivals)):
            self._append(arrivals)

    @contextmanager
    def _place_for(self, count: int) -> Iterator[None]:
        with self._lock:
            if self._waiting and self._waiting + count > self._most:
                raise Full
            self._waiting += count
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= count
