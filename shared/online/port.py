"""The online port: what every backend promises (suite: `tests/contract/test_online.py`).

A view of the log for lookups: the newest record of an entity, the last prediction of an id. It is
rebuildable (DESIGN rule 1): whoever fills it reads committed records from the view's own position on.

A *partition* is where positions come from and are comparable, as `predictions/1`; a key belongs to
one partition. Everything below a partition's position has been applied, so *newer* means: at or after
it. What is older changes nothing, and what would leave a gap is refused; therefore repeats, restarts
and any number of writers at once do no harm.

A *generation* is one life of the view, from empty to lost. A backend that lost everything has none,
and takes nothing until `begin`; a writer that still has the old one in mind is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Kind = Literal["entity", "prediction"]
Entry = tuple[Kind, str, bytes, int]
"""Kind, key, value, and the offset of the record that says so."""


@dataclass(frozen=True)
class Place:
    """How far one partition is: the next offset wanted, and the digest of the record before it."""

    next: int
    last: str


@dataclass(frozen=True)
class State:
    """One whole view. `at_ms`: everything that was committed by then is in (Unix time in ms); None:
    not yet, the view is being built.
    """

    generation: int
    at_ms: int | None = None
    places: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """All that the records at offsets `start` to `end` (excluded) of `partition` say.

    Of entries with the same kind and key the last counts. `last`: digest of the record before `end`.
    """

    partition: str
    start: int
    end: int
    last: str
    entries: Sequence[Entry]


class Online(Protocol):
    """Keys to values, last write by position.

    Every method raises `Retryable` when the backend does not answer (it may have done what was
    asked: ask again) and `Fatal` when it never will.
    """

    def state(self) -> State | None:
        """Where the view is; None: there is none."""
        ...

    def begin(self, after: int | None, generation: int) -> bool:
        """Forget everything and start a generation, if `after` is the present one (None: none).

        `generation` was never used before; readers see nothing of older ones from now on.
        """
        ...

    def put(self, generation: int, batch: Batch) -> bool:
        """Apply what is newer, and move the partition on, in one step; whether the view is there.

        False, and nothing is applied: another generation, or the partition is before `batch.start`.
        Of predictions only those of the partition's newest `most` offsets stay (see the constructors).
        """
        ...

    def mark(self, generation: int, positions: Mapping[str, int], at_ms: int) -> bool:
        """Everything that was committed at `at_ms` lies below `positions`.

        False, and nothing is noted: another generation, or the view is not as far as that.
        """
        ...

    def get(self, kind: Kind, key: str) -> tuple[tuple[bytes, int] | None, State | None]:
        """The value of `key` with its position (None: not in the view), and the view it is from."""
        ...

    def sweep(self) -> int:
        """Free what older generations left behind; how many keys."""
        ...

    def close(self) -> None:
        """Release the backend."""
        ...
