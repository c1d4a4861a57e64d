"""Prequential scores, cheap enough to keep for every contestant on every outcome.

The figures are `shared/evaluation`'s; only their sums are gathered here, without an array an outcome.
"""

from math import log
from typing import cast

import msgspec
import numpy as np

from shared.evaluation.metrics import LEAST_PROBABILITY, ClassMetrics, NumberMetrics
from shared.messages.labels import class_key
from shared.messages.types import Value

_Number = int | float


class Score(msgspec.Struct):
    """Sums over one contestant's scored outcomes.

    `loss` is what the chart shows: 1 for a wrong class, the absolute error of a number. `gain` is this
    loss minus the champion's on the same outcomes. A class score counts (true, said) in `pairs`;
    a number score keeps `squared` and the labels' `mean` and `deviation` (Welford).
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
            numbers.sums[:5] = (self.n, self.loss, self.squared, self.mean, self.deviation)
            return numbers.figures()
        found = _class_figures(self.pairs, self.n, self.n - self.loss)
        if self.log_n:
            found["log_loss"] = self.log_loss / self.log_n
        return found


def _class_figures(pairs: dict[tuple[str, str], int], n: int, hits: float) -> dict[str, float]:
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
