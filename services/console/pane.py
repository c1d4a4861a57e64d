"""From the thread that folds to the threads that serve: whole, immutable views."""

from collections.abc import Callable
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # bring compiled code; a process without a board makes no view
    from services.console.core import Board
    from services.console.snapshot import View

LOOKED_AT_S = 10.0
"""A viewer counts as there for this long after a look."""
LEAST_S = 0.25
UNSEEN_S = 2.0
SHARE = 0.04
"""Most of the folding thread's time that views may take."""


class Pane:
    """The newest view. The folding thread calls `refresh` between two batches, others `view`.

    A view costs some milliseconds; it is made at most 4 times a second while somebody looks, else
    every 2 seconds, and less often if it would take more than `SHARE` of the time.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._changed = Condition()
        self._view: View | None = None
        self._looked_s = float("-inf")
        self._made_s = float("-inf")
        self._cost_s = 0.0
        self.closed = False
        self._speed: tuple[float, int, float | None] = (float("-inf"), 0, None)

    def refresh(self, board: "Board", force: bool = False) -> None:
        """Make a new view if one is due. Costs a comparison otherwise."""
        now = self._clock_s()
        wait = LEAST_S if now - self._looked_s < LOOKED_AT_S else UNSEEN_S
        if not force and now - self._made_s < max(wait, self._cost_s / SHARE):
            return
        from services.console.snapshot import view_of

        view = view_of(board, self._speed_per_s(board, now))
        self._cost_s = self._clock_s() - now
        with self._changed:
            self._view, self._made_s = view, self._clock_s()
            self._changed.notify_all()

    def view(self, wait_s: float = 5.0) -> "View | None":
        """The newest view; waits for the first one. None: there is none yet."""
        with self._changed:
            self._looked_s = self._clock_s()
            self._changed.wait_for(lambda: self._view is not None, wait_s)
            return self._view

    def close(self) -> None:
        """The run is over and the server about to stop: live streams end."""
        self.closed = True

    @property
    def age_s(self) -> float:
        """Seconds since the newest view was made (infinite: none yet)."""
        return self._clock_s() - self._made_s

    def _speed_per_s(self, board: "Board", now: float) -> float | None:
        """Predictions a second of wall time, over some two seconds."""
        at, before, speed = self._speed
        place = board.counts.predictions
        if now - at >= UNSEEN_S:
            speed = (place - before) / (now - at) if at > float("-inf") else None
            self._speed = (now, place, speed)
        return speed
