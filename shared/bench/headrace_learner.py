"""The product's own model on the course: the pool, called as scorer and learner call it."""

from collections import deque

import numpy as np

from shared.bench.course import Learner
from shared.bench.streams import Stream
from shared.models.pool import Pool
from shared.models.port import F64, Scored, Task
from shared.models.warm import warm


def task_of(stream: Stream) -> Task:
    """The pool's task for a stream."""
    if stream.regression:
        return "regression"
    return "binary" if len(stream.classes) == 2 else "multiclass"


def make_ready(stream: Stream) -> None:
    """Compile, or load what was compiled: a peer's code is ready too when its clock starts."""
    warm(task_of(stream))


class HeadraceLearner(Learner):
    """The default pool. What was said of a row is kept until its label comes."""

    def __init__(self, stream: Stream, seed: int) -> None:
        self.stream = stream
        self.pool = Pool(
            task_of(stream), stream.x.shape[1], max(2, len(stream.classes)), seed=seed
        )
        self.kept: deque[tuple[int, int, Scored]] = deque()
        self._intervals: list[F64] = []

    def predict_many(self, start: int, end: int) -> F64:
        """What the champion publishes."""
        scored = self.pool.predict_many(self.stream.x[start:end])
        self.kept.append((start, end, scored))
        verdict = scored.by_version[self.pool.champion]
        if self.stream.regression:
            none = np.full((end - start, 2), np.nan)
            self._intervals.append(none if verdict.interval is None else verdict.interval)
        return verdict.mean

    def learn_many(self, start: int, end: int) -> None:
        """From what was said when the rows were predicted."""
        while start < end:
            first, last, scored = self.kept[0]
            until = min(end, last)
            part = slice(start - first, until - first)
            self.pool.learn_many(
                self.stream.x[start:until],
                self.stream.y[start:until],
                scored.said[part],
                {name: verdict.members[part] for name, verdict in scored.by_version.items()},
                scored.arrival.of(part),
                scored.layout,
            )
            if until == last:
                self.kept.popleft()
            start = until

    def intervals(self) -> F64 | None:
        """The published intervals."""
        return np.concatenate(self._intervals) if self._intervals else None

    def state_mb(self) -> float:
        """Of the whole pool."""
        return sum(array.nbytes for array in self.pool.snapshot().values()) / 2**20
