"""Whether a process lives, and whether it works: told by the loop, asked by probes from other threads.

*Live* means that the loop has turned within `limit_s`: a process that is not should be restarted.
*Ready* means that the stages are rebuilt and at work. A process that stands by for another instance is
not ready, and all is well: who wants that to count (a rollout waits for every instance) asks with
`standby_counts`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from shared.runtime.clock import elapsed_s

LIMIT_S = 60.0
"""Longer than any turn: a rebuild replays what follows the last checkpoint, and jobs run beside."""
_STARTING = "starting: the stages are not rebuilt yet"


@dataclass(frozen=True)
class Verdict:
    """What a probe is told; `why` says what is missing, empty when nothing is."""

    ok: bool
    why: str
    since_turn_s: float | None
    standby: bool = False
    services: list[str] = field(default_factory=list)


class Health:
    """The state of one process. Thread-safe. `clock_s`: only differences of it are used."""

    def __init__(
        self,
        services: list[str] | None = None,
        limit_s: float = LIMIT_S,
        clock_s: Callable[[], float] = elapsed_s,
    ) -> None:
        self._services = services or []
        self._limit_s = limit_s
        self._clock_s = clock_s
        self._lock = Lock()
        self._made_s = clock_s()
        self._turned_s: float | None = None
        self._why: str | None = _STARTING
        self._standby = False

    def turned(self) -> None:
        """The loop has gone round, with or without work."""
        with self._lock:
            self._turned_s = self._clock_s()

    def ready(self, why: str | None, standby: bool = False) -> None:
        """At work (None), or not, and why. `standby`: nothing is wrong, another instance works."""
        with self._lock:
            self._why, self._standby = why, standby

    def liveness(self) -> Verdict:
        """Has the loop turned within the limit? Counted from the start when it never has."""
        with self._lock:
            return self._liveness()

    def readiness(self, standby_counts: bool = False) -> Verdict:
        """Is the process live and at work (or, if that counts, standing by for it)?"""
        with self._lock:
            live = self._liveness()
            if not live.ok:
                return live
            ok = self._why is None or (self._standby and standby_counts)
            return self._verdict(ok, self._why or "")

    def _liveness(self) -> Verdict:
        last_s = self._made_s if self._turned_s is None else self._turned_s
        silent_s = self._clock_s() - last_s
        if silent_s <= self._limit_s:
            return self._verdict(True, "")
        what = (
            "the loop has not turned for" if self._turned_s is not None else "no turn in the first"
        )
        return self._verdict(False, f"{what} {silent_s:.0f} s; the limit is {self._limit_s:.0f} s")

    def _verdict(self, ok: bool, why: str) -> Verdict:
        since_s = None if self._turned_s is None else round(self._clock_s() - self._turned_s, 3)
        return Verdict(ok, why, since_s, self._standby, self._services)
