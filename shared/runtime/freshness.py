"""How fresh the served model is, where the learner is another process (DESIGN section 5)."""

from collections.abc import Callable, Sequence

from shared.errors import Retryable
from shared.log.port import Position
from shared.messages.streams import MODELS, OUTCOMES, Stream
from shared.messages.types import ModelEvent
from shared.runtime.clock import elapsed_s
from shared.runtime.metrics import Meters
from shared.stage import Record

EVERY_S = 5.0
"""The end of `outcomes` is asked of the backend; that is for now and then."""


class Freshness:
    """A follower that remembers the newest snapshot; `measure` tells the meters how old it is.

    `end(stream)`: where the stream ends, in the numbers of its one writer. Both methods are for the
    loop's thread.
    """

    def __init__(
        self,
        meters: Meters,
        end: Callable[[Stream], int],
        clock_s: Callable[[], float] = elapsed_s,
    ) -> None:
        self._meters = meters
        self._end = end
        self._clock_s = clock_s
        self._due_s = float("-inf")
        self._newest: ModelEvent | None = None

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What it follows."""
        return (MODELS,)

    def position(self) -> Position:
        """From the beginning: the newest snapshot may be older than this process."""
        return {}

    def follow(self, records: Sequence[Record]) -> None:
        """Take model records; of several snapshots the one with the most outcomes counts."""
        for record in records:
            event = record.value
            if event.state != "snapshot":
                continue
            if self._newest is None or event.outcomes >= self._newest.outcomes:
                self._newest = event

    def measure(self) -> None:
        """Tell the meters, if it is time and there is a snapshot; what does not answer is let be."""
        at_s = self._clock_s()
        if self._newest is None or at_s < self._due_s:
            return
        self._due_s = at_s + EVERY_S
        newest = self._newest
        try:
            missing = max(0, self._end(OUTCOMES) - newest.outcomes)
        except Retryable:
            return  # the loop itself will notice; a figure is no reason to stop
        self._meters.model(newest.champion or newest.model, missing, newest.time)
