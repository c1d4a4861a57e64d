"""What a kind of feature is, and what it may remember."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from shared.features.past import Past

Row = dict[str, Any]
"""One event on its way: cleaned fields, then features as they are computed; None is missing."""


class Operator(Protocol):
    """Computes some features of one event."""

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """Put this operator's features into `row`: floats or None, never NaN.

        `past` holds the events of the same key before this one.
        """
        ...


@runtime_checkable
class Remembering(Protocol):
    """An operator with a state of its own, over all keys."""

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """See `shared.stage.Stage`."""
        ...

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See `shared.stage.Stage`."""
        ...
