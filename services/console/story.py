"""What happened, in order, one line each: cause, alert, retraining, decision."""

import msgspec

from services.console.chart import GLYPHS, JOB_GLYPHS
from services.console.core import Board
from services.console.ledger import AlertRow, JobRow, Swap
from services.console.words import counted, listed
from shared.messages.types import Job

_TOLD = ("requested", "accepted", "rejected", "failed", "cancelled")
_TONES = {"accepted": "good", "rejected": "warn", "failed": "bad", "page": "bad", "warn": "warn"}


class Happening(msgspec.Struct, frozen=True):
    """One line of the story. `key` names it; `place` is the number of predictions by then."""

    key: str
    when: str
    place: int
    glyph: str
    tone: str
    head: str
    text: str


def story(board: Board, evidence: bool = False) -> list[Happening]:
    """All happenings that are remembered, oldest first; alerts of mere evidence only if asked for."""
    found: list[Happening] = []
    for name, row in board.ledger.alerts.items():
        if evidence or row.alert.severity != "evidence":
            found += _alert(name, row)
    for name, job in board.ledger.jobs.items():
        found += _job(name, job)
    found += [_swap(swap) for _, swap in board.ledger.swaps.items()]
    found.sort(key=lambda happening: happening.place)
    return found


def _alert(name: str, row: AlertRow) -> list[Happening]:
    alert, first = row.alert, row.steps[0]
    cause = alert.cause.replace("_", " ")
    fields = listed((f.feature for f in alert.features), most=3)
    since = f"since {alert.since:%Y-%m-%d %H:%M}"
    text = alert.text or f"on {alert.series}"
    found = [
        Happening(
            key=f"{name}:open",
            when=f"{first.time:%Y-%m-%d %H:%M}",
            place=first.place,
            glyph=GLYPHS[alert.severity],
            tone=_TONES.get(alert.severity, ""),
            head=f"{alert.severity}: {cause}" + (f" in {fields}" if fields else ""),
            text=f"{text} ({since})",
        )
    ]
    last = row.steps[-1]
    if last.state == "resolved":
        found.append(
            Happening(
                key=f"{name}:resolved",
                when=f"{last.time:%Y-%m-%d %H:%M}",
                place=last.place,
                glyph="✓",
                tone="",
                head=f"over: {cause}",
                text=last.text if last.text != text else "",
            )
        )
    return found


def _job(name: str, row: JobRow) -> list[Happening]:
    job = row.job
    heads = {
        "requested": f"{name} asked for by {job.trigger}",
        "accepted": f"{name} accepted: {job.model} scores beside the champion",
    }
    told = [
        Happening(
            key=f"{name}:{step.state}",
            when=f"{step.time:%Y-%m-%d %H:%M}",
            place=step.place,
            glyph="↻" if step.state == "requested" else JOB_GLYPHS[step.state],
            tone=_TONES.get(step.state, ""),
            head=heads.get(step.state, f"{name} {step.state}"),
            text=step.text,
        )
        for step in row.steps
        if step.state in _TOLD
    ]
    return told if row.settled is None else [*told, *_gained(name, row.settled, row.settled_at)]


def _gained(name: str, settled: Job, place: int) -> list[Happening]:
    """What a promoted version gained; of the others the verdict says it all."""
    account = settled.evidence
    if not account.get("pairs"):
        return []
    better = account["gained"] >= 0
    return [
        Happening(
            key=f"{name}:settled",
            when=f"{settled.time:%Y-%m-%d %H:%M}",
            place=place,
            glyph="Σ",
            tone="good" if better else "warn",
            head=f"{name} {'paid off' if better else 'did not pay off'}: {settled.model}",
            text=settled.reason,
        )
    ]


def _swap(swap: Swap) -> Happening:
    return Happening(
        key=f"swap:{swap.outcomes}:{swap.after}",
        when=f"{swap.time:%Y-%m-%d %H:%M}",
        place=swap.place,
        glyph="⇄",
        tone="good",
        head=f"{swap.after} took over from {swap.before}, after {counted(swap.outcomes, 'label')}",
        text=f"{swap.reason} (decided by {swap.by})" if swap.by else swap.reason,
    )
