"""Prequential figures: of what was published, in the order in which the labels came.

`ClassMetrics` and `NumberMetrics` are sums, so they merge; `factor` < 1 fades the past (an outcome of
age k weighs factor ** k; Gama, Sebastiao & Rodrigues 2013). `Window` gives the same figures over the
newest `size` outcomes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from numba import njit

F64 = npt.NDArray[np.float64]
Figures = dict[str, float]
Interval = Sequence[float] | F64

ECE_BINS = 15
LEAST_PROBABILITY = 1e-15
SUMS = 5
_GIVEN = 5  # where a number metric's sums about intervals begin
_FADING = [0, 1, 2, 4, 5, 6, 7]  # of a number metric's sums: all but the mean


class Metrics(Protocol):
    """Sums over outcomes; a row is the `sums` of one outcome."""

    sums: F64

    def add(self, row: F64) -> None:
        """Add one outcome's row."""
        ...

    def figures(self) -> Figures:
        """The figures by their names on the wire; empty before the first outcome."""
        ...


def _add_class(sums: F64, label: int, predicted: int, p: F64, before: int, factor: float) -> None:
    if factor != 1.0:
        sums *= factor
    k = p.shape[0]
    hit = 1.0 if label == predicted else 0.0
    sums[0] += 1.0
    sums[1] += hit
    sums[2] -= np.log(max(p[label], LEAST_PROBABILITY))
    for i in range(k):
        sums[3] += (p[i] - (1.0 if i == label else 0.0)) ** 2
    sums[4] += 1.0 if label == before else 0.0
    sums[SUMS + label * k + predicted] += 1.0
    confidence = min(p[predicted], 1.0)
    place = SUMS + k * k + 3 * min(int(confidence * ECE_BINS), ECE_BINS - 1)
    sums[place] += 1.0
    sums[place + 1] += confidence
    sums[place + 2] += hit


add_class: Any = njit(cache=True)(_add_class)


def calibration_error(bins: npt.ArrayLike) -> float:
    """Expected calibration error (Naeini, Cooper & Hauskrecht 2015): how far stated confidence is from
    the share of right answers, bin by bin; 0 is honest, or nothing was said.

    `bins`: for each of `ECE_BINS` equal bins of confidence its weight, summed confidence and hits.
    """
    weight, confidence, hits = np.asarray(bins, np.float64).reshape(ECE_BINS, 3).T
    total = float(weight.sum())
    return float(np.abs(confidence - hits).sum()) / total if total > 0 else 0.0


class ClassMetrics:
    """Accuracy, kappa, log loss, Brier score and calibration error of class predictions.

    `sums` is one flat array: weight, hits, log loss, Brier, hits of no-change, then the K x K confusion
    (true, predicted), then per confidence bin weight, confidence and hits.
    """

    def __init__(self, n_classes: int, factor: float = 1.0) -> None:
        self.n_classes = n_classes
        self.factor = factor
        self.sums = np.zeros(SUMS + n_classes * n_classes + 3 * ECE_BINS)

    def update(
        self, label: int, predicted: int, probabilities: Sequence[float] | F64, before: int = -1
    ) -> None:
        """One outcome, fading the past. `probabilities` [K]; `before`: no-change's answer, -1 none."""
        p = np.asarray(probabilities, np.float64)
        add_class(self.sums, label, predicted, p, before, self.factor)

    def row(
        self, label: int, predicted: int, probabilities: Sequence[float] | F64, before: int = -1
    ) -> F64:
        """The `sums` of one outcome, for `add` and `Window`."""
        sums = np.zeros_like(self.sums)
        add_class(sums, label, predicted, np.asarray(probabilities, np.float64), before, 1.0)
        return sums

    def add(self, row: F64) -> None:
        """Add one row, fading the past."""
        if self.factor != 1.0:
            self.sums *= self.factor
        self.sums += row

    def merge(self, other: Self) -> None:
        """Add another's sums (both unfaded: the order does not matter)."""
        self.sums += other.sums

    def grow(self, n_classes: int) -> None:
        """Room for more classes."""
        wider = ClassMetrics(n_classes, self.factor)
        wider.sums[:SUMS] = self.sums[:SUMS]
        wider.confusion[: self.n_classes, : self.n_classes] = self.confusion
        wider.sums[-3 * ECE_BINS :] = self.sums[-3 * ECE_BINS :]
        self.n_classes, self.sums = n_classes, wider.sums

    @property
    def confusion(self) -> F64:
        """[K, K] weights by true and predicted class (a view)."""
        k = self.n_classes
        return self.sums[SUMS : SUMS + k * k].reshape(k, k)

    def figures(self) -> Figures:
        """accuracy, kappa, kappa_no_change, log_loss, brier, ece; empty before the first outcome."""
        weight, hits, log_loss, brier, unchanged = self.sums[:SUMS].tolist()
        if weight <= 0:
            return {}
        confusion = self.confusion
        chance = float(confusion.sum(0) @ confusion.sum(1)) / weight**2
        return {
            "accuracy": hits / weight,
            "kappa": _over(hits / weight, chance),
            "kappa_no_change": _over(hits / weight, unchanged / weight),
            "log_loss": log_loss / weight,
            "brier": brier / weight,
            "ece": calibration_error(self.sums[-3 * ECE_BINS :]),
        }


class NumberMetrics:
    """Mean absolute and root mean squared error and R2 of numeric predictions; how good intervals are.

    `sums`: weight, |error|, error squared, the label's mean and summed squared deviation, kept by
    Welford's update so that large labels do not cancel; then of the predictions that came with an
    interval their weight, how many intervals held the label, and the intervals' summed width.
    """

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.sums = np.zeros(8)

    def update(self, label: float, predicted: float, interval: Interval | None = None) -> None:
        """One outcome, fading the past."""
        self.add(self.row(label, predicted, interval))

    def row(self, label: float, predicted: float, interval: Interval | None = None) -> F64:
        """The `sums` of one outcome, for `add` and `Window`; `interval` [low, high], ends included."""
        error = label - predicted
        sums = np.array([1.0, abs(error), error * error, label, 0.0, 0.0, 0.0, 0.0])
        if interval is not None:
            low, high = interval
            sums[_GIVEN:] = 1.0, float(low <= label <= high), high - low
        return sums

    def add(self, row: F64) -> None:
        """Add one row, fading the past."""
        if self.factor != 1.0:
            self.sums[_FADING] *= self.factor
        self._add(row)

    def merge(self, other: Self) -> None:
        """Add another's sums (both unfaded; Chan, Golub & LeVeque's pairwise rule)."""
        self._add(other.sums)

    def _add(self, row: F64) -> None:
        weight, absolute, squared, mean, deviation = self.sums[:_GIVEN].tolist()
        w, a, s, m, d = row[:_GIVEN].tolist()
        total = weight + w
        if total <= 0:
            return
        apart = m - mean
        self.sums[_GIVEN:] += row[_GIVEN:]
        self.sums[:_GIVEN] = (
            total,
            absolute + a,
            squared + s,
            mean + apart * w / total,
            deviation + d + apart * apart * weight * w / total,
        )

    def figures(self) -> Figures:
        """mae, rmse, r2, and of the intervals coverage and width; empty before the first outcome."""
        weight, absolute, squared, _, deviation, given, held, width = self.sums.tolist()
        if weight <= 0:
            return {}
        found = {
            "mae": absolute / weight,
            "rmse": float(np.sqrt(squared / weight)),
            "r2": 1 - squared / deviation if deviation > 0 else 0.0,
        }
        return found | {"coverage": held / given, "width": width / given} if given > 0 else found


class Window:
    """The newest `size` rows of a metric, summed anew each time, so no error accumulates."""

    def __init__(self, fresh: Metrics, size: int) -> None:
        self._fresh = fresh
        self._rows = np.zeros((size, len(fresh.sums)))
        self._count = np.zeros(1, np.int64)

    def add(self, row: F64) -> None:
        """The newest row takes the place of the oldest."""
        self._rows[self._count[0] % len(self._rows)] = row
        self._count[0] += 1

    def figures(self) -> Figures:
        """Figures over the window, oldest first."""
        size, count = len(self._rows), int(self._count[0])
        first = count % size if count > size else 0
        self._fresh.sums[:] = 0
        for i in range(min(count, size)):
            self._fresh.add(self._rows[(first + i) % size])
        return self._fresh.figures()

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the state."""
        return {"rows": self._rows.copy(), "count": self._count.copy()}

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Continue exactly."""
        self._rows[:] = arrays["rows"].astype(np.float64)
        self._count[:] = arrays["count"].astype(np.int64)


def _over(value: float, chance: float) -> float:
    """(value - chance) / (1 - chance): 0 is chance, 1 perfect."""
    return (value - chance) / (1 - chance) if chance < 1 else 0.0
