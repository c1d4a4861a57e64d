"""Who stands where: the versions that are live, their contests, and the steps between."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from services.judge.contest import Contest, Role, SavedContest, summary
from shared.errors import Reject
from shared.evaluation.savings import Savings
from shared.messages.types import ModelEvent
from shared.problem.spec import Problem
from shared.registry.decisions import Sign, sealed
from shared.registry.live import Live

Next = Literal["proposed", "canary", "champion", "rejected", "retired"]
Ending = Literal["rejected", "retired"]
Evidence = Mapping[str, Any]
JUDGE = "judge"
GAIN = "gain"
"""The evidence of what a champion saved over the one before it."""
MOST_ALERTS = 100
"""Episodes that are remembered, so that an update of one does not count again."""


class _State(msgspec.Struct):
    outcomes: int
    live: bytes
    contests: list[str]
    alerts: list[str] = []


class Standing:
    """One contest for each version beside the champion. Every step is a record that `sign` seals."""

    def __init__(self, problem: Problem, sign: Sign) -> None:
        self.outcomes = 0
        self.live = Live()
        self.contests: dict[str, Contest] = {}
        self._problem = problem
        self._policy = problem.promotion
        self._sign = sign
        self._alerts: list[str] = []
        self._dirty: set[str] = set()

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One small entry, and one a contest that had new pairs."""
        state = _State(self.outcomes, self.live.dump(), list(self.contests), self._alerts)
        yield "state", msgspec.msgpack.encode(state)
        for name in sorted(self._dirty):
            contest = self.contests.get(name)
            data = None if contest is None else msgspec.msgpack.encode(contest.save())
            yield f"contest:{name}", data
        self._dirty.clear()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        state = msgspec.msgpack.decode(entries["state"], type=_State)
        self.outcomes, self.live = state.outcomes, Live.load(state.live)
        self._alerts = state.alerts
        for name in state.contests:
            saved = msgspec.msgpack.decode(entries[f"contest:{name}"], type=SavedContest)
            self.contests[name] = Contest.load(saved, self._problem)

    def begin(self, name: str, role: Role) -> None:
        """A fresh contest of `name` against the champion."""
        self.contests[name] = Contest(name, role, self._problem, self.live.champion or "")
        self._dirty.add(name)

    def touch(self, name: str) -> None:
        """Its contest had a pair."""
        self._dirty.add(name)

    def drop(self, name: str) -> None:
        """No contest any more, if there was one."""
        if self.contests.pop(name, None) is not None:
            self._dirty.add(name)

    def restart(self, alert: str) -> None:
        """The world has changed, says `alert`: all pairs count anew, once."""
        if alert not in self._alerts:
            self._alerts = [*self._alerts[1 - MOST_ALERTS :], alert]
            self._dirty |= {name for name, contest in self.contests.items() if contest.restart()}

    @property
    def previous(self) -> Contest | None:
        """The way back: the contest of the champion before, while it still scores."""
        return self.contests.get(self.live.previous or "")

    def advance(self, contest: Contest, why: str, by: str, at: datetime) -> Iterator[ModelEvent]:
        """One step on: a canary if one is declared and was not yet, else champion.

        Raises:
            Reject: `by` is a person, and another version is the canary. (The judge asks again.)
        """
        name, canary, live = contest.challenger, self._policy.canary, self.live
        if contest.role == "rollback" or canary is None or live.been(name, "canary"):
            if live.allows(name, "champion"):
                reason = f"promoted: {why}{summary(contest.state)}"
                yield from self.promote(contest, reason, by, at)
        elif live.allows(name, "canary"):
            share = f"answers {canary.share:.1%} of the events for {canary.pairs:,} pairs"
            reason = f"{share}: {why}{summary(contest.state)}"
            yield self._step(name, "canary", reason, by, at, self.evidence(contest))
            self.begin(name, "canary")
        elif by != JUDGE:
            raise Reject(
                f"cannot promote {name}: {live.canary} is the canary, and there is one at a time. "
                "Promote or reject it first", "one_canary", "target",
            )  # fmt: skip

    def propose(self, contest: Contest, at: datetime) -> Iterator[ModelEvent]:
        """Say once that a person's word is wanted."""
        name = contest.challenger
        if self.live.allows(name, "proposed"):
            reason = f"`headrace models promote {name}` is waited for: {summary(contest.state)}"
            yield self._step(name, "proposed", reason, JUDGE, at, self.evidence(contest))

    def promote(
        self, contest: Contest, reason: str, by: str, at: datetime, more: Evidence | None = None
    ) -> Iterator[ModelEvent]:
        """`contest.challenger` becomes champion; the replaced one is watched, or out if it failed."""
        name, before = contest.challenger, self.live.champion
        yield self._step(name, "champion", reason, by, at, self.evidence(contest, more))
        ways_back = [c for c in self.contests.values() if c.role == "rollback"]
        for other in ways_back:
            if other is not contest:
                gone = f"{name} replaced {before}: the way back is to {before} now"
                yield from self.end(other.challenger, "retired", gone, by, at)
        self.drop(name)
        for other in list(self.contests.values()):
            self.begin(other.challenger, other.role)  # pairs with another champion say nothing
        if before is None:
            return
        if contest.role == "rollback":
            gone = f"replaced by {name} again: {reason}"
            yield from self.end(before, "rejected", gone, by, at, more)
        elif self._policy.watch_after > 0:
            self.begin(before, "rollback")
        else:
            unknown = {"version": name, "over": before, "horizon": 0, **Savings().as_dict()}
            yield from self.end(before, "retired", f"replaced by {name}", by, at, {GAIN: unknown})

    def end(
        self,
        name: str,
        state: Ending,
        reason: str,
        by: str,
        at: datetime,
        more: Evidence | None = None,
    ) -> Iterator[ModelEvent]:
        """`name` leaves the pool. Its contest is the evidence, `more` takes its place."""
        contest = self.contests.get(name)
        evidence = (more or {}) if contest is None else self.evidence(contest, more)
        self.drop(name)
        if self.live.allows(name, state):
            yield self._step(name, state, reason, by, at, evidence)

    def evidence(self, contest: Contest, more: Evidence | None = None) -> dict[str, Any]:
        """What a decision on it rests on; `more` takes the place of the test. With it, what the
        champion that it watched has gained.
        """
        gain = contest.gain()
        return {
            **(more or self._tested(contest)),
            **({} if gain is None else {GAIN: gain}),
        }

    def _tested(self, contest: Contest) -> dict[str, Any]:
        return {
            "against": contest.against or self.live.champion,
            "role": contest.role,
            "metric": self._problem.metric,
            **contest.state.as_dict(),
            **({"guards": contest.guarded()} if self._policy.guards else {}),
        }

    def _step(
        self, name: str, state: Next, reason: str, by: str, at: datetime, evidence: Evidence
    ) -> ModelEvent:
        before = self.live.champion
        event = ModelEvent(
            model=name,
            state=state,
            time=at,
            outcomes=self.outcomes,
            parent=before,
            reason=reason,
            by=by,
            champion=name if state == "champion" else before,
            evidence=dict(evidence),
        )
        event = sealed(event, self._sign)
        self.live.apply(event)
        return event
