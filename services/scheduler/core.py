"""Policies become retraining requests; outcomes are the clock, ticks the calendar."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from shared.evaluation.loss import loss
from shared.evaluation.retraining.port import Policy, Wish
from shared.evaluation.retraining.table import policy_of
from shared.messages.streams import ALERTS, JOBS, OUTCOMES
from shared.messages.types import Control, Job, Outcome
from shared.problem.spec import Problem
from shared.stage import Out, Record


class _State(msgspec.Struct):
    """`effect_at`: the outcome count at which the fit under way takes effect (0: none is). `fitted`:
    when the newest one did; what was predicted before says nothing of it.
    """

    outcomes: int = 0
    jobs: int = 0
    busy_until: int = 0
    changed_at: int = 0
    wishes: list[Wish] = []
    policies: list[bytes] = []
    mode: Literal["replay", "live"] = "replay"
    effect_at: int = 0
    fitted: datetime | None = None


class Scheduler:
    """Folds alerts, ticks, commands and outcomes into requested jobs."""

    def __init__(self, problem: Problem) -> None:
        self._spec = problem.retraining
        self._metric = problem.metric
        self._policies: list[Policy] = [policy_of(trigger) for trigger in self._spec.triggers]
        self._state = _State()

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """See the class."""
        for record in records:
            if record.stream is OUTCOMES:
                self._outcome(record.value)
                if self._state.wishes:
                    yield from self._request(record, record.value.time)
            elif record.stream is ALERTS:
                at = self._state.outcomes
                self._hear(policy.alert(at, record.value) for policy in self._policies)
            else:
                self._command(record.value)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One small entry."""
        self._state.policies = [policy.dump() for policy in self._policies]
        yield "state", msgspec.msgpack.encode(self._state)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        self._state = msgspec.msgpack.decode(entries["state"], type=_State)
        for policy, saved in zip(self._policies, self._state.policies, strict=False):
            policy.load(saved)

    def _outcome(self, outcome: Outcome) -> None:
        state = self._state
        state.outcomes += 1
        cost = self._loss(outcome)
        self._hear(policy.outcome(state.outcomes, cost) for policy in self._policies)
        if state.mode == "replay" and 0 < state.effect_at <= state.outcomes:
            self._fitted(outcome.labelled_at or outcome.time)

    def _loss(self, outcome: Outcome) -> float | None:
        """What an answer of the newest fit cost; None for others, and for corrections."""
        fitted = self._state.fitted
        if outcome.revision or (fitted is not None and outcome.time < fitted):
            return None
        return loss(self._metric, outcome.label, outcome.prediction, outcome.probabilities)

    def _fitted(self, time: datetime) -> None:
        self._state.effect_at, self._state.fitted = 0, time
        for policy in self._policies:
            policy.fitted(self._state.outcomes)

    def _hear(self, wishes: Iterator[Wish | None]) -> None:
        for wish in wishes:
            if wish is not None:
                if wish.trigger == "drift":
                    self._state.changed_at = self._state.outcomes
                self._state.wishes.append(wish)

    def _command(self, control: Control) -> None:
        state, at = self._state, self._state.outcomes
        if control.command == "retrain":
            why = control.reason or "no reason given"
            reason = f"asked for by {control.by or 'an operator'}: {why}"
            state.wishes.append(Wish(at, "manual", reason))
        elif control.command == "tick":
            self._hear(policy.tick(at, control.time) for policy in self._policies)
        elif control.command == "start":
            state.mode = "live" if control.details.get("mode") == "live" else "replay"
        elif control.command == "trained" and state.mode == "live" and state.effect_at:
            self._fitted(control.time)

    def _reach(self, outcomes: int) -> int:
        """How far back a dataset may look, in outcomes."""
        policy = self._spec.selection.policy
        if policy == "all":
            return outcomes
        rows = self._spec.budget.rows if policy == "window" else self._spec.window
        return min(self._spec.window, rows)

    def _request(self, record: Record, time: datetime) -> Iterator[Out]:
        """One job for all wishes that are due, once the last one is over and enough is known."""
        state, spec = self._state, self._spec
        due = [wish for wish in state.wishes if wish.due <= state.outcomes]
        if not due or state.outcomes < max(state.busy_until, spec.minimum):
            return
        state.wishes = [wish for wish in state.wishes if wish not in due]
        state.jobs += 1
        start = max(0, state.outcomes - self._reach(state.outcomes))
        if spec.since_drift and state.outcomes - state.changed_at >= spec.minimum:
            start = max(start, state.changed_at)
        effective = state.outcomes + spec.effect_after
        state.busy_until = max(effective, state.outcomes + spec.cooldown)
        state.effect_at = max(effective, 1)
        job = Job(
            job=f"job-{state.jobs:04d}",
            state="requested",
            reason="; ".join(wish.reason for wish in due),
            trigger="+".join(dict.fromkeys(wish.trigger for wish in due)),
            time=time,
            start=start,
            end=state.outcomes,
            effective=effective,
        )
        yield Out(JOBS, job, record, job.job)
