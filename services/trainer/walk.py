"""Going through past rows as they came: every row is predicted from the labels known at its time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.trainer.dataset import Dataset, Shape, Split
from services.trainer.losses import Answers
from shared.evaluation.baselines import replayed
from shared.messages.labels import class_key
from shared.models.prequential import walk
from shared.models.stacker import Stacker
from shared.problem.expression import Formula

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

BASELINE_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which labels are known when: `order` [n] lists the rows as their labels came, of which the first
    `due[i]` are known at the time of row i (and come from rows before it); `due[n]` is `due[n - 1]`.
    """

    order: I64
    due: I64

    @classmethod
    def of(cls, at: F64, known_at: F64) -> "Calendar":
        """From event times and the times at which labels came. A label waits for those before it."""
        n = len(at)
        order = np.argsort(known_at, kind="stable")
        time = np.searchsorted(at, known_at[order], side="left")
        ready = np.maximum.accumulate(np.maximum(time, order + 1))
        due = np.searchsorted(ready, np.arange(n), side="right")
        return cls(order, np.append(due, due[-1:]))


class Rehearsal:
    """What the champion's experts plus one anchor would have said, for one anchor after another.

    A stacker over the experts' own words learns up to the row `first`; it is forked for each anchor,
    whose words count from there on only: there they must come from a model that was not fitted on
    those rows.
    """

    def __init__(self, data: Dataset, shape: Shape, task: Any, first: int) -> None:
        n, k = len(data.rows), shape.width
        self._data, self._first = data, first
        self._calendar = Calendar.of(data.at, data.known_at)
        self._names = [f"expert {i}" for i in range(data.said.shape[1])]
        self._members, self._mean = np.zeros((n, shape.n_members, k), np.float32), np.zeros((n, k))
        self._base = Stacker(task, self._names, k)
        self._walk(self._base, data.said, 0, first)

    def joined(self, anchor: F32, end: int) -> Answers:
        """[end] with an anchor that says `anchor` [end, K]; before `first` without it."""
        wider = np.concatenate([self._data.said[:end], anchor[:, None, :]], axis=1)
        self._walk(self._base.fork([*self._names, "anchor"]), wider, self._first, end)
        return Answers.of(self._mean[:end].copy())

    def _walk(self, stacker: Stacker, said: F32, first: int, end: int) -> None:
        order, due = self._calendar.order, self._calendar.due
        walk(stacker, said, self._data.y, order, due, first, end, self._members, self._mean)


def baseline_answers(
    data: Dataset, shape: Shape, rules: Mapping[str, Formula], plan: Split
) -> dict[str, Answers]:
    """What every baseline would have said of the held rows; a rule that is silent is wrong.

    They learn from the `BASELINE_ROWS` rows before those: none of them profits from more. A class is
    said with the probability that the baseline was right on the training rows among these.
    """
    first = max(0, int(plan.held[0]) - BASELINE_ROWS)
    calendar = Calendar.of(data.at[first:], data.known_at[first:])
    n_classes = 0 if shape.regression else shape.width
    x, y = data.x[first:], data.y[first:]
    said = replayed(x, y, calendar.order, calendar.due, n_classes)
    keys = [class_key(value) for value in shape.classes]
    for name, rule in rules.items():
        answers = [rule_answer(rule(row.features), keys) for row in data.rows[first:]]
        said[name] = np.array([_place(answer, keys) for answer in answers])
    if shape.regression:
        held = plan.held - first
        silent = np.full(len(held), -1)
        return {name: Answers(numbers[held][:, None], silent) for name, numbers in said.items()}
    return {
        name: _said_classes(
            np.nan_to_num(places, nan=-1).astype(np.int64), first, data, shape, plan
        )
        for name, places in said.items()
    }


def _place(answer: str | float | None, keys: list[str]) -> float:
    """A class's index, or a number; NaN for no answer."""
    if keys:
        return float(keys.index(answer)) if answer in keys else float("nan")
    return float(answer) if isinstance(answer, int | float) else float("nan")


def rule_answer(value: Any, keys: list[str]) -> str | float | None:
    """A formula's value as an answer: true and false are the second and the first of two classes."""
    if value is None or not keys:
        return None if value is None else float(value)
    if isinstance(value, bool) and class_key(value) not in keys:
        return keys[int(value)] if len(keys) == 2 else None
    if isinstance(value, float) and value.is_integer() and class_key(value) not in keys:
        return str(int(value))
    return class_key(value)


def _said_classes(index: I64, first: int, data: Dataset, shape: Shape, plan: Split) -> Answers:
    """[held] bare classes, with probabilities from the hit rate on the training rows.

    `index` holds the answers from row `first` on.
    """
    train = plan.train[plan.train >= first]
    hits = int(np.sum(index[train - first] == data.y[train]))
    rate = (hits + 1) / (len(train) + 2)
    held = index[plan.held - first]
    mean = np.full((len(held), shape.width), (1 - rate) / (shape.width - 1))
    known = np.flatnonzero(held >= 0)
    mean[known, held[known]] = rate
    return Answers(mean, held)
