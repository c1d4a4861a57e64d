"""Per-row losses of the declared metric, the same for models, baselines and the champion."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.evaluation.metrics import ECE_BINS, LEAST_PROBABILITY, calibration_error

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int64] | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answers:
    """What somebody said about n rows: `mean` [n, K] (probabilities, or one number), `index` [n]."""

    mean: F64
    index: I64

    @classmethod
    def of(cls, mean: F64) -> "Answers":
        """The class with the largest probability is the answer."""
        return cls(mean, np.argmax(mean, axis=1))

    def rows(self, chosen: I64) -> "Answers":
        """Some rows."""
        return Answers(self.mean[chosen], self.index[chosen])


@dataclass(frozen=True, slots=True)
class Metric:
    """`loss` [n] per row (smaller is better), `figure` turns its mean into the metric's number."""

    name: str
    about: str
    loss: Callable[[Answers, Labels], F64]
    figure: Callable[[float], float]


def honesty(said: Answers, y: Labels) -> dict[str, float]:
    """How far stated probabilities are from what came: Brier score (0 is best, 2 worst; Brier 1950) and
    expected calibration error. A silent rule states none.
    """
    rows = np.arange(len(y))
    truth = np.zeros_like(said.mean)
    truth[rows, y.astype(np.int64)] = 1.0
    stated = np.where(said.index < 0, 0.0, said.mean[rows, said.index])
    place = np.minimum((stated * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    sums = (np.ones(len(y)), stated, (said.index == y).astype(np.float64))
    bins = np.stack([np.bincount(place, part, ECE_BINS) for part in sums], axis=1)
    brier = float(np.square(said.mean - truth).sum(axis=1).mean())
    return {"brier": round(brier, 6), "calibration_error": round(calibration_error(bins), 6)}


def _wrong(said: Answers, y: Labels) -> F64:
    return np.asarray(said.index != y, np.float64)


def _log_loss(said: Answers, y: Labels) -> F64:
    p = said.mean[np.arange(len(y)), y.astype(np.int64)]
    return np.asarray(-np.log(np.maximum(p, LEAST_PROBABILITY)))


def _absolute(said: Answers, y: Labels) -> F64:
    return np.abs(said.mean[:, 0] - y)


def _squared(said: Answers, y: Labels) -> F64:
    return np.square(said.mean[:, 0] - y)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "share of wrong answers", _wrong, lambda loss: 1 - loss),
        Metric("log_loss", "minus the log of the true class's probability", _log_loss, float),
        Metric("mae", "absolute error", _absolute, float),
        Metric("rmse", "squared error", _squared, lambda loss: float(np.sqrt(loss))),
    )
}
"""By the names in the problem file (`evaluation.metric`)."""
