"""The baselines one event at a time: the slow, obvious version that the compiled ones are held against.

Each baseline answers when the model does, before the label is known, and is scored and learns when the
label comes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shared.evaluation.linear import Linear
from shared.evaluation.metrics import ClassMetrics, Figures, NumberMetrics

F64 = npt.NDArray[np.float64]
Task = Literal["binary", "multiclass", "regression"]
Answer = str | float | None

MOST_WAITING = 100_000


class Baselines:
    """The baselines of one problem; `learn` must be given each label once, in the order they came.

    `features` are the names of the numbers, `classes` the known ones (more may appear), `rules` the
    names of rules, whose answers are passed in. At most `most_waiting` events wait for their label;
    the oldest is then forgotten and not scored.
    """

    def __init__(
        self,
        task: Task,
        features: Sequence[str],
        classes: Sequence[str] = (),
        rules: Sequence[str] = (),
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._regression = task == "regression"
        self._features = tuple(features)
        self.classes = list(classes) or ["", ""][: 0 if self._regression else 2]
        self.names = ("mean" if self._regression else "majority", "no_change", "linear", *rules)
        k = 1 if self._regression else max(2, len(self.classes))
        self._most = most_waiting
        self._waiting: dict[str, tuple[F64, F64]] = {}
        self._tally = np.zeros(k)
        """Labels by class; for a number: how many."""
        self._mean = 0.0
        self._newest = -1.0
        """Class index or number of the newest label, -1 before the first."""
        self._known = 0
        self._linear = Linear(len(features), 1 if k <= 2 else k, logistic=not self._regression)
        self._metrics: list[Any] = [
            NumberMetrics() if self._regression else ClassMetrics(k) for _ in self.names
        ]

    def predict(
        self,
        event_id: str,
        features: Mapping[str, float | None],
        rules: Mapping[str, Answer] | None = None,
    ) -> dict[str, Answer]:
        """The answers by baseline, at the event; a rule that is not given answers nothing (None)."""
        x = np.array([features.get(name) for name in self._features], np.float64)
        given = rules or {}
        said = self._numbers(x, given) if self._regression else self._shares(x, given)
        if len(self._waiting) >= self._most and event_id not in self._waiting:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[event_id] = (x, said)
        return {name: self._answer(row) for name, row in zip(self.names, said, strict=True)}

    def learn(self, event_id: str, label: str | float) -> bool:
        """Score and learn from one label; False if the event is not waiting (or was forgotten).

        Raises:
            ValueError: in a regression, `label` is not a finite number.
        """
        waiting = self._waiting.pop(event_id, None)
        if waiting is None:
            return False
        x, said = waiting
        if self._regression:
            self._learn_number(x, said, _finite(label))
        else:
            self._learn_class(x, said, self._index(str(label)))
        return True

    def figures(self) -> dict[str, Figures]:
        """Baseline to its prequential figures; those without an outcome are left out."""
        found = {
            name: metrics.figures()
            for name, metrics in zip(self.names, self._metrics, strict=True)
        }
        return {name: figures for name, figures in found.items() if figures}

    def _answer(self, row: F64) -> Answer:
        if np.isnan(row[0]):
            return None
        return float(row[0]) if self._regression else self.classes[int(row[0])]

    def _numbers(self, x: F64, rules: Mapping[str, Answer]) -> F64:
        """[baselines, 1] predictions; NaN for none."""
        newest = self._newest if self._known else 0.0
        said = [self._mean, newest, float(self._linear.predict(x)[0])]
        said += [_number_or_nan(rules.get(name)) for name in self.names[3:]]
        return np.array(said)[:, None]

    def _shares(self, x: F64, rules: Mapping[str, Answer]) -> F64:
        """[baselines, 1 + K] predicted class index (NaN: none), and the probabilities."""
        k = len(self._tally)
        said = np.full((len(self.names), 1 + k), np.nan)
        prior = (self._tally + 1) / (self._tally.sum() + k)
        said[0, 0], said[0, 1:] = np.argmax(self._tally), prior
        self._point(said, 1, max(int(self._newest), 0))
        linear = self._linear.predict(x)
        p = np.array([1 - linear[0], linear[0]]) if len(linear) == 1 else linear
        total = float(p.sum())
        said[2, 0] = np.argmax(p)
        said[2, 1:] = p / total if total > 0 else 1 / k
        for i, name in enumerate(self.names[3:], 3):
            answer = rules.get(name)
            if answer is not None and str(answer) in self.classes:
                self._point(said, i, self.classes.index(str(answer)))
        return said

    def _point(self, said: F64, place: int, index: int) -> None:
        """A bare class as probabilities: its own hit rate so far, the rest shared evenly."""
        weight, hits = self._metrics[place].sums[:2]
        rate = (hits + 1) / (weight + 2)
        said[place, 0] = index
        said[place, 1:] = (1 - rate) / (said.shape[1] - 2)
        said[place, 1 + index] = rate

    def _learn_number(self, x: F64, said: F64, label: float) -> None:
        for metrics, row in zip(self._metrics, said, strict=True):
            if not np.isnan(row[0]):
                metrics.update(label, float(row[0]))
        self._known += 1
        self._tally[0] += 1
        self._mean += (label - self._mean) / self._known
        self._newest = label
        self._linear.learn(x, np.array([label]))

    def _learn_class(self, x: F64, said: F64, label: int) -> None:
        k = len(self._tally)
        said = _widened(said, 1 + k)
        before = int(said[1, 0])
        for metrics, row in zip(self._metrics, said, strict=True):
            if not np.isnan(row[0]):
                metrics.update(label, int(row[0]), row[1:], before)
        self._known += 1
        self._tally[label] += 1
        self._newest = float(label)
        target = np.array([float(label == 1)]) if k == 2 else (np.arange(k) == label) * 1.0
        self._linear.learn(x, target)

    def _index(self, label: str) -> int:
        """The class's index; an unknown one takes a free place or a new one."""
        if label not in self.classes:
            if "" in self.classes:
                self.classes[self.classes.index("")] = label
            else:
                self.classes.append(label)
                k = len(self.classes)
                self._tally = np.pad(self._tally, (0, max(0, k - len(self._tally))))
                self._linear.grow(k if k > 2 else 1)
                for metrics in self._metrics:
                    metrics.grow(len(self._tally))
        return self.classes.index(label)


def _widened(said: F64, width: int) -> F64:
    """Probabilities from before a class appeared: it had none."""
    missing = width - said.shape[1]
    return np.pad(said, ((0, 0), (0, missing))) if missing else said


def _number_or_nan(value: Answer) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _finite(label: str | float) -> float:
    value = float(label)
    if not np.isfinite(value):
        raise ValueError(f"the label {label!r} is not a finite number")
    return value
