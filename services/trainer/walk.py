"""Going through past rows as they came: every row is predicted from the labels known at its time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.trainer.dataset import Dataset, Shape, Split
from services.trainer.losses import Answers
from shared.evaluation import Baselines
from shared.messages.labels import class_key
from shared.models.stacker import Stacker
from shared.problem.expression import Formula

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

BASELINE_ROWS = 2_000


class Calendar:
    """Which labels are known when, in the order in which they came."""

    def __init__(self, at: F64, known_at: F64) -> None:
        self._at = at
        self._known_at = known_at
        self._order = np.argsort(known_at, kind="stable")
        self._next = 0

    def due(self, row: int) -> I64:
        """Rows before `row` whose label is known at its time, without those given before."""
        first = self._next
        n = len(self._order)
        while self._next < n and self._ready(self._order[self._next], row):
            self._next += 1
        return self._order[first : self._next]

    def quiet_until(self, row: int, end: int) -> int:
        """The rows from `row` on (`end` at most) before any further label becomes known."""
        if self._next >= len(self._order):
            return end
        coming = self._order[self._next]
        time = int(np.searchsorted(self._at, self._known_at[coming], side="left"))
        return min(end, max(time, int(coming) + 1, row + 1))

    def _ready(self, label: int, row: int) -> bool:
        return bool(label < row and self._known_at[label] <= self._at[row])


@dataclass(frozen=True, slots=True)
class Run:
    """A stacker in its stream: `members` [n, R, K] and `mean` [n, K] of the rows it has predicted."""

    data: Dataset
    calendar: Calendar
    members: F32
    mean: F64

    @classmethod
    def fresh(cls, data: Dataset, shape: Shape) -> "Run":
        """Before the first row."""
        n, k = len(data.rows), shape.width
        return cls(
            data,
            Calendar(data.at, data.known_at),
            np.zeros((n, shape.n_members, k), np.float32),
            np.zeros((n, k)),
        )

    def learn(self, stacker: Stacker, said: F32, row: int) -> None:
        """What is known by the time of `row`."""
        due = self.calendar.due(row)
        if len(due):
            stacker.learn_many(said[due], self.members[due], self.data.y[due])

    def walk(self, stacker: Stacker, said: F32, first: int, end: int) -> None:
        """Predict the rows `first` to `end`, learning each label when it came."""
        row = first
        while row < end:
            self.learn(stacker, said, row)
            block = slice(row, self.calendar.quiet_until(row, end))
            verdict = stacker.predict_many(said[block])
            self.members[block], self.mean[block] = verdict.members, verdict.mean
            row = block.stop


def challenge(data: Dataset, shape: Shape, task: Any, first: int, anchor: F32) -> Answers:
    """What champion's experts plus an anchor would have said of every row from `first` on.

    A stacker over the experts' own words learns up to the row `first`; then it is forked with the
    anchor, whose words `anchor` [n, K] count from there on only: there they must come from a model
    that was not fitted on those rows.
    """
    n = len(data.rows)
    names = [f"expert {i}" for i in range(data.said.shape[1])]
    base = Stacker(task, names, shape.width)
    run = Run.fresh(data, shape)
    run.walk(base, data.said, 0, first)
    run.learn(base, data.said, first)
    wider = np.concatenate([data.said, anchor[:, None, :]], axis=1)
    run.walk(base.fork([*names, "anchor"]), wider, first, n)
    return Answers.of(run.mean)


def baseline_answers(
    data: Dataset, shape: Shape, task: Any, rules: Mapping[str, Formula], plan: Split
) -> dict[str, Answers]:
    """What every baseline would have said of the held rows; a rule that is silent is wrong.

    They learn from the `BASELINE_ROWS` rows before those: none of them profits from more. A class is
    said with the probability that the baseline was right on the training rows among these.
    """
    keys = [class_key(value) for value in shape.classes]
    baselines = Baselines(task, shape.features, keys, tuple(rules))
    calendar = Calendar(data.at, data.known_at)
    said: list[dict[str, Any]] = []
    first = max(0, int(plan.held[0]) - BASELINE_ROWS)
    for i in range(first, len(data.rows)):
        row = data.rows[i]
        for j in calendar.due(i):
            if j < first:
                continue
            label = float(data.y[j]) if shape.regression else keys[int(data.y[j])]
            baselines.learn(str(j), label)
        answers = {name: rule_answer(rule(row.features), keys) for name, rule in rules.items()}
        said.append(baselines.predict(str(i), row.features, answers))
    found: dict[str, Answers] = {}
    for name in said[0]:
        values = [one[name] for one in said]
        if shape.regression:
            numbers = np.array([np.nan if v is None else float(v) for v in values])
            held = numbers[plan.held - first]
            found[name] = Answers(held[:, None], np.full(len(plan.held), -1))
        else:
            places = np.array([keys.index(v) if v in keys else -1 for v in values])
            found[name] = _said_classes(places, first, data, shape, plan)
    return found


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
