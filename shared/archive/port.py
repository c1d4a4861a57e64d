"""The archive port: what every backend promises (suite: `tests/contract/test_archive.py`).

The archive holds `predictions` and `outcomes` by ranges of log offsets, each place (a partition of a
stream, see `shared/messages/streams.py`) by itself. It is a view (DESIGN rule 1): the same range
written again gives the same bytes, and a range that lies within one that is held adds nothing. What
`write` returned from is durable: only then may retention drop the records.
"""

from collections.abc import Sequence
from typing import Protocol

from shared.messages.types import Prediction


class Archive(Protocol):
    """Committed messages by place and offset."""

    def places(self) -> list[str]:
        """Of which places something is held."""
        ...

    def write(self, place: str, first_offset: int, records: Sequence[Prediction]) -> None:
        """Hold `records`, which stand at `first_offset` and the offsets after it.

        Ranges that lie within this one are replaced by it.

        Raises:
            Fatal, Retryable: nothing of it is held.
        """
        ...

    def read(self, place: str, start: int, end: int) -> list[Prediction]:
        """The messages (`Outcome` for outcomes) at offsets `start` to `end`, `end` excluded.

        Offsets that are not held are left out. Times are in UTC; a feature that some record of a
        range lacks is None there, as a missing one is.
        """
        ...

    def ranges(self, place: str) -> list[tuple[int, int]]:
        """What is held, as (first offset, end offset), in order, the way it was written."""
        ...
