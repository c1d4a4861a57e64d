"""What a stage is: the file to read first.

A *stage* is a deterministic fold (DESIGN rule 3): from its state and its records, in order, to
outputs; no clock, no randomness, no environment. A *service* declares a stage: what it reads, what
it writes, how to build it. The runner (`shared/runtime/runner.py`) is the only loop in the project:
it feeds records, commits outputs, position and changed state in one transaction, and after any
failure throws the stage away and rebuilds it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from shared.messages.streams import Stream
from shared.messages.types import Job, ModelEvent
from shared.problem.spec import Problem


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of a stream.

    `value` is a message of the stream's class (`shared/messages`), or raw `bytes` on the two
    streams that the outside writes (`events`, `labels`). `seq` is the place in the arrival order
    over all inputs, where the log has one (embedded); a derived record carries its cause's.
    """

    stream: Stream
    value: Any
    key: str | None = None
    partition: int = 0
    offset: int = -1
    seq: int = 0
    timestamp_ms: int = 0
    headers: Mapping[str, bytes] | None = None


class Out(msgspec.Struct, frozen=True, gc=False):
    """One output: a message for `stream`, caused by the record `cause`.

    `durable=False` passes to fused readers only and is never written: a live object in `value` is
    allowed there (the learner's fresh model). A stage that emits such has a method
    `resume() -> Iterable[Out]` that hands them on anew after a restore.
    """

    stream: Stream
    value: Any
    cause: Record
    key: str | None = None
    durable: bool = True


class Stage(Protocol):
    """The fold. Not promised: that a call holds any particular number of records.

    A stage that keeps inputs back until another stream completes them (labels before their events)
    says how many in an attribute `held: int`.
    """

    def handle(self, records: Sequence[Record]) -> Iterable[Out]:
        """Fold the records in their order. Any split into calls gives the same outputs.

        Raises:
            Retryable, Fatal: nothing of the batch was kept; the stage object is thrown away.
        """
        ...

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        """State entries changed since the last call (None = deleted); costs what changed."""
        ...

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly where the stage that wrote these entries was."""
        ...


class Blobs(Protocol):
    """Large state by content hash (SHA-256, hex)."""

    def put(self, data: bytes) -> str:
        """Store `data`, durably; its digest."""
        ...

    def get(self, digest: str) -> bytes:
        """The bytes of `digest`, verified.

        Raises:
            UntrustedArtefact: they do not hash to `digest`.
            Retryable: there is no such blob (yet).
        """
        ...


class Training(Protocol):
    """Background training, a pure function of a committed job record and the log."""

    def result(self, job: Job) -> Mapping[str, Any]:
        """Wait for the job's result; the same answer each time, also after a restart."""
        ...


class Verify(Protocol):
    """Opens a model artefact: size, digest, signature against the trusted keys, identity."""

    def __call__(self, digest: str, manifest: Mapping[str, Any], version: str) -> bytes:
        """The artefact's bytes, if they are `version` of this problem, made for its features.

        Raises:
            UntrustedArtefact: they are not.
            Retryable: there is no such blob (yet).
        """
        ...


@dataclass(frozen=True)
class Tools:
    """The little of the outside that a stage may ask for; every answer is repeatable.

    `signed` gives a manifest its signature. `trusted` does nothing for a record that a trusted key
    signed as it stands, and raises `UntrustedArtefact` for any other.
    """

    blobs: Blobs
    training: Training
    verified: Verify
    signed: Callable[[Mapping[str, Any]], dict[str, Any]]
    trusted: Callable[[ModelEvent | Job], object]


@dataclass(frozen=True)
class Service:
    """The declaration of a service; `services/<name>/__init__.py` holds it as `SERVICE`.

    `build` makes a fresh stage; None for a service that is only a shell. `scale`: how many
    instances share the work. `place`: its place in the flow when services are fused, upstream first.
    """

    name: str
    reads: tuple[Stream, ...]
    writes: tuple[Stream, ...]
    scale: Literal["per-partition", "per-problem"]
    place: int
    build: Callable[[Problem, Tools], Stage] | None = None
