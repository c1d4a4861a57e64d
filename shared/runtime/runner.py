"""The only loop in the project: rebuild, read, decide, commit, repeat (DESIGN section 4)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from shared.errors import Fatal, Reject
from shared.log.port import WRITER, Append, Log, LogReader, Position, advanced
from shared.messages.codec import decode, encode
from shared.messages.streams import FEATURES, OUTCOMES, RAW, REJECTED, VALID, Stream
from shared.runtime.fuse import Fused
from shared.runtime.poison import Suspects
from shared.runtime.retention import Retention, needed
from shared.stage import Record

IN_MEMORY = frozenset({VALID, FEATURES})
"""Streams between fused stages that nobody outside reads: passed on, not written."""


class Follower(Protocol):
    """Reads what was committed and does something idempotent outside the log (DESIGN rule 2)."""

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What it follows."""
        ...

    def position(self) -> Position:
        """From where on records are wanted, as the outside itself remembers it."""
        ...

    def follow(self, records: Sequence[Record]) -> None:
        """Take committed records (messages decoded), in order; repeats are allowed."""
        ...


class Trail:
    """Drives one follower along the log, from where the outside remembers to be."""

    def __init__(self, log: LogReader, follower: Follower, batch_size: int = 1_000) -> None:
        self._log = log
        self._follower = follower
        self._batch_size = batch_size
        self._position = follower.position()

    def step(self) -> int:
        """Follow the next records; how many.

        Raises:
            Retryable: nothing is lost; make a new trail after a pause.
        """
        streams = tuple(self._follower.streams)
        records = decoded(self._log.read(streams, self._position, self._batch_size))
        if records:
            self._follower.follow(records)
            self._position = advanced(self._position, records)
        return len(records)


class Runner:
    """Drives one group of fused stages over a log.

    After any failure, and when somebody else moved the group on, the stages are thrown away; the next
    step restores the last checkpoint and replays up to the committed position with outputs muted,
    which rule 3 makes exact. A replay that disagrees with what is on the log is a bug in a stage, and
    stops the run. `passed_on`: streams that only these stages read: in memory, not written. `unsaid`:
    another runner reads the same records of these streams, and says what is rejected. `headers` gives
    a record the headers that others read it by.

    A record that makes a stage fail is found by bisection (`poison.py`) and rejected with its bytes;
    the same transaction holds a checkpoint, so no replay meets the record again.
    """

    def __init__(
        self,
        log: Log,
        group: str,
        make: Callable[[], Fused],
        batch_size: int = 1_000,
        checkpoint_every: int = 20_000,
        followers: Sequence[Follower] = (),
        retention: Retention | None = None,
        passed_on: frozenset[Stream] = IN_MEMORY,
        headers: Callable[[Record], Mapping[str, bytes]] | None = None,
        unsaid: frozenset[Stream] = frozenset(),
    ) -> None:
        self._log = log
        self._group = group
        self._make = make
        self._batch_size = batch_size
        self._suspects = Suspects(batch_size)
        self._checkpoint_every = checkpoint_every
        self._followers = followers
        self._retention = retention
        self._passed_on = passed_on
        self._headers = headers
        self._unsaid = tuple(f".{stream}" for stream in unsaid)
        self._fused: Fused | None = None
        self._position: Position = {}
        self._folding: Fused | None = None
        self._since_checkpoint = 0
        self._untold: list[Record] = []
        self._missed = True

    @property
    def fused(self) -> Fused:
        """The live stages; rebuilt when there are none."""
        if self._fused is None:
            self._fused = self._rebuild()
        return self._fused

    def step(self) -> int:
        """One turn: read a batch, fold it, commit. How many input records were folded; of a batch with
        a record that no stage can fold only those before it, which may be none, or it was rejected.

        Raises:
            Retryable: nothing was kept; call again after a pause.
            Fatal: stop.
        """
        while True:
            fused = self._current()
            if self._missed:
                self._catch_up()
            position = self._position
            stored = self._log.read(fused.inputs, position, self._suspects.limit)
            if not stored:
                self._log.flush()
                self._tell_untold()
                return 0
            self._fused = None  # whatever happens below, half-changed stages are never used again
            self._folding = fused
            try:
                batch = decoded(stored)
                produced = fused.handle(self._of_others(batch))
            except Exception as error:  # noqa: BLE001  whatever a record makes a stage raise
                why = self._suspects.failed(stored, error, fused.running)
                self.checkpoint()  # from here on each rebuild is a restore
                if why is not None and self._position == position:
                    return self._refuse(stored[0], why)
            else:
                self._suspects.passed(stored)
                self._commit(fused, batch, produced)
                return len(batch)

    def _refuse(self, record: Record, why: Reject) -> int:
        """Put the rejection of `record` in its place; always with a checkpoint."""
        fused = self.fused
        self._fused = None
        self._commit(fused, [record], fused.refuse(record, why), refused=True)
        return 1

    def _commit(
        self,
        fused: Fused,
        batch: Sequence[Record],
        produced: Sequence[Record],
        refused: bool = False,
    ) -> None:
        position = advanced(self._position, batch)
        due = refused or self._since_checkpoint + len(batch) >= self._checkpoint_every
        # after a full batch there is more to fold meanwhile
        waits = due or len(batch) < self._batch_size
        written = [record for record in produced if self._is_written(record)]
        with self._log.begin(self._group, waits) as transaction:
            transaction.append(self._append(record) for record in written)
            transaction.advance(position)
            if due:
                transaction.save(fused.changes(), position)
        self._position = position
        self._since_checkpoint = 0 if due else self._since_checkpoint + len(batch)
        self._fused = fused
        self._tell_untold()
        self._untold = written if refused else [*batch, *written]
        if waits:
            self._tell_untold()
        if due:
            self._trim(fused)

    def _is_written(self, record: Record) -> bool:
        if record.stream is REJECTED and self._unsaid:
            return not record.value.topic.endswith(self._unsaid)
        return record.stream not in self._passed_on

    def outcomes(self, start: int, end: int) -> list[bytes]:
        """Outcomes at offsets `start` to `end` (excluded) as JSON, those of the batch at hand
        included: a job that the batch asks for is a pure function of them, so nothing is lost if it
        is undone.
        """
        self._log.flush()
        stored = self._log.read((OUTCOMES,), {str(OUTCOMES): start}, end - start)
        found = [record for record in stored if record.offset < end]
        known = found[-1].offset + 1 if found else start
        fresh = self._folding.produced if self._folding is not None else ()
        found += [r for r in fresh if r.stream is OUTCOMES and known <= r.offset < end]
        return [encode(record.value) for record in found]

    def checkpoint(self) -> None:
        """Save the state now, so that the next start replays nothing."""
        fused = self._current()
        if not self._since_checkpoint:
            return
        self._fused = None
        with self._log.begin(self._group) as transaction:
            transaction.advance(self._position)  # only who may commit there may save
            transaction.save(fused.changes(), self._position)
        self._tell_untold()
        self._fused = fused
        self._since_checkpoint = 0
        self._trim(fused)

    def _catch_up(self) -> None:
        """Give followers what they missed while they or we were away, or a commit was not answered."""
        for follower in self._followers:
            trail = Trail(self._log, follower, self._batch_size)
            while trail.step():
                pass
        self._missed = False

    def _current(self) -> Fused:
        """The live stages, made anew if somebody else moved the group on."""
        if self._fused is not None and self._log.position(self._group) != self._position:
            self._fused = None
        return self.fused

    def _rebuild(self) -> Fused:
        fused = self._make()
        checkpoint = self._log.checkpoint(self._group)
        fused.restore(checkpoint.entries)
        target = self._log.position(self._group)
        position, replayed = dict(checkpoint.position), 0
        while left := _between(position, target):
            batch = self._read(fused.inputs, position, min(self._batch_size, left))
            if not batch:
                raise Fatal(_missing(self._group, position, target))
            fused.handle(self._of_others(batch))
            position = advanced(position, batch)
            replayed += len(batch)
        self._agree(fused)
        self._position = position
        self._since_checkpoint = replayed
        self._untold, self._missed = [], True
        return fused

    def _agree(self, fused: Fused) -> None:
        for name, end in fused.ends.items():
            stream = Stream(name)
            counted = stream not in self._passed_on and self._log.numbers(stream)
            if counted and self._log.end(stream) != end:
                raise Fatal(
                    f"Replaying the log made {end} records on `{name}` where {self._log.end(stream)} "
                    "are stored: a stage is not deterministic, or the code changed since. The log was "
                    "not touched. Run the version that wrote it, or replay into a new --data-dir."
                )

    def _read(self, streams: Iterable[Stream], position: Position, limit: int) -> list[Record]:
        return decoded(self._log.read(tuple(streams), position, limit))

    def _of_others(self, records: Sequence[Record]) -> list[Record]:
        """Without what this group wrote itself: its stages had that when they said it."""
        mine = self._group.encode()
        return [r for r in records if r.headers is None or r.headers.get(WRITER) != mine]

    def _trim(self, fused: Fused) -> None:
        if self._retention is not None:
            replayed = needed(self._log, fused.inputs, self._position)
            self._retention.trim(self._log, [replayed])

    def _append(self, record: Record) -> Append:
        headers = None if self._headers is None else self._headers(record)
        value = encode(record.value)
        return Append(record.stream, value, record.key, record.timestamp_ms, headers)

    def _tell_untold(self) -> None:
        committed, self._untold = self._untold, []
        for follower in self._followers:
            wanted = [record for record in committed if record.stream in follower.streams]
            if wanted:
                follower.follow(wanted)


def decoded(records: Iterable[Record]) -> list[Record]:
    """Records with their messages; raw ones as they came."""
    return [record if record.stream in RAW else _decoded(record) for record in records]


def _decoded(record: Record) -> Record:
    value = decode(record.stream, record.value)
    return Record(
        record.stream, value, record.key, record.partition, record.offset, record.seq,
        record.timestamp_ms, record.headers,
    )  # fmt: skip


def _between(position: Position, target: Position) -> int:
    return sum(max(0, end - position.get(name, 0)) for name, end in target.items())


def _missing(group: str, position: Position, target: Position) -> str:
    return (
        f"The log no longer holds what `{group}` needs for its replay (from {position} to {target}). "
        "Retention must outlive checkpoints. Restore the log, or replay into a new --data-dir."
    )
