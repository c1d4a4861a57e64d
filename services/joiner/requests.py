"""Active learning: which predictions a person should label, most informative first.

Uncertainty sampling over a pool (Lewis & Gale 1994; Settles, "Active Learning Literature Survey", 2009,
section 3.1): of each window of event time the `budget` predictions about which the model was least
sure, of those that have no label when the window closes.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from heapq import nsmallest
from math import log

from shared.messages.types import LabelRequest, Prediction
from shared.problem.spec import LabelSpec
from shared.problem.times import EPOCH

Chances = Mapping[str, float]


class Requests:
    """Closes windows; asks about what waits for a label. `window`: the open one, -1: none yet."""

    def __init__(self, spec: LabelSpec) -> None:
        self._spec = spec.requests
        self._span = spec.requests.window if spec.requests else timedelta(days=1)
        self.window = -1

    def passed(self, time: datetime) -> bool:
        """Whether `time` ends the open window (or opens the first one)."""
        if self._spec is None:
            return False
        number = (time - EPOCH) // self._span
        if self.window < 0:
            self.window = number
        return number > self.window

    def close(self, waiting: Iterable[Prediction], time: datetime) -> list[LabelRequest]:
        """The requests of the window, and go on to the one that holds `time`.

        O(what waits): once a window.
        """
        if self._spec is None:
            return []
        start = EPOCH + self.window * self._span
        end = start + self._span
        inside = [p for p in waiting if start <= p.time < end]
        measured = [(uncertainty(p, self._spec.by), p) for p in inside]
        best = nsmallest(
            self._spec.budget, measured, key=lambda one: (-one[0], one[1].time, one[1].id)
        )
        self.window = (time - EPOCH) // self._span
        return [
            LabelRequest(
                id=p.id, time=p.time, rank=rank, uncertainty=value, start=start, end=end,
                model=p.model, prediction=p.prediction, features=p.features, key=p.key,
                probabilities=p.probabilities, interval=p.interval,
            )
            for rank, (value, p) in enumerate(best, start=1)
        ]  # fmt: skip


def uncertainty(prediction: Prediction, by: str) -> float:
    """How little the model knew: 0 to 1 for classes (1: nothing, as before the first label), the width
    of the published interval (the label's unit) for numbers.
    """
    if prediction.interval is not None:
        return prediction.interval[1] - prediction.interval[0]
    chances = prediction.probabilities
    if not chances or len(chances) < 2:
        return 1.0
    return _MEASURES[by](chances)


def _margin(chances: Chances) -> float:
    first, second = sorted(chances.values(), reverse=True)[:2]
    return 1 - (first - second)


def _least_confidence(chances: Chances) -> float:
    return 1 - max(chances.values())


def _entropy(chances: Chances) -> float:
    return -sum(p * log(p) for p in chances.values() if p > 0) / log(len(chances))


_MEASURES: dict[str, Callable[[Chances], float]] = {
    "margin": _margin,
    "least_confidence": _least_confidence,
    "entropy": _entropy,
}
