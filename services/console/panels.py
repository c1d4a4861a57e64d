"""The lists under the picture: alerts, jobs, models, the rejected."""

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

import msgspec

from services.console.chart import JOB_GLYPHS
from services.console.core import Board
from services.console.evidence import Sheet, job_sheets, sheets
from services.console.gains import gain_of
from services.console.ledger import Bad, Step
from services.console.words import count, counted, moment, share
from shared.messages.types import Job, ModelEvent
from shared.registry.live import BESIDE

ALERT_GLYPHS = {"page": "▲ page", "warn": "△ warn", "evidence": "· evidence"}
MOST_SHOWN = 50


class Line(msgspec.Struct, frozen=True):
    """A step of a life: what, when (event time), after how many predictions, why."""

    state: str
    when: str
    place: str
    text: str


class AlertCard(msgspec.Struct, frozen=True):
    """One episode in words. `open`: an operator can still do something about it. `quiet`: it is over
    and was mere evidence.
    """

    name: str
    title: str
    severity: str
    tone: str
    state: str
    open: bool
    quiet: bool
    since: str
    series: str
    text: str
    runbook: str
    features: list[tuple[str, str, str]]
    life: list[Line]
    evidence: list[Sheet]


class JobCard(msgspec.Struct, frozen=True):
    """One retraining job in words. `done` of `of` outcomes until its result takes effect."""

    name: str
    state: str
    glyph: str
    tone: str
    trigger: str
    asked: str
    reason: str
    rows: str
    model: str
    gain: str
    gain_tone: str
    waits: str
    done: int
    of: int
    life: list[Line]
    evidence: list[Sheet]


class ModelCard(msgspec.Struct, frozen=True):
    """One version in words."""

    name: str
    role: str
    tone: str
    since: str
    job: str
    parent: str
    reason: str
    published: str
    weights: list[tuple[str, float, str]]
    life: list[Line]
    evidence: list[Sheet]
    can_promote: bool
    can_roll_back: bool


class RejectedGroup(msgspec.Struct, frozen=True):
    """Rejected records of one check and field."""

    check: str
    field: str
    count: int
    share: str
    reason: str
    newest: str


class RejectedRow(msgspec.Struct, frozen=True):
    """One rejected record; `raw` is its text as far as it is text, cut."""

    where: str
    check: str
    field: str
    reason: str
    raw: str


def _life(steps: list[Step]) -> list[Line]:
    return [
        Line(s.state, moment(s.time), f"after {counted(s.place, 'prediction')}", s.text)
        for s in steps
    ]


def alert_cards(board: Board) -> list[AlertCard]:
    """Newest first, what is still open before what is over."""
    cards = []
    for name, row in board.ledger.alerts.items():
        alert = row.alert
        cause = alert.cause.replace("_", " ")
        cards.append(
            AlertCard(
                name=name,
                title=f"{cause} on {alert.series}",
                severity=ALERT_GLYPHS[alert.severity],
                tone={"page": "bad", "warn": "warn"}.get(alert.severity, ""),
                state=alert.state,
                open=alert.state != "resolved",
                quiet=alert.state == "resolved" and alert.severity == "evidence",
                since=moment(alert.since),
                series=alert.series,
                text=alert.text,
                runbook=alert.runbook,
                features=[
                    (f.feature, f"{f.evidence:,.4g}", f.detail) for f in alert.features[:12]
                ],
                life=_life(row.steps),
                evidence=sheets(alert.evidence),
            )
        )
    cards.reverse()
    cards.sort(key=lambda card: (not card.open, card.tone != "bad"))
    return cards[:MOST_SHOWN]


def job_cards(board: Board) -> list[JobCard]:
    """Newest first."""
    tones = {"accepted": "good", "rejected": "warn", "failed": "bad"}
    cards = []
    for name, row in board.ledger.jobs.items():
        job, asked, last = row.job, row.steps[0], row.steps[-1]
        gain, gain_tone = gain_of(board, row)
        waits, done, of = _progress(board, row.job.effective, job.end, job.state)
        cards.append(
            JobCard(
                name=name,
                state=job.state,
                glyph=JOB_GLYPHS[job.state],
                tone=tones.get(job.state, ""),
                trigger=job.trigger,
                asked=asked.text,
                reason=last.text if len(row.steps) > 1 else "",
                rows=f"{count(job.end - job.start)} outcomes, "
                f"{count(job.start)} to {count(job.end)}",
                model=job.model or "",
                gain=gain,
                gain_tone=gain_tone,
                waits=waits,
                done=done,
                of=of,
                life=[*_life(row.steps), *_model_life(board, job.model), *_account(row.settled)],
                evidence=job_sheets(job.evidence),
            )
        )
    cards.reverse()
    return cards[:MOST_SHOWN]


def _account(settled: Job | None) -> list[Line]:
    """The end of the story: what it gained."""
    return [] if settled is None else [Line("settled", moment(settled.time), "", settled.reason)]


def _model_life(board: Board, name: str | None) -> list[Line]:
    """What became of a job's model."""
    events = [step.event for step in board.live.history if step.event.model == name]
    return [Line(e.state, moment(e.time), _at(e.outcomes), _decided(e)) for e in events]


def _progress(board: Board, effective: int | None, end: int, state: str) -> tuple[str, int, int]:
    """How far a job is from taking effect, in words and in outcomes."""
    if state not in ("requested", "running", "trained"):
        return "", 0, 0
    if effective is None:
        return "under way; the result takes effect when it is there", 0, 0
    of, done = effective - end, min(board.counts.outcomes, effective) - end
    left = counted(of - done, "outcome")
    return f"the result takes effect in {left}, after outcome {count(effective)}", done, of


def model_cards(board: Board) -> list[ModelCard]:
    """Champion, shadows, then the others, newest first."""
    live = board.live
    lives: dict[str, list[Any]] = {}
    for step in live.history:
        lives.setdefault(step.event.model, []).append(step.event)
    cards = [_model_card(board, name, events) for name, events in reversed(lives.items())]
    order = {"champion": 0, "canary": 1, "proposed": 2, "shadow": 3}
    cards.sort(key=lambda card: order.get(card.role, len(order)))
    return cards[:MOST_SHOWN]


def _model_card(board: Board, name: str, events: list[Any]) -> ModelCard:
    live, last = board.live, events[-1]
    role = live.states.get(name, last.state)
    born = next((e for e in events if e.job), events[0])
    evidence: dict[str, Any] = {}
    for event in events:
        evidence |= event.evidence
    return ModelCard(
        name=name,
        role=role,
        tone={"champion": "good", "rejected": "warn"}.get(role, ""),
        since=moment(last.time),
        job=born.job or "",
        parent=born.parent or "",
        reason=last.reason,
        published=published(board, name),
        weights=_weights(board, name),
        life=_model_life(board, name),
        evidence=sheets(evidence),
        can_promote=role in BESIDE,
        can_roll_back=role == "canary" or (role == "champion" and live.previous is not None),
    )


def _decided(event: ModelEvent) -> str:
    """Why, by whom, and with which key it is signed (`headrace models compare` checks that)."""
    key = "" if event.signature is None else f", signed with key {event.signature['key']}"
    return f"{event.reason} (by {event.by}{key})" if event.by else event.reason


def _at(outcomes: int) -> str:
    return f"after {counted(outcomes, 'outcome')}" if outcomes else ""


def published(board: Board, name: str) -> str:
    """What a version has answered as champion, in words."""
    n, figures = board.contest.by_model().get(name, (0, {}))
    if not n:
        return "has published nothing that is labelled yet"
    if board.contest.regression:
        return f"mean absolute error {figures['mae']:.4g} over the {count(n)} it published as champion"
    return f"{100 * figures['accuracy']:.1f} % of the {count(n)} it published as champion"


def _weights(board: Board, name: str) -> list[tuple[str, float, str]]:
    """The experts that a version listens to most: name, share of the largest, in words."""
    stacker = None if board.fresh is None else board.fresh.pool.versions.get(name)
    if stacker is None:
        return []
    weights = sorted(stacker.weights.items(), key=lambda item: -abs(item[1]))[:8]
    largest = max((abs(weight) for _, weight in weights), default=0.0) or 1.0
    return [(expert, abs(w) / largest, f"{w:+.3f}") for expert, w in weights]


def rejected_groups(board: Board) -> list[RejectedGroup]:
    """Most frequent first."""
    groups = []
    for key, group in board.ledger.groups.items():
        check, _, field = key.partition(":")
        groups.append(
            RejectedGroup(
                check=check,
                field=field,
                count=group.count,
                share=share(group.count, board.counts.rejected),
                reason=group.reason,
                newest=f"after {counted(group.last, 'prediction')}",
            )
        )
    groups.sort(key=lambda group: -group.count)
    return groups


def rejected_rows(board: Board) -> list[RejectedRow]:
    """The newest first."""
    return [
        RejectedRow(
            where=f"{bad.topic} {bad.partition}:{bad.offset}",
            check=bad.check,
            field=bad.field or "",
            reason=bad.reason,
            raw=_raw(bad),
        )
        for bad in reversed(board.ledger.last)
    ]


def _raw(bad: Bad) -> str:
    """The bytes as text; what is no text is shown as \\xNN."""
    try:
        data = b64decode(bad.raw[: len(bad.raw) // 4 * 4])
    except (Base64Error, ValueError):
        return bad.raw
    return data.decode("utf-8", "backslashreplace")[:400]
