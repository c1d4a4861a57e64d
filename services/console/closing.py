"""The closing summary: what a stranger should know of the run."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.console import policy
from services.console.core import Board
from services.console.drawing import scores, told
from services.console.standing import audit_standing, coverage_standing
from services.console.story import story
from services.console.verdict import verdict_of
from services.console.view import ScoreRow, figures, honesty, score_rows
from services.console.words import count, counted, duration, moment, share


def closing(board: Board, summary: Mapping[str, Any]) -> RenderableType:
    """The whole summary."""
    counts = board.counts
    rows = score_rows(board)
    head = Text(f"{board.problem.name}: {board.problem.goal}", style="bold")
    parts: list[RenderableType] = [
        Text(),
        head,
        Text(),
        _numbers(board, summary, honesty(rows[0])),
    ]
    if rows[0].n:
        parts += [Text(), scores(board, rows), _explained(board, rows)]
    parts += [Text(), *_happened(board)]
    if counts.predictions:
        parts += [Text(), _where(summary)]
    return Group(*parts)


def _numbers(board: Board, summary: Mapping[str, Any], honest: str) -> Table:
    counts = board.counts
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    events = summary["events"]
    span = f", {moment(counts.first)} to {moment(counts.last)}" if counts.predictions else ""
    table.add_row("events", f"{count(events)}{span}")
    table.add_row(
        "predictions",
        f"{count(counts.predictions)}, each published before its label was known; "
        f"{count(counts.outcomes)} ({share(counts.outcomes, counts.predictions)}) have a label",
    )
    reasons = sorted(summary["rejected_by"].items(), key=lambda item: -item[1])[:4]
    listed = "; ".join(
        f"{count(n)} {name.rstrip(':').replace(':', ' of ')}" for name, n in reasons
    )
    table.add_row("rejected", count(counts.rejected) + (f": {listed}" if listed else ""))
    if counts.outcomes:
        behind = board.delay_events.quantile(0.5)
        table.add_row(
            "labels come",
            f"{duration(board.delay_s.quantile(0.5))} after their event (median), "
            + (f"{counted(int(behind), 'event')} later" if behind else "before the next event"),
        )
    if honest:
        table.add_row("how sure", honest)
    if counts.predictions:
        table.add_row("coverage", coverage_standing(board.coverage.covered())["text"])
        audited = board.audits.found if board.problem.audit.share else None
        table.add_row("audit", audit_standing(audited)["text"])
    if summary.get("events_per_second") is not None:
        table.add_row(
            "speed",
            f"{count(summary['events_per_second'])} events a second, "
            f"{count(summary['cpu_us_per_event'])} µs of CPU an event, training included",
        )
    return table


def _explained(board: Board, rows: Sequence[ScoreRow]) -> Padding:
    """What the table's numbers mean, and the verdict."""
    overall = figures(board, rows)[0]
    said = (
        f"{overall.value} = {overall.of}. Nobody saw a label before answering; baselines answer the "
        "same events at the same moment and learn online too. ± is half of a 95 % interval from the "
        "spread between blocks of consecutive labels (errors come in runs)."
    )
    return Padding(
        Group(Text(verdict_of(board).text, style="bold"), Text(said, style="dim")), (1, 0, 0, 0)
    )


def _happened(board: Board) -> list[RenderableType]:
    """The story, and what stayed quiet."""
    happenings = story(board)
    lines: list[RenderableType] = [Text("What happened", style="bold")]
    lines += [told(happening) for happening in happenings]
    alerts = [row.alert for _, row in board.ledger.alerts.items()]
    quiet = sum(alert.severity == "evidence" for alert in alerts)
    if quiet:
        lines.append(
            Text(f"and {counted(quiet, 'alert')} of mere evidence (inputs that moved)", "dim")
        )
    if not happenings:
        lines.append(Text(f"Nothing. {policy.watch(board.problem)}"))
    return lines


def _where(summary: Mapping[str, Any]) -> Text:
    found = Text(
        "Run it again with --json for all of this as data, with --stay to look at the page."
    )
    if "directory" in summary:
        found.append(f"\nThe log of the run: {summary['directory']}", "dim")
    found.append(f"\nDigest of the predictions: {summary['digest'][:16]}… ", "dim")
    found.append("(the same stream gives the same one)", "dim")
    return found
