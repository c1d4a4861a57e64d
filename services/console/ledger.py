"""What happened, as the page tells it: alerts, jobs, swaps, the rejected. Bounded, newest kept."""

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from shared.messages.types import Alert, Job, Rejected
from shared.registry.gains import Score, with_account
from shared.table import Table

MOST_ALERTS = 500
MOST_JOBS = 200
MOST_SWAPS = 200
MOST_POLICIES = 50
MOST_STEPS = 20
MOST_GROUPS = 200
LAST_REJECTED = 50
RAW_CHARACTERS = 800
"""Base64 characters kept of a rejected value, for the page; all of it is on the stream."""


class Step(msgspec.Struct, array_like=True, frozen=True):
    """A change of state: when (event time), and as of which prediction."""

    state: str
    time: datetime
    place: int
    text: str = ""


class AlertRow(msgspec.Struct):
    """One episode: its newest record and how it went."""

    alert: Alert
    steps: list[Step]


class JobRow(msgspec.Struct):
    """One job: its newest record (with the newest evidence) and how it went. `settled`: its account,
    as of prediction `settled_at`.
    """

    job: Job
    steps: list[Step]
    settled: Job | None = None
    settled_at: int = 0


class Swap(msgspec.Struct, frozen=True):
    """One champion took another's place, after `outcomes` outcomes."""

    outcomes: int
    place: int
    time: datetime
    before: str
    after: str
    reason: str
    by: str
    evidence: dict[str, object] = {}


class Group(msgspec.Struct):
    """Rejected records of one reason: how many, the newest reason in words, first and last place."""

    count: int
    reason: str
    first: int
    last: int


class Bad(msgspec.Struct, frozen=True):
    """One rejected record, its raw bytes cut."""

    reason: str
    check: str
    field: str | None
    raw: str
    topic: str
    partition: int
    offset: int
    place: int


class Ledger:
    """Folds alerts, jobs, swaps and rejected records; all times are event times."""

    def __init__(self) -> None:
        self.alerts: Table[AlertRow] = Table("alert", MOST_ALERTS, AlertRow)
        self.jobs: Table[JobRow] = Table("job", MOST_JOBS, JobRow)
        self.swaps: Table[Swap] = Table("swap", MOST_SWAPS, Swap)
        self.scores: Table[Score] = Table("score", MOST_POLICIES, Score)
        self.groups: Table[Group] = Table("rejected", MOST_GROUPS, Group)
        self.last: deque[Bad] = deque(maxlen=LAST_REJECTED)
        self._new_bad = False

    def alert(self, alert: Alert, place: int) -> None:
        """A new episode, or an update of one."""
        row = self.alerts.get(alert.alert)
        steps = [] if row is None else row.steps
        if not steps or steps[-1].state != alert.state:
            steps = [*steps, Step(alert.state, alert.time, place, alert.text)][-MOST_STEPS:]
        self.alerts.put(alert.alert, AlertRow(alert, steps))

    def job(self, job: Job, place: int) -> None:
        """A step of a job. A record without evidence leaves the earlier one standing."""
        row = self.jobs.get(job.job)
        if job.state == "settled":
            self._settle(row, job, place)
            return
        steps = [] if row is None else row.steps
        steps = [*steps, Step(job.state, job.time, place, job.reason)][-MOST_STEPS:]
        if row is not None and not job.evidence:
            job = msgspec.structs.replace(job, evidence=row.job.evidence)
        self.jobs.put(job.job, JobRow(job, steps))

    def _settle(self, row: JobRow | None, job: Job, place: int) -> None:
        """The account stands beside the verdict, which stays the job's state here."""
        if row is not None and row.settled is None:
            self.jobs.put(job.job, JobRow(row.job, row.steps, job, place))
            score = self.scores.get(job.trigger) or Score(job.trigger)
            self.scores.put(job.trigger, with_account(score, job))

    def swap(self, swap: Swap) -> None:
        """A promotion or a rollback."""
        self.swaps.put(f"{swap.outcomes}:{swap.after}", swap)

    def reject(self, bad: Rejected, place: int) -> None:
        """Count by check and field; keep the newest."""
        key = f"{bad.check}:{bad.field or ''}"
        group = self.groups.get(key)
        first = place if group is None else group.first
        count = 1 if group is None else group.count + 1
        self.groups.put(key, Group(count, bad.reason, first, place))
        raw = bad.raw[:RAW_CHARACTERS]
        self.last.append(
            Bad(bad.reason, bad.check, bad.field, raw, bad.topic, bad.partition, bad.offset, place)
        )
        self._new_bad = True

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One entry a row; the newest rejected together."""
        for table in (self.alerts, self.jobs, self.scores, self.swaps, self.groups):
            yield from table.changes()
        if self._new_bad:
            yield "last_rejected", msgspec.msgpack.encode(list(self.last))
            self._new_bad = False

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        for table in (self.alerts, self.jobs, self.scores, self.swaps, self.groups):
            table.restore(entries)
        if "last_rejected" in entries:
            last = msgspec.msgpack.decode(entries["last_rejected"], type=list[Bad])
            self.last = deque(last, maxlen=LAST_REJECTED)
