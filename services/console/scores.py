"""Prequential scores, cheap enough to keep for every contestant on every outcome.

The figures are `shared/evaluation`'s; only their sums are gathered here, without an array an outcome.
"""

from collections.abc import Mapping
from math import log
from typing import cast

import msgspec
import numpy as np

from shared.evaluation.metrics import (
    ECE_BINS,
    LEAST_PROBABILITY,
    ClassMetrics,
    NumberMetrics,
    calibration_error,
)
from shared.messages.labels import class_key
from shared.messages.types import Value

_Number = int | float


class Score(msgspec.Struct):
    """Sums over one contestant's scored outcomes.

    `loss` is what the chart shows: 1 for a wrong class, the absolute error of a number. `gain` is this
    loss minus the champion's on the same outcomes. A class score counts (true, said) in `pairs`, and
    of answers with all their probabilities `brier` and the `bins` of `calibration_error`; a number
    score keeps `squared`, the labels' `mean` and `deviation` (Welford), and of the intervals `given`
    how many `held` the label and their `width`.
    """

    n: int = 0
    loss: float = 0.0
    gain: float = 0.0
    pairs: dict[tuple[str, str], int] = {}
    log_loss: float = 0.0
    log_n: int = 0
    squared: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    brier: float = 0.0
    bins: list[float] = []
    given: int = 0
    held: int = 0
    width: float = 0.0

    def take_class(self, label: str, said: str | None, surprise: float | None) -> float:
        """Score one class answer; its loss. `surprise`: that of the true class (`surprise`)."""
        self.n += 1
        pair, pairs = (label, said or ""), self.pairs
        pairs[pair] = pairs.get(pair, 0) + 1
        if surprise is not None:
            self.log_n += 1
            self.log_loss += surprise
        if said == label:
            return 0.0
        self.loss += 1.0
        return 1.0

    def take_chances(self, label: str, said: str | None, p: Mapping[str, float]) -> None:
        """How honest the probabilities of one answer were: Brier score and calibration."""
        if said is None:
            return
        if not self.bins:
            self.bins = [0.0] * (3 * ECE_BINS)
        self.brier += sum(x * x for x in p.values()) - 2 * p.get(label, 0.0) + 1
        confidence = min(p.get(said, 0.0), 1.0)
        place = 3 * min(int(confidence * ECE_BINS), ECE_BINS - 1)
        self.bins[place] += 1
        self.bins[place + 1] += confidence
        self.bins[place + 2] += said == label

    def take_interval(self, label: float, interval: tuple[float, float] | None) -> None:
        """Whether the published interval held the label, ends included."""
        if interval is not None:
            low, high = interval
            self.given += 1
            self.held += low <= label <= high
            self.width += high - low

    def take_number(self, label: float, said: float) -> float:
        """Score one number; its absolute error."""
        self.n += 1
        error = abs(label - said)
        self.loss += error
        self.squared += error * error
        apart = label - self.mean
        self.mean += apart / self.n
        self.deviation += apart * (label - self.mean)
        return error

    def figures(self, regression: bool) -> dict[str, float]:
        """The figures by their names on the wire; empty before the first outcome."""
        if not self.n:
            return {}
        if regression:
            numbers = NumberMetrics()
            numbers.sums[:] = (
                *(self.n, self.loss, self.squared, self.mean, self.deviation),
                *(self.given, self.held, self.width),
            )
            return numbers.figures()
        found = class_figures(self.pairs, self.n, self.n - self.loss)
        if self.log_n:
            found["log_loss"] = self.log_loss / self.log_n
        if self.bins:
            found["brier"] = self.brier / sum(self.bins[::3])
            found["ece"] = calibration_error(self.bins)
        return found


def class_figures(pairs: dict[tuple[str, str], int], n: int, hits: float) -> dict[str, float]:
    """Accuracy and kappa from counts of (true, said)."""
    place = {name: i for i, name in enumerate(sorted({name for pair in pairs for name in pair}))}
    metrics = ClassMetrics(len(place))
    metrics.sums[:2] = n, hits
    for (label, said), count in pairs.items():
        metrics.confusion[place[label], place[said]] = count
    figures = metrics.figures()
    return {"accuracy": figures["accuracy"], "kappa": figures["kappa"]}


def surprise(chance: float) -> float:
    """The log loss of the probability given to the true class."""
    return -log(chance if chance > LEAST_PROBABILITY else LEAST_PROBABILITY)


def said_class(prediction: Value | None) -> str | None:
    """What was said, as a class key; None when no class was known yet."""
    return None if prediction is None else class_key(prediction)


def as_number(value: Value | None) -> float:
    """A label or a prediction as a number (None: no answer yet, taken as 0)."""
    return float(cast(_Number, value)) if value is not None else 0.0


def finite(value: float) -> bool:
    """Whether a number can be scored."""
    return bool(np.isfinite(value))
