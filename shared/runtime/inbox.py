"""What other threads want appended to the log; the run loop's thread is the only writer."""

from collections.abc import Sequence
from concurrent.futures import Future
from queue import Empty, Full, Queue
from threading import Event

from shared.errors import HeadraceError
from shared.log.port import Append, Log


class Busy(HeadraceError):
    """The inbox is full: the sender should come back in a moment (HTTP 429)."""


class Inbox:
    """A bounded queue of appends. `put` returns a future that is done when the log has committed."""

    def __init__(self, most: int = 64) -> None:
        self._queue: Queue[tuple[Sequence[Append], Future[None]]] = Queue(most)
        self._filled = Event()

    def put(self, records: Sequence[Append]) -> "Future[None]":
        """Hand in records.

        Raises:
            Busy: nothing was taken.
        """
        done: Future[None] = Future()
        try:
            self._queue.put_nowait((records, done))
        except Full:
            raise Busy("the log is behind; try again in a second") from None
        self._filled.set()
        return done

    def wait(self, timeout_s: float) -> None:
        """Return when something waits, or after that time."""
        self._filled.wait(timeout_s)

    def drain(self, log: Log, group: str = "inbox") -> int:
        """Append all that waits, in one transaction (group commit); how many records."""
        self._filled.clear()
        waiting: list[tuple[Sequence[Append], Future[None]]] = []
        while True:
            try:
                waiting.append(self._queue.get_nowait())
            except Empty:
                break
        if not waiting:
            return 0
        try:
            with log.begin(group) as transaction:
                for records, _ in waiting:
                    transaction.append(records)
        except BaseException as error:
            for _, done in waiting:
                done.set_exception(error)
            raise
        for _, done in waiting:
            done.set_result(None)
        return sum(len(records) for records, _ in waiting)
