"""Outcomes in, decisions on models and accounts of jobs out."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from services.judge.accounts import Accounts
from services.judge.contest import Contest, summary
from services.judge.standing import JUDGE, Standing
from shared.errors import Reject
from shared.messages.streams import ALERTS, CONTROL, JOBS, MODELS, OUTCOMES, REJECTED
from shared.messages.types import Alert, Control, Job, ModelEvent, Outcome
from shared.problem.spec import Problem
from shared.registry.decisions import VERDICTS, refusal
from shared.rejecting import rejected
from shared.stage import Out, Record, Tools

OTHERS = frozenset({"learner", "trainer"})
"""Who else writes on `models`; every other record there is this stage's own, known already."""
DRIFTS = frozenset({"source_break", "concept_drift", "input_drift"})
"""Causes of a page after which earlier pairs are another world's."""
FAULTS = frozenset({"no_answer", "estimated_worse"})
"""Kinds of alerts on a version (`evidence.model`) that end it."""
ESTIMATED = "estimated_regression"
"""One that does where `promotion.estimated.rollback` is declared."""


class Judge:
    """Folds outcomes into one contest a shadow; see the package for the invariants.

    `promotion.policy` says where a person is asked.
    """

    def __init__(self, problem: Problem, tools: Tools) -> None:
        self._problem = problem
        self._policy = problem.promotion
        self._trusted = tools.trusted
        self._standing = Standing(problem, tools.signed)
        self._accounts = Accounts(problem, tools.signed)

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """See the class."""
        for record in records:
            try:
                decided = list(self._decided(record))
            except Reject as why:
                if record.stream not in (CONTROL, MODELS, JOBS):
                    raise
                yield Out(REJECTED, rejected(record, self._problem.name, why), record)
                continue
            for made in decided:
                if isinstance(made, Job):
                    yield Out(JOBS, made, record, made.job)
                else:
                    yield Out(MODELS, made, record, made.model)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One small entry, one for the accounts if they moved, and one a contest that had new pairs."""
        yield from self._standing.changes()
        yield from self._accounts.changes()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        self._standing.restore(entries)
        self._accounts.restore(entries)

    def _decided(self, record: Record) -> Iterator[ModelEvent | Job]:
        """Each step, and behind it the account that it closes."""
        if record.stream is JOBS:
            if record.value.state in VERDICTS:
                self._believe(record.value)
            yield from self._accounts.verdict(record.value)
            return
        for event in self._events(record):
            yield event
            if isinstance(event, ModelEvent):
                yield from self._accounts.step(event)

    def _events(self, record: Record) -> Iterator[ModelEvent | Job]:
        if record.stream is OUTCOMES:
            return self._outcome(record.value)
        if record.stream is MODELS:
            return self._model(record)
        if record.stream is ALERTS:
            return self._alerted(record.value)
        return self._command(record.value)

    def _outcome(self, outcome: Outcome) -> Iterator[ModelEvent]:
        """Only first labels, and only answers given under the present champion, make pairs."""
        standing = self._standing
        standing.outcomes += 1
        champion = outcome.champion or outcome.model
        if outcome.revision or outcome.label is None or champion != standing.live.champion:
            return
        for name, contest in list(standing.contests.items()):
            if standing.contests.get(name) is not contest or not contest.take(outcome, champion):
                continue
            standing.touch(name)
            if contest.over:
                at = outcome.labelled_at or outcome.time
                yield from self._decide(contest, at)

    def _decide(self, contest: Contest, at: datetime) -> Iterator[ModelEvent]:
        """What a finished contest means. One that waits (for a person, for the canary before it) comes
        here again with each pair.
        """
        standing, name, state = self._standing, contest.challenger, contest.state
        better = state.decision == "promote"
        if contest.broken:
            yield from self._guarded(contest, at)
        elif contest.role == "canary":
            yield from self._tried(contest, better, at)
        elif contest.role == "rollback" and better:
            yield from standing.promote(contest, f"rolled back: {summary(state)}", JUDGE, at)
        elif contest.role == "rollback":
            reason = f"{standing.live.champion} stays, the way back is closed: {summary(state)}"
            yield from standing.end(name, "retired", reason, JUDGE, at)
        elif not better:
            reason = f"not promoted ({state.reason}): {summary(state)}"
            yield from standing.end(name, "rejected", reason, JUDGE, at)
        elif self._asks_first:
            yield from standing.propose(contest, at)
        else:
            yield from standing.advance(contest, "", JUDGE, at)

    def _guarded(self, contest: Contest, at: datetime) -> Iterator[ModelEvent]:
        """The newer version is worse in a guard metric: it does not pass, or goes back."""
        standing, why = self._standing, f"worse in the guard metric {', '.join(contest.broken)}"
        if contest.role == "rollback":
            reason = f"rolled back ({standing.live.champion} is {why}): {summary(contest.state)}"
            yield from standing.promote(contest, reason, JUDGE, at)
        else:
            reason = f"not promoted ({why}): {summary(contest.state)}"
            yield from standing.end(contest.challenger, "rejected", reason, JUDGE, at)

    @property
    def _asks_first(self) -> bool:
        """Whether a shadow that won waits for a person: `approve` asks after the canary, if any."""
        policy = self._policy
        return policy.policy == "propose" or (policy.policy == "approve" and not policy.canary)

    def _tried(self, contest: Contest, worse: bool, at: datetime) -> Iterator[ModelEvent]:
        """The end of a canary."""
        standing, name = self._standing, contest.challenger
        if worse:
            better = f"{standing.live.champion} is better"
            reason = f"stopped as a canary, {better}: {summary(contest.state)}"
            yield from standing.end(name, "rejected", reason, JUDGE, at)
        elif self._policy.policy == "approve":
            yield from standing.propose(contest, at)
        else:
            yield from standing.advance(contest, "found no worse as a canary, ", JUDGE, at)

    def _model(self, record: Record) -> Iterator[ModelEvent | Job]:
        """What others say: a new shadow, the first champion, a refused artefact.

        Raises:
            Reject: no trusted key signed it, whoever it says it is by.
        """
        live, event = self._standing.live, record.value
        if not isinstance(event, ModelEvent):
            return
        self._believe(event)
        if event.by not in OTHERS:
            return
        if event.state != "snapshot" and not live.allows(event.model, event.state):
            return
        live.apply(event)
        watched = self._standing.contests.get(event.model)
        yield from self._accounts.step(event, None if watched is None else watched.gain())
        if event.state == "shadow":
            yield from self._make_room(event)
            self._standing.begin(event.model, "promotion")
        elif event.state in ("rejected", "retired"):
            self._standing.drop(event.model)

    def _believe(self, record: ModelEvent | Job) -> None:
        why = refusal(record, self._trusted, "judge")
        if why is not None:
            raise why

    def _make_room(self, event: ModelEvent) -> Iterator[ModelEvent]:
        """With as many shadows as allowed, the one with the least evidence goes."""
        rivals = [c for c in self._standing.contests.values() if c.role == "promotion"]
        if len(rivals) < self._policy.max_shadows:
            return
        weakest = min(rivals, key=lambda c: c.state.e_value)
        reason = (
            f"made room for {event.model} (at most {self._policy.max_shadows} shadows): "
            f"{summary(weakest.state)}"
        )
        yield from self._standing.end(weakest.challenger, "rejected", reason, JUDGE, event.time)

    def _alerted(self, alert: Alert) -> Iterator[ModelEvent]:
        """A confirmed drift, once an episode: every contest counts its pairs anew. A version that was
        found faulty goes at once: no test of means is needed.
        """
        standing, name = self._standing, alert.evidence.get("model")
        if alert.state != "open":
            return
        if alert.severity == "page" and alert.cause in DRIFTS and self._policy.restart_on_drift:
            standing.restart(alert.alert)
        if not self._ends(alert) or not isinstance(name, str):
            return
        evidence = {"alert": alert.alert, "kind": alert.kind, **alert.evidence}
        if name != standing.live.champion:
            yield from standing.end(name, "rejected", alert.text, JUDGE, alert.time, evidence)
        elif standing.previous is not None:
            reason = f"rolled back: {alert.text}"
            yield from standing.promote(standing.previous, reason, JUDGE, alert.time, evidence)

    def _ends(self, alert: Alert) -> bool:
        """Whether it ends the version that it names."""
        by_estimate = alert.kind == ESTIMATED and self._policy.estimated.rollback
        return alert.kind in FAULTS or by_estimate

    def _command(self, control: Control) -> Iterator[ModelEvent]:
        """What an operator decides.

        Raises:
            Reject: it cannot be done; the reason says what can.
        """
        by, at = control.by or "an operator", control.time
        why = control.reason or "no reason given"
        if control.command == "promote":
            contest = self._beside(control)
            yield from self._standing.advance(contest, f"by {by} ({why}), ", by, at)
        elif control.command == "reject":
            name = self._beside(control).challenger
            yield from self._standing.end(name, "rejected", f"rejected by {by}: {why}", by, at)
        elif control.command == "rollback":
            yield from self._undo(f"by {by}: {why}", by, at)

    def _beside(self, control: Control) -> Contest:
        contest = self._standing.contests.get(control.target or "")
        if contest is None:
            known = ", ".join(self._standing.contests) or "none"
            raise Reject(
                f"cannot {control.command} {control.target}: it does not score beside the champion "
                f"(shadows: {known})", "no_such_shadow", "target",
            )  # fmt: skip
        return contest

    def _undo(self, why: str, by: str, at: datetime) -> Iterator[ModelEvent]:
        """Take back the last step: a canary ends, else the champion before is champion again."""
        standing = self._standing
        if standing.live.canary is not None:
            yield from standing.end(standing.live.canary, "rejected", f"taken back {why}", by, at)
        elif standing.previous is not None:
            yield from standing.promote(standing.previous, f"rolled back {why}", by, at)
        else:
            raise Reject(
                "cannot roll back: no earlier champion scores any more. Promote a shadow, or "
                "retrain", "no_way_back", "target",
            )  # fmt: skip
