"""The course: test, then train, one event at a time, labels a fixed number of events late."""

import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.bench.streams import Stream
from shared.models.port import F64
from shared.runtime.clock import cpu_s

_LOOK = 256
"""Events between two looks at the clock and the memory."""
_MB = 1024.0 * 1024.0


class Learner:
    """Who goes over the course; the rows were handed to it when it was made."""

    def predict_many(self, start: int, end: int) -> F64:
        """What it says of the rows `start` to `end`: probabilities [n, K], or numbers [n, 1]."""
        raise NotImplementedError

    def learn_many(self, start: int, end: int) -> None:
        """Learn these rows, in order; each row comes once, after it was predicted."""
        raise NotImplementedError

    def intervals(self) -> F64 | None:
        """[n, 2] of every row predicted so far, in order (NaN: none given); None: it gives none."""
        return None

    def state_mb(self) -> float | None:
        """The size of its state, where it can be told."""
        return None


@dataclass(frozen=True, slots=True)
class Lap:
    """What one learner did on one stream. `said` [n, K], `intervals` [n, 2] or None.

    `memory_mb`: the most that the process grew by; `process_mb`: all of it, libraries included.
    """

    said: F64
    cpu_us: float
    memory_mb: float
    process_mb: float
    intervals: F64 | None = None
    state_mb: float | None = None


def go(
    make: Callable[[], Learner], stream: Stream, delay: int = 0, block: int = 1, most_s: float = 0
) -> Lap:
    """Send a learner over a stream.

    Row t is predicted when the labels of the rows before t - `delay` are learned, those and no
    others; with `block` > 1 rows are predicted so many at a time, and know up to `block` - 1 labels
    fewer. It ends early after `most_s` CPU seconds (0: never).
    """
    n = len(stream.x)
    said = np.zeros((n, max(1, len(stream.classes))))
    before_mb = most_mb = _resident_mb()
    began, done, learned, looked = cpu_s(), 0, 0, 0
    learner = make()
    while done < n:
        end = min(n, done + block)
        said[done:end] = learner.predict_many(done, end)
        done = end
        if done - delay > learned:
            learner.learn_many(learned, done - delay)
            learned = done - delay
        if done - looked >= _LOOK:
            looked, most_mb = done, max(most_mb, _resident_mb())
            if most_s and cpu_s() - began > most_s:
                break
    spent_s, most_mb = cpu_s() - began, max(most_mb, _resident_mb())
    return Lap(
        said[:done],
        1e6 * spent_s / done,
        most_mb - before_mb,
        _resident_mb(),
        learner.intervals(),
        learner.state_mb(),
    )


def _resident_mb() -> float:
    """Memory in use now; where /proc does not say: the most that was ever in use."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / _MB
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MB
    )  # bytes where there is no /proc
