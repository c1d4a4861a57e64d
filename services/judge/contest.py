"""One challenger against the champion: which pairs count, and under which rule."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import msgspec
import numpy as np

from shared.evaluation import Gate, GateRule
from shared.evaluation.gate import GateState
from shared.evaluation.loss import loss
from shared.evaluation.savings import Savings
from shared.messages.types import Outcome
from shared.problem.spec import Guard, Problem

Role = Literal["promotion", "canary", "rollback"]
NEVER = 1e-300
"""A guard does not give up: no evidence reaches 1 / this."""
CANARY_PAIRS = 128
"""Least pairs before a canary is stopped: so many tell how the losses hang together."""


class SavedContest(msgspec.Struct):
    """A contest as an entry of the state; arrays as bytes."""

    challenger: str
    role: Role
    gate: dict[str, bytes]
    guards: dict[str, dict[str, bytes]] = {}
    against: str = ""
    savings: bytes = b""


class Contest:
    """`role` promotion: a shadow that wants to be champion; rollback: the champion it replaced. The
    test asks whether the challenger is better. Canary: asks whether the champion is, over a declared
    number of pairs; who is not found worse in these has passed.

    Beside the test itself one a guard metric: is the newer of the two proved worse there? And in a
    rollback's the sum of what the champion saves over the one before it: what its retraining gained.
    """

    def __init__(self, challenger: str, role: Role, problem: Problem, against: str = "") -> None:
        self.challenger = challenger
        self.role = role
        self.against = against
        self._savings = Savings() if role == "rollback" else None
        self._horizon = problem.promotion.watch_after
        self._metric = problem.metric
        self._gate = Gate(gate_rule(problem, role))
        self._guards: dict[str, Gate] = {
            guard.metric: Gate(guard_rule(problem, role, guard))
            for guard in problem.promotion.guards
        }

    @property
    def state(self) -> GateState:
        """How it stands."""
        return self._gate.state

    @property
    def broken(self) -> tuple[str, ...]:
        """Guard metrics in which the newer version is proved worse."""
        return tuple(m for m, g in self._guards.items() if g.state.decision == "promote")

    @property
    def over(self) -> bool:
        """Whether there is something to decide."""
        return self.state.decision != "continue" or bool(self.broken)

    def guarded(self) -> dict[str, dict[str, float]]:
        """How each guard stands; a loss is the newer version's over the other's."""
        return {
            metric: {
                "mean_loss": gate.state.mean_gain,
                "e_value": gate.state.e_value,
                "needed": 1 / gate.rule.alpha,
            }
            for metric, gate in self._guards.items()
        }

    def gain(self) -> dict[str, Any] | None:
        """What `version`, the champion, saved so far `over` the one before it, of `horizon` events at
        most; None unless one is watched.
        """
        if self._savings is None:
            return None
        return {
            "version": self.against,
            "over": self.challenger,
            "metric": self._metric,
            "horizon": self._horizon,
            **self._savings.as_dict(),
        }

    def restart(self) -> bool:
        """The world has changed: pairs count anew. True if there were any."""
        before = self.state.restarts
        for gate in (self._gate, *self._guards.values()):
            gate.restart()
        return self.state.restarts > before

    def take(self, outcome: Outcome, champion: str) -> bool:
        """One outcome; True if it made a pair: both have answered, whoever's answer was published."""
        for metric, guard in self._guards.items():
            losses = _losses(metric, outcome, champion, self.challenger)
            if losses is not None:
                older, newer = losses[::-1] if self.role == "rollback" else losses
                guard.update(newer, older)
        losses = _losses(self._metric, outcome, champion, self.challenger)
        if losses is None:
            return False
        if self._savings is not None:
            self._savings.add(before=losses[1], now=losses[0])
        self._gate.update(*(losses[::-1] if self.role == "canary" else losses))
        return True

    def save(self) -> SavedContest:
        """The state."""
        guards = {metric: _packed(guard) for metric, guard in self._guards.items()}
        savings = b"" if self._savings is None else self._savings.dump()
        return SavedContest(
            self.challenger, self.role, _packed(self._gate), guards, self.against, savings
        )

    @classmethod
    def load(cls, saved: SavedContest, problem: Problem) -> "Contest":
        """The contest that `save` wrote."""
        contest = cls(saved.challenger, saved.role, problem, saved.against)
        _unpack(contest._gate, saved.gate)
        if saved.savings:
            contest._savings = Savings.load(saved.savings)
        for metric, guard in contest._guards.items():
            if metric in saved.guards:
                _unpack(guard, saved.guards[metric])
        return contest


def _packed(gate: Gate) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in gate.snapshot().items()}


def _unpack(gate: Gate, saved: Mapping[str, bytes]) -> None:
    fresh = gate.snapshot()
    gate.restore({n: np.frombuffer(saved[n], a.dtype) for n, a in fresh.items()})


def gate_rule(problem: Problem, role: Role) -> GateRule:
    """The problem's promotion policy as thresholds; a rollback has `watch_after` pairs at most, a
    canary exactly its own number, unless it is stopped: it cannot be passed early.
    """
    promotion, beta = problem.promotion, 0.05
    least, most = promotion.min_pairs, promotion.max_pairs
    if role == "rollback":
        least, most = promotion.rollback_pairs, max(promotion.watch_after, 1)
    elif role == "canary" and promotion.canary is not None:
        least, most, beta = CANARY_PAIRS, promotion.canary.pairs, NEVER
    return GateRule(
        alpha=promotion.alpha,
        beta=beta,
        delta=promotion.min_effect,
        least_pairs=min(least, most),
        most_pairs=most,
        scaled=problem.metric != "accuracy",
    )


def guard_rule(problem: Problem, role: Role, guard: Guard) -> GateRule:
    """As the contest's own, with the roles changed: it proves the newer version worse, or nothing."""
    return replace(
        gate_rule(problem, role),
        beta=NEVER,
        margin=guard.tolerance,
        scaled=guard.metric != "accuracy",
    )


def _losses(
    metric: str, outcome: Outcome, champion: str, challenger: str
) -> tuple[float, float] | None:
    """Those of champion and challenger, if both answered."""
    held, challenging = (_loss(metric, outcome, version) for version in (champion, challenger))
    return None if held is None or challenging is None else (held, challenging)


def _loss(metric: str, outcome: Outcome, version: str) -> float | None:
    if outcome.model == version:
        return loss(metric, outcome.label, outcome.prediction, outcome.probabilities)
    said = (outcome.shadow or {}).get(version)
    if not isinstance(said, Mapping):
        return None
    return loss(metric, outcome.label, said.get("prediction"), said.get("probabilities"))


def summary(s: GateState) -> str:
    """The evidence in one line."""
    if s.pairs == 0:
        return "no pairs yet"
    return (
        f"mean gain {s.mean_gain:+.4g} ({s.low:.4g} to {s.high:.4g}) on {s.pairs:,} common events, "
        f"e-value {s.e_value:.3g} of {1 / s.rule.alpha:.3g} needed"
    )
