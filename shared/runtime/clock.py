"""The wall clock, for the shell only: a stage gets its time from records (DESIGN rule 3)."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def elapsed_s() -> float:
    """Seconds on a clock that never goes back; only differences mean something."""
    return time.monotonic()


def cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    own, children = time.process_time(), _children_s()
    return own + children


def _children_s() -> float:
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
