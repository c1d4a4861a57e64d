"""The baselines on the course: they know what labels had come, as everybody does."""

import numpy as np

from shared.bench.course import Learner
from shared.bench.streams import Stream
from shared.models.port import F64


class Constant(Learner):
    """The shares of the classes so far, hence the most frequent one; or the mean so far."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._sums = np.zeros(max(1, len(stream.classes)))
        self._n = 0

    def predict_many(self, start: int, end: int) -> F64:
        """The same of every row."""
        sums, k = self._sums, len(self._sums)
        said = sums / max(1, self._n) if self._stream.regression else (sums + 1) / (self._n + k)
        return np.tile(said, (end - start, 1))

    def learn_many(self, start: int, end: int) -> None:
        """Count."""
        y = self._stream.y[start:end]
        if self._stream.regression:
            self._sums += y.sum()
        else:
            self._sums += np.bincount(y, minlength=len(self._sums))
        self._n += end - start


class NoChange(Learner):
    """The newest label that is known; a class with the share of such answers that were right."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._newest = 0.0
        self._right, self._n = 1.0, 2.0

    def predict_many(self, start: int, end: int) -> F64:
        """The same of every row."""
        k = len(self._stream.classes)
        if not k:
            return np.full((end - start, 1), self._newest)
        rate = max(self._right / self._n, 1 / k + 1e-6)  # it says this class, however rarely right
        said = np.full((end - start, k), (1 - rate) / (k - 1))
        said[:, int(self._newest)] = rate
        return said

    def learn_many(self, start: int, end: int) -> None:
        """Keep the newest, and count how often it was the next one too."""
        for label in self._stream.y[start:end].tolist():
            self._right += label == self._newest
            self._n += 1.0
            self._newest = float(label)
