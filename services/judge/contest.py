"""One challenger against the champion: which pairs count, and under which rule."""

from collections.abc import Mapping
from math import log
from typing import Any, Literal

import msgspec
import numpy as np

from shared.evaluation import Gate, GateRule
from shared.evaluation.gate import GateState
from shared.messages.labels import class_key
from shared.messages.types import Outcome
from shared.problem.spec import Problem

Role = Literal["promotion", "rollback"]
LEAST_PROBABILITY = 0.01
"""Log losses (in nats) are clipped here: one certain error must not decide alone."""


class SavedContest(msgspec.Struct):
    """A contest as an entry of the state; arrays as bytes."""

    challenger: str
    role: Role
    gate: dict[str, bytes]


class Contest:
    """`role` promotion: a shadow that wants to be champion; rollback: the champion it replaced."""

    def __init__(self, challenger: str, role: Role, problem: Problem) -> None:
        self.challenger = challenger
        self.role = role
        self._metric = problem.metric
        self._gate = Gate(gate_rule(problem, role))

    @property
    def state(self) -> GateState:
        """How it stands."""
        return self._gate.state

    def take(self, outcome: Outcome) -> bool:
        """One outcome of the champion; True if it made a pair."""
        said = (outcome.shadow or {}).get(self.challenger)
        if not isinstance(said, Mapping):
            return False
        champion = loss(self._metric, outcome.label, outcome.prediction, outcome.probabilities)
        challenger = loss(
            self._metric, outcome.label, said.get("prediction"), said.get("probabilities")
        )
        if champion is None or challenger is None:
            return False
        self._gate.update(champion, challenger)
        return True

    def save(self) -> SavedContest:
        """The state."""
        gate = {name: array.tobytes() for name, array in self._gate.snapshot().items()}
        return SavedContest(self.challenger, self.role, gate)

    @classmethod
    def load(cls, saved: SavedContest, problem: Problem) -> "Contest":
        """The contest that `save` wrote."""
        contest = cls(saved.challenger, saved.role, problem)
        fresh = contest._gate.snapshot()
        contest._gate.restore({n: np.frombuffer(saved.gate[n], a.dtype) for n, a in fresh.items()})
        return contest


def gate_rule(problem: Problem, role: Role) -> GateRule:
    """The problem's promotion policy as thresholds; a rollback has `watch_after` pairs at most."""
    promotion = problem.promotion
    most = promotion.max_pairs if role == "promotion" else max(promotion.watch_after, 1)
    return GateRule(
        alpha=promotion.alpha,
        delta=promotion.min_effect,
        least_pairs=min(promotion.min_pairs, most),
        most_pairs=most,
        scaled=problem.metric != "accuracy",
    )


def loss(metric: str, label: Any, said: Any, probabilities: Any) -> float | None:
    """The loss of one answer in the declared metric; None where there is no answer to score."""
    if said is None or label is None:
        return None
    if metric == "accuracy":
        return float(class_key(said) != class_key(label))
    if metric == "log_loss":
        if not isinstance(probabilities, Mapping):
            return None
        p = float(probabilities.get(class_key(label), 0.0))
        return -log(max(p, LEAST_PROBABILITY))
    if not isinstance(said, int | float) or not isinstance(label, int | float):
        return None
    error = float(label) - float(said)
    return abs(error) if metric == "mae" else error * error
