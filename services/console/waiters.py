"""Who waits for the answer to an event: predictions and rejects, handed over as they are committed."""

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from hashlib import sha256
from threading import Lock

import msgspec

from shared.log.port import Position, advanced
from shared.messages.streams import EVENTS, PREDICTIONS, REJECTED, Stream
from shared.messages.types import Prediction, Rejected
from shared.rejecting import RAW_LIMIT_BYTES
from shared.runtime.inbox import Busy
from shared.stage import Record

Answer = Prediction | Rejected


class Ticket(msgspec.Struct, eq=False):
    """One event that is waited for, by one request or several."""

    name: str | None
    mark: str
    answer: "Future[Answer]"
    waiting: int = 1


class Waiters:
    """A follower (`shared/runtime/runner.py`) of predictions and rejects.

    Remembers the newest `remembered` predictions, so that an id that comes again gets the first
    answer, also after a restart (`begin`). At most `most` events are waited for.
    """

    streams = (PREDICTIONS, REJECTED)

    def __init__(self, problem: str, remembered: int = 10_000, most: int = 20_000) -> None:
        self.remembered = remembered
        self.start: Position = {}
        self._topic = f"{problem}.{EVENTS}"
        self._most = most
        self._newest: OrderedDict[str, Prediction] = OrderedDict()
        self._by_name: dict[str, Ticket] = {}
        self._by_mark: dict[str, list[Ticket]] = {}
        self._open = 0
        self._lock = Lock()

    def begin(self, ends: Callable[[Stream], Position]) -> None:
        """Follow from somewhat before the `ends` of the log's streams on, by place."""
        near = {name: max(0, end - self.remembered) for name, end in ends(PREDICTIONS).items()}
        self.start = {**near, **ends(REJECTED)}

    def position(self) -> Position:
        """See `Follower`."""
        return dict(self.start)

    def follow(self, records: Sequence[Record]) -> None:
        """See `Follower`."""
        with self._lock:
            self.start = advanced(self.start, records)
            for record in records:
                if record.stream is PREDICTIONS:
                    self._predicted(record.value)
                elif record.stream is REJECTED and record.value.topic == self._topic:
                    self._rejected(record.value)

    def are_waited_for(self) -> bool:
        """Is there a request that has no answer yet?"""
        return self._open > 0

    def known(self, name: str | None) -> Prediction | None:
        """The prediction for the event `name`, while it is remembered."""
        with self._lock:
            return None if name is None else self._newest.get(name)

    def expect(self, name: str | None, value: bytes) -> tuple[Ticket, bool]:
        """Wait for the answer to the event `name` (None: without an id) whose bytes are `value`.

        True: nobody has put it on the log yet, the caller has to.

        Raises:
            Busy: as many are waited for as may be.
        """
        mark = _mark(value)
        with self._lock:
            ticket = None if name is None else self._by_name.get(name)
            if ticket is not None:
                ticket.waiting += 1
                return ticket, False
            ticket = Ticket(name, mark, Future())
            if name is not None and (said := self._newest.get(name)) is not None:
                ticket.answer.set_result(said)
                return ticket, False
            if self._open >= self._most:
                raise Busy("too many events wait for their predictions; try again in a second")
            self._open += 1
            self._by_mark.setdefault(mark, []).append(ticket)
            if name is not None:
                self._by_name[name] = ticket
            return ticket, True

    def fail(self, ticket: Ticket, error: Exception) -> None:
        """It did not get onto the log: tell all that wait for it."""
        with self._lock:
            if not ticket.answer.done():
                ticket.answer.set_exception(error)
            self._forget(ticket)

    def leave(self, ticket: Ticket) -> None:
        """One request less waits for it."""
        with self._lock:
            ticket.waiting -= 1
            if ticket.waiting <= 0:
                self._forget(ticket)

    def _predicted(self, prediction: Prediction) -> None:
        self._newest[prediction.id] = prediction
        if len(self._newest) > self.remembered:
            self._newest.popitem(last=False)
        self._done(self._by_name.get(prediction.id), prediction)

    def _rejected(self, rejected: Rejected) -> None:
        same = self._by_mark.get(rejected.raw_sha256 or rejected.raw)
        if not same:
            return
        ticket = same[0]  # of events with the same bytes the one that came first
        said = self._newest.get(ticket.name or "") if rejected.check == "duplicate" else None
        self._done(ticket, said or rejected)

    def _done(self, ticket: Ticket | None, answer: Answer) -> None:
        if ticket is not None and not ticket.answer.done():
            ticket.answer.set_result(answer)
            self._forget(ticket)

    def _forget(self, ticket: Ticket) -> None:
        same = self._by_mark.get(ticket.mark, [])
        if ticket in same:
            self._open -= 1
            same.remove(ticket)
            if not same:
                del self._by_mark[ticket.mark]
        if ticket.name is not None and self._by_name.get(ticket.name) is ticket:
            del self._by_name[ticket.name]


def _mark(value: bytes) -> str:
    """How a reject shows the bytes that it is about (`shared/rejecting.py`)."""
    if len(value) <= RAW_LIMIT_BYTES:
        return b64encode(value).decode()
    return sha256(value).hexdigest()
