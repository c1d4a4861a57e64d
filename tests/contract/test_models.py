"""The contract of `check_model.py` over every expert of the table, the stackers and the pool."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from shared.models.bank import Bank
from shared.models.pool import Pool
from shared.models.port import F32, F64, Arrays, Arrival, Labels, Scored, State, Task
from shared.models.stacker import Stacker
from shared.models.table import EXPERTS
from shared.models.trees_anchor import TreesAnchor
from tests.contract.check_model import check_model
from tests.unit.models.streams import noisy_stream

N = 160
ENTRIES = [(task, name) for task in ("multiclass", "regression") for name in EXPERTS[task]]


class OneExpert:
    """A bank with one family of experts."""

    def __init__(self, task: Task, name: str) -> None:
        self.bank = Bank(task, 4, 3, experts=(name,))

    def predict(self, x: F64) -> "Told":
        return Told(*self.bank.predict_many(x))

    def learn(self, x: F64, y: Labels, said: "Told") -> None:
        self.bank.learn_many(x, y, said.arrival)

    def snapshot(self) -> State:
        return self.bank.snapshot()

    def restore(self, arrays: Arrays) -> None:
        self.bank.restore(arrays)


@dataclass(frozen=True)
class Told:
    """What a bank says, and how the events looked to it."""

    said: F32
    arrival: Arrival

    def parts(self) -> list[Any]:
        return [self.said, *self.arrival]


class OneStacker:
    """A stacker over three made-up experts that say functions of the features."""

    def __init__(self, task: Task) -> None:
        self.task: Task = task
        self.stacker = Stacker(task, ("a", "b", "c"), 3)

    def said(self, x: F64) -> F32:
        if self.task == "regression":
            return x[:, :3, None].astype(np.float32)
        p = np.exp(np.tanh(x[:, :3, None]) * np.arange(3.0))
        rounded = (p / p.sum(2, keepdims=True)).astype(np.float16)
        return np.asarray(rounded, np.float32)

    def predict(self, x: F64) -> F32:
        return self.stacker.predict_many(self.said(x)).members

    def learn(self, x: F64, y: Labels, said: F32) -> None:
        self.stacker.learn_many(self.said(x), said, y)

    def snapshot(self) -> State:
        return self.stacker.snapshot()

    def restore(self, arrays: Arrays) -> None:
        self.stacker.restore(arrays)


class Parts:
    """A `Scored` that can be laid out row by row."""

    def __init__(self, scored: Scored) -> None:
        self.scored = scored

    def parts(self) -> list[Any]:
        verdicts = self.scored.by_version.values()
        intervals = [v.interval for v in verdicts if v.interval is not None]
        return [
            self.scored.said,
            *self.scored.arrival,
            *(v.mean for v in verdicts),
            *(v.members for v in verdicts),
            *intervals,
        ]


class WholePool:
    """The default pool with a shadow that hears an anchor."""

    def __init__(self, task: Task) -> None:
        self.task: Task = task
        self.pool = Pool(task, 4, 3)
        self.pool.add_version("2", {"tree": fitted_tree(task)})

    def predict(self, x: F64) -> Parts:
        return Parts(self.pool.predict_many(x))

    def learn(self, x: F64, y: Labels, said: Parts) -> None:
        scored = said.scored
        members = {version: verdict.members for version, verdict in scored.by_version.items()}
        self.pool.learn_many(x, y, scored.said, members, scored.arrival, scored.layout)

    def snapshot(self) -> State:
        return self.pool.snapshot()

    def restore(self, arrays: Arrays) -> None:
        self.pool.restore(arrays)


def fitted_tree(task: Task) -> TreesAnchor:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    x, y = noisy_stream(task, 300, seed=9)
    x = np.nan_to_num(x)
    if task == "regression":
        return TreesAnchor.from_sklearn(
            DecisionTreeRegressor(max_depth=3, random_state=0).fit(x, y)
        )
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, y)
    return TreesAnchor.from_sklearn(tree, [0, 1, 2])


@pytest.mark.parametrize(("task", "name"), ENTRIES)
def test_every_expert_keeps_the_contract(task: Task, name: str) -> None:
    x, y = noisy_stream(task, N)
    check_model(lambda: OneExpert(task, name), x, y)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_the_stacker_keeps_the_contract(task: Task) -> None:
    x, y = noisy_stream(task, N)
    check_model(lambda: OneStacker(task), np.nan_to_num(x), y)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_the_pool_keeps_the_contract(task: Task) -> None:
    x, y = noisy_stream(task, 90)
    check_model(lambda: WholePool(task), x, y)


@pytest.mark.parametrize("name", sorted(EXPERTS["binary"]))
def test_random_labels_score_at_chance(name: str) -> None:
    x, _ = noisy_stream("binary", 1200)
    y = np.random.default_rng(5).integers(0, 2, len(x))
    bank = Bank("binary", 4, 2, experts=(name,))
    hits = np.zeros((len(x), len(bank.names)))
    for i in range(len(x)):
        said, arrival = bank.predict_many(x[i : i + 1])
        hits[i] = said[0].argmax(1) == y[i]
        bank.learn_many(x[i : i + 1], y[i : i + 1], arrival)
    assert np.all(np.abs(hits.mean(0) - 0.5) < 4 * 0.5 / np.sqrt(len(x)))
