"""The one view of the run, folded from the log: for the page, the terminal and `run --json`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from services.console.audits import Audits
from services.console.contest import Contest
from services.console.coverage import Coverage
from services.console.enrichment import Enrichment
from services.console.estimate import Estimated
from services.console.fields import FieldProfiles
from services.console.ledger import Ledger, Swap
from services.console.profiles import Profiles
from services.console.restated import Restated
from services.console.spread import Spread
from services.console.summary import summary
from services.console.timeline import Point, Timeline
from services.console.wanted import Wanted
from shared.errors import Reject
from shared.messages.codec import encode
from shared.messages.streams import (
    ALERTS,
    AUDITS,
    JOBS,
    LABEL_REQUESTS,
    LABELS,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    REFERENCES,
    REJECTED,
    Stream,
)
from shared.messages.types import Control, Job, ModelEvent, Outcome, Prediction, Rejected
from shared.models.live import LiveModel
from shared.problem.expression import Formula
from shared.problem.spec import FormulaKind, Problem
from shared.registry.decisions import VERDICTS, Trusted, refusal
from shared.registry.live import Live
from shared.stage import Out, Record

RECENT = 10
"""Parts of the newest window, for its figures and their spread."""


class Counts(msgspec.Struct):
    """How much of everything. Times are event times."""

    predictions: int = 0
    outcomes: int = 0
    corrections: int = 0
    defaults: int = 0
    rejected: int = 0
    rejected_events: int = 0
    ignored: int = 0
    """Model events that are no step of a model's life."""
    refused: int = 0
    """Steps of models and verdicts on jobs that no trusted key signed: not shown as having happened."""
    first: datetime | None = None
    last: datetime | None = None
    mode: str = ""
    ended: bool = False


class _State(msgspec.Struct):
    counts: Counts
    digest: bytes
    recent: list[Point]
    delay_s: Spread
    delay_events: Spread
    restated: Restated


class Board:
    """A stage without outputs. All places are ordinals of predictions, so one axis serves everything.

    `digest` chains SHA-256 over the published predictions in order: starting from 32 zero bytes,
    h = SHA-256(h + JSON of the prediction without `scored_at`), since a hash under way cannot be part
    of a checkpoint.
    """

    def __init__(self, problem: Problem, trusted: Trusted) -> None:
        self.problem = problem
        self._trusted = trusted
        names = problem.model_names
        kinds: dict[str, FormulaKind] = dict.fromkeys(problem.feature_names, "number")
        rules = {r.name: Formula(r.expression, kinds) for r in problem.evaluation.rules}
        self.contest = Contest(problem, names, rules)
        self.timeline = Timeline()
        self.ledger = Ledger()
        self.audits = Audits()
        self.profiles = Profiles(names, problem.profile.tile)
        self.fields = FieldProfiles(problem)
        self.wanted = Wanted()
        self.coverage = Coverage(problem)
        self.enrichment = Enrichment(problem)
        self.restated = Restated()
        self.estimated = Estimated(problem.task == "regression")
        self.live = Live()
        self.fresh: LiveModel | None = None
        self.counts = Counts()
        self.delay_s = Spread()
        self.delay_events = Spread()
        self.recent: list[Point] = []
        self._part = max(1, problem.evaluation.window // RECENT)
        self._hash = bytes(32)
        self._now_s = 0.0
        self._changed = False
        self._moved = False
        self._handlers: dict[Stream, Callable[[Any], None]] = {
            PREDICTIONS: self._predicted,
            OUTCOMES: self._outcome,
            ALERTS: lambda alert: self.ledger.alert(alert, self.counts.predictions),
            JOBS: self._job,
            MODELS: self._model,
            REJECTED: self._rejected,
            AUDITS: self.audits.take,
            LABEL_REQUESTS: self.wanted.asked,
        }

    @property
    def digest(self) -> str:
        """Over the predictions published so far; see the class."""
        return self._hash.hex()

    def handle(self, records: Sequence[Record]) -> Iterable[Out]:
        """Fold; nothing comes out."""
        for record in records:
            handler = self._handlers.get(record.stream)
            if handler is not None:
                handler(record.value)
            elif isinstance(record.value, Control):
                self._control(record.value)
        self._changed = self._changed or bool(records)
        return ()

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """See the stage port: counts in one small entry, everything else by row or chunk."""
        if not self._changed:
            return
        self._changed = False
        state = _State(
            self.counts, self._hash, self.recent, self.delay_s, self.delay_events, self.restated
        )  # fmt: skip
        yield "board", msgspec.msgpack.encode(state)
        yield from self.contest.changes()
        yield from self.timeline.changes()
        yield from self.ledger.changes()
        yield from self.audits.changes()
        yield from self.profiles.changes()
        yield from self.fields.changes()
        yield from self.wanted.changes()
        yield from self.coverage.changes()
        yield from self.estimated.changes()
        yield from self.enrichment.changes()
        if self._moved:
            yield "models", self.live.dump()
            self._moved = False

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        if "board" in entries:
            state = msgspec.msgpack.decode(entries["board"], type=_State)
            self.counts, self._hash, self.recent = state.counts, state.digest, state.recent
            self.delay_s, self.delay_events = state.delay_s, state.delay_events
            self.restated = state.restated
        if "models" in entries:
            self.live = Live.load(entries["models"])
        self.contest.restore(entries)
        self.timeline.restore(entries)
        self.ledger.restore(entries)
        self.audits.restore(entries)
        self.profiles.restore(entries)
        self.fields.restore(entries)
        self.wanted.restore(entries)
        self.coverage.restore(entries)
        self.estimated.restore(entries)
        self.enrichment.restore(entries)

    def summary(self) -> dict[str, Any]:
        """What `run --json` prints of the run: plain JSON values."""
        return summary(self)

    def point(self) -> Point:
        """Where the run is now, on the time line's terms."""
        counts = self.counts
        time_s = 0.0 if counts.last is None else counts.last.timestamp()
        sums = self.contest.sums()
        return Point(counts.predictions, counts.outcomes, counts.rejected, time_s, sums)

    def line(self) -> list[Point]:
        """The whole time line up to now; finer over the newest window."""
        merged = {point.predictions: point for point in (*self.timeline.points, *self.recent)}
        now = self.point()
        if now.predictions:
            merged[now.predictions] = now
        return [merged[place] for place in sorted(merged)]

    def _predicted(self, prediction: Prediction) -> None:
        counts = self.counts
        counts.predictions += 1
        scored_at, prediction.scored_at = prediction.scored_at, None
        self._hash = sha256(self._hash + encode(prediction)).digest()
        prediction.scored_at = scored_at
        if counts.first is None or counts.last is None:
            counts.first = counts.last = prediction.time
        elif prediction.time > counts.last:
            counts.last = prediction.time
        self.contest.predicted(prediction, counts.predictions)
        self.profiles.add(prediction)
        self.fields.add(prediction)
        self.coverage.predicted(prediction)
        self.estimated.predicted(prediction)
        self.enrichment.predicted(prediction)
        if self.timeline.due(counts.predictions):
            self.timeline.add(self.point())

    def _outcome(self, outcome: Outcome) -> None:
        counts = self.counts
        self.wanted.labelled(outcome)
        self.restated.take(outcome, self.contest.regression)
        self.coverage.labelled(outcome)
        self.estimated.labelled(outcome)
        if outcome.revision:
            counts.corrections += 1
            return
        counts.outcomes += 1
        counts.defaults += outcome.default
        if outcome.label is None:
            return
        place = self.contest.labelled(outcome)
        if place is not None:
            self.delay_events.add(counts.predictions - place)
        if outcome.labelled_at is not None:
            self.delay_s.add((outcome.labelled_at - outcome.time).total_seconds())
        if counts.outcomes % self._part == 0:
            self.recent = [*self.recent[-RECENT:], self.point()]

    def _believed(self, record: ModelEvent | Job) -> bool:
        refused = refusal(record, self._trusted, "console") is not None
        self.counts.refused += refused
        return not refused

    def _job(self, job: Job) -> None:
        if job.state not in VERDICTS or self._believed(job):
            self.ledger.job(job, self.counts.predictions)

    def _model(self, event: object) -> None:
        """A step of a model's life. The learner's live object is only looked at, for the weights."""
        if isinstance(event, LiveModel):
            self.fresh = event
        if not isinstance(event, ModelEvent) or not self._believed(event):
            return
        before = self.live.champion
        try:
            self.live.apply(event)
        except Reject:
            self.counts.ignored += 1
            return
        self._moved = True
        if before is not None and self.live.champion not in (None, before):
            counts = self.counts
            self.ledger.swap(
                Swap(
                    outcomes=event.outcomes or counts.outcomes,
                    place=counts.predictions,
                    time=event.time,
                    before=before,
                    after=event.model,
                    reason=event.reason,
                    by=event.by,
                    evidence=event.evidence,
                )
            )

    def _rejected(self, bad: Rejected) -> None:
        self.counts.rejected += 1
        self.counts.rejected_events += not bad.topic.endswith((f".{LABELS}", f".{REFERENCES}"))
        self.ledger.reject(bad, self.counts.predictions)

    def _control(self, control: Control) -> None:
        if control.command == "start":
            self.counts.mode = str(control.details.get("mode", "replay"))
            self.counts.ended = False
        elif control.command == "end":
            self.counts.ended = True
