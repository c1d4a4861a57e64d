"""What `run --json` prints of the run (DESIGN section 3.2)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from services.console.audits import audit_summary
from services.console.contest import PUBLISHED
from services.console.ledger import JobRow, Step
from services.console.verdict import verdict_of
from shared.registry.gains import ranked

if TYPE_CHECKING:
    from services.console.core import Board


def summary(board: "Board") -> dict[str, Any]:
    """Plain JSON values: counts, figures, and the whole story of alerts, jobs and swaps."""
    counts, ledger, figures = board.counts, board.ledger, board.contest.figures()
    found: dict[str, Any] = msgspec.to_builtins(
        {
            "events": counts.predictions + counts.rejected_events,
            "rejected": counts.rejected,
            "refused_records": counts.refused,
            "rejected_by": {key: group.count for key, group in ledger.groups.items()},
            "predictions": counts.predictions,
            "outcomes": counts.outcomes,
            "metrics": figures[PUBLISHED],
            "restated": {
                "labels": board.restated.n,
                "corrections": counts.corrections,
                **board.restated.figures(board.contest.regression),
            },
            "baselines": {name: figures[name] for name in board.contest.baselines},
            "verdict": verdict_of(board),
            "alerts": [_told(row.alert, row.steps) for _, row in ledger.alerts.items()],
            "jobs": [_job(row) for _, row in ledger.jobs.items()],
            "policies": ranked(score for _, score in ledger.scores.items()),
            "swaps": [swap for _, swap in ledger.swaps.items()],
            "estimated": board.estimated.summary(),
            "coverage": board.coverage.summary(),
            "lookups": board.enrichment.summary(),
            "label_requests": board.wanted.summary(),
            "audit": audit_summary(board.audits),
            "champion": board.live.champion,
            "digest": board.digest,
        }
    )
    return found


def _told(record: msgspec.Struct, steps: Sequence[Step]) -> dict[str, Any]:
    """A record with its history: states with the event time and the prediction count."""
    history = [{"state": s.state, "time": s.time, "event": s.place, "text": s.text} for s in steps]
    return {**msgspec.structs.asdict(record), "history": history}


def _job(row: JobRow) -> dict[str, Any]:
    """`state` is the verdict; `gain` the account that was settled later (None: not yet)."""
    return {**_told(row.job, row.steps), "gain": row.settled and row.settled.evidence}
