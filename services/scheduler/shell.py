"""Ticks for live running, delivered by APScheduler; a replay brings its own, in event time.

The schedule itself lives in the problem file and is decided in `core.py`: APScheduler holds nothing
that could be lost (memory store), and a tick that comes late or twice changes nothing but time.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from apscheduler.schedulers.background import BackgroundScheduler

from shared.errors import HeadraceError
from shared.messages.types import Control
from shared.runtime.clock import now

EVERY_S = 10


class Ticks:
    """While open, and if `live`, hands a `tick` to `submit` every 10 seconds of wall time."""

    def __init__(self, submit: Callable[[Control], None], live: bool) -> None:
        self._submit = submit
        self._scheduler = BackgroundScheduler(timezone="UTC") if live else None

    def __enter__(self) -> Self:
        if self._scheduler is not None:
            self._scheduler.add_job(
                self._tick, "interval", seconds=EVERY_S, id="tick", replace_existing=True,
                coalesce=True, max_instances=1, misfire_grace_time=EVERY_S,
            )  # fmt: skip
            self._scheduler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)

    def _tick(self) -> None:
        """One tick; the loop may be busy, then the next one tells the time."""
        try:
            self._submit(Control(command="tick", time=now(), by="scheduler"))
        except (HeadraceError, TimeoutError):
            return
