"""The online view: follows committed predictions, which carry their features, into the online store.

It goes along the log by itself, with a reader and a thread of its own: a store that is down or slow
holds nobody up, and what it missed is read again from the log. Where it is, the store remembers
(`shared/online/port.py`), together with a digest of the last record. So it notices by itself that the
store was lost, is an older copy, or was made from another log, and starts anew from what the log holds.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from threading import Event, Thread

import msgspec

from shared.errors import Fatal, HeadraceError, Retryable
from shared.log.port import LogReader, Position
from shared.messages.streams import PREDICTIONS, place
from shared.online.port import Batch, Entry, Online, State
from shared.problem.spec import Problem
from shared.runtime.clock import now
from shared.stage import Record

MOST_PREDICTIONS = 100_000
"""Of how many offsets of a partition, where the problem file says no `retention.records`."""
BATCH_RECORDS = 1_000
_PATIENCE = 20
"""How often in a row a log may have nothing where the view says that there is something."""
_IDLE_S = 0.25
_GATHER_S = 0.02
_PAUSES_S = (0.1, 0.5, 2.0, 5.0)


def most_predictions(problem: Problem) -> int:
    """Of how many offsets of a partition predictions can be looked up."""
    return problem.retention.records or MOST_PREDICTIONS


class _Named(msgspec.Struct, gc=False):
    """What the view must know of a prediction; the rest is kept as it is."""

    id: str
    key: str | None = None


_named = msgspec.json.Decoder(_Named).decode


class OnlineView:
    """Keeps `store` in step with the predictions on a log. One thread uses an object of this class."""

    def __init__(
        self, store: Online, problem: Problem, clock: Callable[[], datetime] = now
    ) -> None:
        self._store = store
        self._problem = problem
        self._clock = clock
        self._state: State | None = None
        self._position: Position = {}
        self._unsure: dict[str, str] = {}
        self._waited = 0
        self._is_swept = False

    def step(self, log: LogReader, limit: int = BATCH_RECORDS) -> int:
        """Follow the next records; how many. None left: note that the view is whole as of now.

        Raises:
            Retryable, Fatal: the store or the log does not answer; call again after a pause.
        """
        state = self._state
        self._state = None  # whatever fails below, the store is asked anew where it is
        if state is None:
            state = self._resume(log)
        at_ms, end = self._now_ms(), log.end(PREDICTIONS)
        records = log.read((PREDICTIONS,), self._position, limit)
        self._waited = 0 if records else self._waited + 1
        if self._is_another_log(records):
            self._begin(state.generation)
            return 0
        if self._put(state, records) and (
            sum(self._position.values()) < end
            or self._store.mark(state.generation, self._position, at_ms)
        ):
            self._state = state
        return len(records)

    def _resume(self, log: LogReader) -> State:
        """Go on where the store is, one record back: it must be the one that was put last."""
        if not self._is_swept:
            self._store.sweep()
            self._is_swept = True
        state = self._store.state()
        if state is None:
            return self._begin(None)
        if sum(there.next for there in state.places.values()) > log.end(PREDICTIONS):
            return self._begin(state.generation)
        self._position = {name: there.next - 1 for name, there in state.places.items()}
        self._unsure = {name: there.last for name, there in state.places.items()}
        return state

    def _begin(self, after: int | None) -> State:
        generation = max(self._now_ms(), (after or 0) + 1)
        if not self._store.begin(after, generation):
            raise Retryable("The online view was started anew by another process.")
        self._store.sweep()
        self._position, self._unsure, self._waited = {}, {}, 0
        return State(generation)

    def _is_another_log(self, records: Sequence[Record]) -> bool:
        """Not what the view was made from, or older records went before we had them."""
        if self._unsure and self._waited > _PATIENCE:
            return True
        for name, run in _by_partition(records):
            first = run[0]
            at = self._position.get(name, 0)
            if at and first.offset != at:
                return True
            if name in self._unsure and _digest(first) != self._unsure[name]:
                return True
        return False

    def _put(self, state: State, records: Sequence[Record]) -> bool:
        """Whether the store took all of it."""
        for name, run in _by_partition(records):
            start, end = self._position.get(name, 0), run[-1].offset + 1
            if self._unsure.pop(name, None) is not None:
                start, run = start + 1, run[1:]  # it has that one
            batch = Batch(name, start, end, _digest(run[-1]) if run else "", _entries(run))
            if run and not self._store.put(state.generation, batch):
                return False
            self._position[name] = end
        return True

    def _now_ms(self) -> int:
        return int(self._clock().timestamp() * 1000)


@contextmanager
def following(
    view: OnlineView, open_log: Callable[[], LogReader], say: Callable[[str], None]
) -> Iterator[None]:
    """Keep `view` going in a thread of its own; `say` hears, once each time, why it does not."""
    stop = Event()
    thread = Thread(target=_follow, args=(view, open_log, stop, say), name="online", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


def _follow(
    view: OnlineView,
    open_log: Callable[[], LogReader],
    stop: Event,
    say: Callable[[str], None],
) -> None:
    log: LogReader | None = None
    failures = 0
    while not stop.is_set():
        try:
            log = log or open_log()
            followed = view.step(log)
        except HeadraceError as why:
            if not failures or isinstance(why, Fatal):
                say(f"The online view waits: {why}")
            _close(log)
            log = None
            stop.wait(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
            failures += 1
            continue
        if failures:
            say("The online view goes on.")
        failures = 0
        if followed < BATCH_RECORDS:
            stop.wait(_GATHER_S if followed else _IDLE_S)
    _close(log)


def _close(log: LogReader | None) -> None:
    if log is not None:
        log.close()


def _by_partition(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    if len({record.partition for record in records}) < 2:
        return [(place(PREDICTIONS, records[0].partition), list(records))] if records else []
    runs = groupby(
        sorted(records, key=_partition), key=_partition
    )  # stable: offsets stay in order
    return [(place(PREDICTIONS, partition), list(run)) for partition, run in runs]


def _partition(record: Record) -> int:
    return record.partition


def _digest(record: Record) -> str:
    return sha256(record.value).hexdigest()


def _entries(records: Sequence[Record]) -> list[Entry]:
    """Every prediction by its id, and of each entity the newest."""
    predictions: list[Entry] = []
    entities: dict[str, Entry] = {}
    for record in records:
        try:
            named = _named(record.value)
        except msgspec.DecodeError as error:
            where = f"{place(PREDICTIONS, record.partition)}, offset {record.offset}"
            raise Fatal(
                f"{where}: not a prediction ({error}). Only Headrace may write that stream."
            ) from error
        predictions.append(("prediction", named.id, record.value, record.offset))
        if named.key is not None:
            entities[named.key] = "entity", named.key, record.value, record.offset
    return [*predictions, *entities.values()]
