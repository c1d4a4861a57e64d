"""Triggers become retraining requests; outcomes are the clock, ticks the calendar."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from shared.messages.streams import ALERTS, JOBS, OUTCOMES
from shared.messages.types import Alert, Control, Job
from shared.problem.cron import next_after
from shared.problem.spec import OnDrift, OnSchedule, OnVolume, Problem
from shared.stage import Out, Record


class _Wish(msgspec.Struct):
    """A retraining that was asked for and waits for its outcome count, or for the cooldown."""

    due: int
    trigger: str
    reason: str


class _State(msgspec.Struct):
    outcomes: int = 0
    jobs: int = 0
    busy_until: int = 0
    changed_at: int = 0
    last_volume: int = 0
    wishes: list[_Wish] = []
    alerts: list[str] = []
    fired: dict[str, datetime] = {}


class Scheduler:
    """Folds alerts, ticks, commands and outcomes into requested jobs."""

    def __init__(self, problem: Problem) -> None:
        self._spec = problem.retraining
        self._state = _State()

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """See the class."""
        for record in records:
            if record.stream is OUTCOMES:
                self._state.outcomes += 1
                self._volume()
                if self._state.wishes:
                    yield from self._request(record, record.value.time)
            elif record.stream is ALERTS:
                self._alert(record.value)
            else:
                self._command(record.value)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One small entry."""
        yield "state", msgspec.msgpack.encode(self._state)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        self._state = msgspec.msgpack.decode(entries["state"], type=_State)

    def _volume(self) -> None:
        state = self._state
        for trigger in self._spec.triggers:
            if not isinstance(trigger, OnVolume):
                continue
            if state.outcomes - state.last_volume >= trigger.outcomes:
                state.last_volume = state.outcomes
                reason = f"{trigger.outcomes:,} new outcomes since the last look"
                self._wish(_Wish(state.outcomes, "volume", reason))

    def _alert(self, alert: Alert) -> None:
        """A new episode counts once; updates of it do not."""
        state = self._state
        for trigger in self._spec.triggers:
            if not isinstance(trigger, OnDrift) or alert.state != "open":
                continue
            if alert.cause not in trigger.causes or alert.severity not in trigger.severities:
                continue
            if alert.alert in state.alerts:
                continue
            state.alerts = [*state.alerts[-99:], alert.alert]
            state.changed_at = state.outcomes
            what = alert.text or f"{alert.cause} in {alert.series}"
            reason = f"alert {alert.alert}: {what}"
            due = state.outcomes + trigger.settle
            self._wish(_Wish(due, "drift", reason))

    def _command(self, control: Control) -> None:
        state = self._state
        if control.command == "retrain":
            why = control.reason or "no reason given"
            reason = f"asked for by {control.by or 'an operator'}: {why}"
            self._wish(_Wish(state.outcomes, "manual", reason))
        elif control.command == "tick":
            for number, trigger in enumerate(self._spec.triggers):
                if isinstance(trigger, OnSchedule):
                    self._calendar(f"{number}", trigger, control.time)

    def _calendar(self, name: str, trigger: OnSchedule, now: datetime) -> None:
        """Due when a firing of the crontab lies between the last tick looked at and this one."""
        last = self._state.fired.get(name)
        self._state.fired[name] = now
        if last is None:
            return
        due = next_after(trigger.cron, last, trigger.zone)
        if due is not None and due <= now:
            reason = f"schedule `{trigger.cron}` fired for {due:%Y-%m-%d %H:%M}"
            self._wish(_Wish(self._state.outcomes, "schedule", reason))

    def _wish(self, wish: _Wish) -> None:
        self._state.wishes.append(wish)

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
