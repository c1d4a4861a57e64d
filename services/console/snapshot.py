"""A whole view of the board at one moment, immutable: what other threads may read."""

from collections.abc import Sequence
from typing import Any

import msgspec

from services.console.audits import AuditCard, audit_card
from services.console.card import Facts, facts_of
from services.console.chart import chart
from services.console.core import Board
from services.console.coverage import CoverageRow, coverage_rows
from services.console.data import references
from services.console.enrichment import LookupRow, lookup_rows
from services.console.fields import FieldsSnapshot
from services.console.gains import PolicyRow, gain_unit, policy_rows
from services.console.panels import (
    AlertCard,
    JobCard,
    ModelCard,
    RejectedGroup,
    RejectedRow,
    alert_cards,
    job_cards,
    model_cards,
    rejected_groups,
    rejected_rows,
)
from services.console.profiles import Snapshot
from services.console.verdict import Verdict, verdict_of
from services.console.view import ScoreRow, figures, restated_text, score_rows
from services.console.wanted import WantedCard, wanted_cards
from services.console.words import Figure, count, moment


class View(msgspec.Struct, frozen=True):
    """Everything that is shown, in words and plain values; built in the thread that folds."""

    status: str
    tone: str
    now: str
    place: int
    digest: str
    window: int
    regression: bool
    open_pages: int
    champion: str
    figures: list[Figure]
    scores: list[ScoreRow]
    chart: dict[str, Any]
    alerts: list[AlertCard]
    alerts_all: int
    jobs: list[JobCard]
    jobs_all: int
    policies: list[PolicyRow]
    gain_unit: str
    models: list[ModelCard]
    models_all: int
    cards: dict[str, Facts]
    groups: list[RejectedGroup]
    rejected: list[RejectedRow]
    restated: str
    verdict: Verdict
    coverage: list[CoverageRow]
    audit: AuditCard
    lookups: Sequence[LookupRow]
    wanted: list[WantedCard]
    summary: dict[str, Any]
    profiles: Snapshot
    fields: FieldsSnapshot
    references: dict[str, str]
    """Reference profiles by version, as their manifests have them."""


def view_of(board: Board, speed_per_s: float | None = None) -> View:
    """The view of `board` now. `speed_per_s`: events folded a second of wall time, if known."""
    rows = score_rows(board)
    status, tone = _status(board)
    alerts = alert_cards(board)
    ledger = board.ledger
    return View(
        status=status,
        tone=tone,
        now=moment(board.counts.last),
        place=board.counts.predictions,
        digest=board.digest,
        window=board.problem.evaluation.window,
        regression=board.contest.regression,
        open_pages=sum(card.open and card.tone == "bad" for card in alerts),
        champion=board.live.champion or "",
        figures=_head(board, rows, speed_per_s),
        scores=rows,
        chart=chart(board, rows),
        alerts=alerts,
        alerts_all=len(ledger.alerts),
        jobs=job_cards(board),
        jobs_all=len(ledger.jobs),
        policies=policy_rows(board),
        gain_unit=gain_unit(board),
        models=model_cards(board),
        models_all=len(board.live.states),
        cards=facts_of(board),
        groups=rejected_groups(board),
        rejected=rejected_rows(board),
        restated=restated_text(board),
        verdict=verdict_of(board),
        coverage=coverage_rows(board.coverage),
        audit=audit_card(board.audits, board.problem),
        lookups=lookup_rows(board.enrichment, board.problem),
        wanted=wanted_cards(board.wanted, board.problem),
        summary=board.summary(),
        profiles=board.profiles.snapshot(),
        fields=board.fields.snapshot(),
        references=references(board.live),
    )


def _head(board: Board, rows: list[ScoreRow], speed_per_s: float | None) -> list[Figure]:
    head = figures(board, rows)
    if speed_per_s and not board.counts.ended:
        return [_with_speed(figure, speed_per_s) for figure in head]
    return head


def _status(board: Board) -> tuple[str, str]:
    counts = board.counts
    if not counts.predictions:
        return "waiting for the first event", "warn"
    if counts.ended:
        return "finished: the source is drained", ""
    return ("live" if counts.mode == "live" else "replaying"), "good"


def _with_speed(figure: Figure, speed_per_s: float) -> Figure:
    if figure.key != "rate":
        return figure
    speed = f"{figure.of}; folding {count(speed_per_s)} a second by the wall clock"
    return msgspec.structs.replace(figure, of=speed)
