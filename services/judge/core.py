"""Outcomes in, decisions on models out."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from services.judge.contest import Contest, Role, SavedContest
from shared.errors import Reject
from shared.evaluation.gate import GateState
from shared.messages.streams import ALERTS, MODELS, OUTCOMES, REJECTED
from shared.messages.types import Alert, Control, ModelEvent, Outcome
from shared.problem.spec import Problem
from shared.registry.live import Live
from shared.rejecting import rejected
from shared.stage import Out, Record

Ending = Literal["champion", "rejected", "retired"]
OTHERS = frozenset({"learner", "trainer"})
"""Who else writes on `models`; every other record there is this stage's own, known already."""

DRIFTS = frozenset({"source_break", "concept_drift", "input_drift"})
"""Causes of a page after which earlier pairs are another world's."""
MOST_ALERTS = 100
"""Episodes that are remembered, so that an update of one does not count again."""


class _State(msgspec.Struct):
    outcomes: int
    live: bytes
    contests: list[str]
    alerts: list[str] = []


class Judge:
    """Folds outcomes into one contest a shadow; see the package for the invariants.

    Under the policies `propose` and `approve` a won contest waits for an operator's `promote`.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._policy = problem.promotion
        self._live = Live()
        self._contests: dict[str, Contest] = {}
        self._outcomes = 0
        self._alerts: list[str] = []
        self._dirty: set[str] = set()

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """See the class."""
        for record in records:
            if record.stream is OUTCOMES:
                events = self._outcome(record.value)
            elif record.stream is MODELS:
                events = self._model(record.value)
            elif record.stream is ALERTS:
                self._alert(record.value)
                continue
            else:
                try:
                    events = iter(list(self._command(record.value)))
                except Reject as why:
                    yield Out(REJECTED, rejected(record, self._problem.name, why), record)
                    continue
            for event in events:
                yield Out(MODELS, event, record, event.model)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One small entry, and one a contest that had new pairs."""
        state = _State(self._outcomes, self._live.dump(), list(self._contests), self._alerts)
        yield "state", msgspec.msgpack.encode(state)
        for name in sorted(self._dirty):
            contest = self._contests.get(name)
            data = None if contest is None else msgspec.msgpack.encode(contest.save())
            yield f"contest:{name}", data
        self._dirty.clear()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        state = msgspec.msgpack.decode(entries["state"], type=_State)
        self._outcomes, self._live = state.outcomes, Live.load(state.live)
        self._alerts = state.alerts
        for name in state.contests:
            saved = msgspec.msgpack.decode(entries[f"contest:{name}"], type=SavedContest)
            self._contests[name] = Contest.load(saved, self._problem)

    def _outcome(self, outcome: Outcome) -> Iterator[ModelEvent]:
        """Only first labels, and only answers of the present champion, make pairs."""
        self._outcomes += 1
        if outcome.revision or outcome.label is None or outcome.model != self._live.champion:
            return
        for name, contest in list(self._contests.items()):
            if self._contests.get(name) is not contest or not contest.take(outcome):
                continue
            self._dirty.add(name)
            if contest.over:
                at = outcome.labelled_at or outcome.time
                yield from self._decide(contest, at)

    def _decide(self, contest: Contest, at: datetime) -> Iterator[ModelEvent]:
        """What a finished contest means under the policy."""
        name, state = contest.challenger, contest.state
        if contest.broken:
            yield from self._guarded(contest, at)
        elif state.decision == "promote":
            if self._policy.policy != "auto" or not self._live.allows(name, "champion"):
                return
            verb = "promoted" if contest.role == "promotion" else "rolled back"
            yield from self._promote(contest, f"{verb}: {_summary(state)}", "judge", at)
        elif contest.role == "promotion":
            reason = f"not promoted ({state.reason}): {_summary(state)}"
            yield from self._end(name, "rejected", reason, "judge", at)
        else:
            reason = f"{self._live.champion} stays, the way back is closed: {_summary(state)}"
            yield from self._end(name, "retired", reason, "judge", at)

    def _guarded(self, contest: Contest, at: datetime) -> Iterator[ModelEvent]:
        """The newer version is worse in a guard metric: it does not pass, or goes back."""
        why = f"worse in the guard metric {', '.join(contest.broken)}"
        if contest.role == "promotion":
            reason = f"not promoted ({why}): {_summary(contest.state)}"
            yield from self._end(contest.challenger, "rejected", reason, "judge", at)
        elif self._policy.policy == "auto" and self._live.allows(contest.challenger, "champion"):
            reason = f"rolled back ({self._live.champion} is {why}): {_summary(contest.state)}"
            yield from self._promote(contest, reason, "judge", at)

    def _alert(self, alert: Alert) -> None:
        """A confirmed drift, once an episode: every contest counts its pairs anew."""
        confirmed = alert.severity == "page" and alert.state == "open" and alert.cause in DRIFTS
        if not (confirmed and self._policy.restart_on_drift) or alert.alert in self._alerts:
            return
        self._alerts = [*self._alerts[1 - MOST_ALERTS :], alert.alert]
        self._dirty |= {name for name, contest in self._contests.items() if contest.restart()}

    def _promote(
        self, contest: Contest, reason: str, by: str, at: datetime
    ) -> Iterator[ModelEvent]:
        """`contest.challenger` becomes champion; the replaced one is watched, or out if it failed."""
        name, before = contest.challenger, self._live.champion
        yield self._step(name, "champion", reason, by, at, self._evidence(contest))
        for other in [
            c for c in self._contests.values() if c.role == "rollback" and c is not contest
        ]:
            gone = f"{name} replaced {before}: the way back is to {before} now"
            yield from self._end(other.challenger, "retired", gone, by, at)
        self._drop(name)
        for other in list(self._contests.values()):
            self._begin(other.challenger, other.role)  # pairs with another champion say nothing
        if before is None:
            return
        if contest.role == "rollback":
            yield from self._end(before, "rejected", f"replaced by {name} again: {reason}", by, at)
        elif self._policy.watch_after > 0:
            self._begin(before, "rollback")
        else:
            yield from self._end(before, "retired", f"replaced by {name}", by, at)

    def _model(self, event: Any) -> Iterator[ModelEvent]:
        """What others say: a new shadow, the first champion, a refused artefact."""
        if not isinstance(event, ModelEvent) or event.by not in OTHERS:
            return
        if event.state != "snapshot" and not self._live.allows(event.model, event.state):
            return
        self._live.apply(event)
        if event.state == "shadow":
            yield from self._make_room(event)
            self._begin(event.model, "promotion")
        elif event.state in ("rejected", "retired"):
            self._drop(event.model)

    def _make_room(self, event: ModelEvent) -> Iterator[ModelEvent]:
        """With as many shadows as allowed, the one with the least evidence goes."""
        rivals = [c for c in self._contests.values() if c.role == "promotion"]
        if len(rivals) < self._policy.max_shadows:
            return
        weakest = min(rivals, key=lambda c: c.state.e_value)
        reason = (
            f"made room for {event.model} (at most {self._policy.max_shadows} shadows): "
            f"{_summary(weakest.state)}"
        )
        yield from self._end(weakest.challenger, "rejected", reason, "judge", event.time)

    def _command(self, control: Control) -> Iterator[ModelEvent]:
        """`promote` and `rollback` by an operator.

        Raises:
            Reject: there is nothing to promote or to roll back to.
        """
        by = control.by or "an operator"
        if control.command == "promote":
            contest = self._contests.get(control.target or "")
            if contest is None:
                known = ", ".join(self._contests) or "none"
                raise Reject(
                    f"cannot promote {control.target}: it does not score beside the champion "
                    f"(shadows: {known})", "no_such_shadow", "target",
                )  # fmt: skip
            reason = f"promoted by {by}: {control.reason or 'no reason given'}"
            yield from self._promote(contest, reason, by, control.time)
        elif control.command == "rollback":
            previous = self._contests.get(self._live.previous or "")
            if previous is None:
                raise Reject(
                    "cannot roll back: no earlier champion scores any more. Promote a shadow, or "
                    "retrain", "no_way_back", "target",
                )  # fmt: skip
            reason = f"rolled back by {by}: {control.reason or 'no reason given'}"
            yield from self._promote(previous, reason, by, control.time)

    def _begin(self, name: str, role: Role) -> None:
        self._contests[name] = Contest(name, role, self._problem)
        self._dirty.add(name)

    def _drop(self, name: str) -> None:
        if self._contests.pop(name, None) is not None:
            self._dirty.add(name)

    def _end(
        self, name: str, state: Ending, reason: str, by: str, at: datetime
    ) -> Iterator[ModelEvent]:
        """`name` leaves the pool."""
        contest = self._contests.get(name)
        evidence = {} if contest is None else self._evidence(contest)
        self._drop(name)
        if self._live.allows(name, state):
            yield self._step(name, state, reason, by, at, evidence)

    def _step(
        self,
        name: str,
        state: Ending,
        reason: str,
        by: str,
        at: datetime,
        evidence: dict[str, Any],
    ) -> ModelEvent:
        before = self._live.champion
        event = ModelEvent(
            model=name,
            state=state,
            time=at,
            outcomes=self._outcomes,
            parent=before,
            reason=reason,
            by=by,
            champion=name if state == "champion" else before,
            evidence=evidence,
        )
        self._live.apply(event)
        return event

    def _evidence(self, contest: Contest) -> dict[str, Any]:
        return {
            "against": self._live.champion,
            "role": contest.role,
            "metric": self._problem.metric,
            **contest.state.as_dict(),
            **({"guards": contest.guarded()} if self._policy.guards else {}),
        }


def _summary(s: GateState) -> str:
    """The evidence in one line."""
    if s.pairs == 0:
        return "no pairs yet"
    return (
        f"mean gain {s.mean_gain:+.4g} ({s.low:.4g} to {s.high:.4g}) on {s.pairs:,} common events, "
        f"e-value {s.e_value:.3g} of {1 / s.rule.alpha:.3g} needed"
    )
