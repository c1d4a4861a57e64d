"""The one picture: accuracy, alerts, jobs, models and the event rate over the same axis."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.console.core import Board
from services.console.ledger import AlertRow, JobRow
from services.console.timeline import Point, cumulative, windowed
from services.console.view import ScoreRow, shown
from services.console.words import moment, rate_unit

MOST_IN_LANE = 200
GLYPHS = {"page": "▲", "warn": "△", "evidence": "·"}
JOB_GLYPHS = {
    "requested": "…",
    "running": "…",
    "trained": "…",
    "accepted": "✓",
    "rejected": "✗",
    "failed": "!",
    "cancelled": "–",
}
RATE_POINTS = 5


def chart(board: Board, rows: Sequence[ScoreRow]) -> dict[str, Any]:
    """Everything that the picture needs, as JSON values; `null` where nothing was scored."""
    points = board.line()
    window = board.problem.evaluation.window
    return {
        "place": [point.predictions for point in points],
        "time_s": [point.time_s for point in points],
        "outcomes": [point.outcomes for point in points],
        "metric": "mean absolute error" if board.contest.regression else "accuracy",
        "window": window,
        "series": [
            {
                "name": row.name,
                "label": row.label,
                "kind": row.kind,
                "windowed": _rounded(board, windowed(points, row.name, window)),
                "overall": _rounded(board, cumulative(points, row.name)),
            }
            for row in rows
            if row.n
        ],
        **_rates(points),
        "lanes": _Lanes(board, points).all(),
    }


def _rounded(board: Board, losses: Sequence[float | None]) -> list[float | None]:
    values = [shown(board, loss) for loss in losses]
    return [None if value is None else round(value, 5) for value in values]


def _rates(points: Sequence[Point]) -> dict[str, Any]:
    """Events per unit of event time, over some five points each."""
    found: list[float | None] = []
    for i, point in enumerate(points):
        start = points[max(0, i - RATE_POINTS)]
        span = point.time_s - start.time_s
        found.append((point.predictions - start.predictions) / span if span > 0 else None)
    known = sorted(value for value in found if value is not None)
    size, unit = rate_unit(known[len(known) // 2] if known else None)
    factor = size / known[len(known) // 2] if known and known[len(known) // 2] else 1.0
    rates = [None if value is None else round(value * factor, 4) for value in found]
    return {"rate": rates, "rate_unit": unit}


class _Lanes:
    """Spans on the axis: from, to (None: goes on), a glyph and words; never colour alone."""

    def __init__(self, board: Board, points: Sequence[Point]) -> None:
        self._board = board
        self._times = [point.time_s for point in points]
        self._places = [point.predictions for point in points]

    def all(self) -> list[dict[str, Any]]:
        """Top to bottom: what happened, what was done about it, who serves."""
        alerts = [row for _, row in self._board.ledger.alerts.items()]
        loud = [self._alert(row) for row in alerts if row.alert.severity != "evidence"]
        quiet = [self._alert(row) for row in alerts if row.alert.severity == "evidence"]
        jobs = [self._job(row) for _, row in self._board.ledger.jobs.items()]
        lanes = [
            {"name": "Alerts", "kind": "alert", "items": loud[-MOST_IN_LANE:]},
            {"name": "Retraining", "kind": "job", "items": jobs[-MOST_IN_LANE:]},
            {"name": "Champion", "kind": "model", "items": self._reigns()},
        ]
        if quiet:
            evidence = {"name": "Evidence", "kind": "evidence", "items": quiet[-MOST_IN_LANE:]}
            lanes.insert(1, evidence)
        return lanes

    def _alert(self, row: AlertRow) -> dict[str, Any]:
        alert, opened = row.alert, row.steps[0]
        resolved = next((s for s in row.steps if s.state == "resolved"), None)
        cause = alert.cause.replace("_", " ")
        return {
            "from": self._at(opened.time, opened.place),
            "to": self._at(resolved.time, resolved.place) if resolved else None,
            "glyph": GLYPHS[alert.severity],
            "text": cause,
            "title": f"{alert.severity}: {cause} on {alert.series}, since {moment(alert.since)}, "
            f"noticed {moment(opened.time)}, {alert.state}",
            "since": self._place(min(alert.since, opened.time)),
            "href": f"#alert-{alert.alert}",
            "tone": "bad" if alert.severity == "page" else "warn",
            "mark": alert.severity == "page",
        }

    def _job(self, row: JobRow) -> dict[str, Any]:
        job, asked, last = row.job, row.steps[0], row.steps[-1]
        over = job.state in ("accepted", "rejected", "failed", "cancelled")
        tones = {"accepted": "good", "rejected": "warn", "failed": "bad"}
        return {
            "from": self._at(asked.time, asked.place),
            "to": self._at(last.time, last.place) if over else None,
            "glyph": JOB_GLYPHS[job.state],
            "text": f"{job.job} {job.state}",
            "title": f"{job.job}: {job.state}. Asked for by {job.trigger}: {asked.text}",
            "href": f"#job-{job.job}",
            "tone": tones.get(job.state, ""),
            "mark": False,
        }

    def _reigns(self) -> list[dict[str, Any]]:
        """Who was champion from when to when."""
        board = self._board
        if board.live.champion is None or board.counts.first is None:
            return []
        swaps = [swap for _, swap in board.ledger.swaps.items()]
        start = {"place": 0, "time_s": board.counts.first.timestamp()}
        name = swaps[0].before if swaps else board.live.champion
        reigns = [self._reign(name, start, "champion since the first event", mark=False)]
        for swap in swaps:
            at = self._at(swap.time, swap.place)
            reigns[-1]["to"] = at
            why = f"{swap.after} took over from {swap.before}, {moment(swap.time)}: {swap.reason}"
            reigns.append(self._reign(swap.after, at, why, mark=True))
        return reigns

    def _reign(self, name: str, start: dict[str, float], why: str, mark: bool) -> dict[str, Any]:
        return {
            "from": start,
            "to": None,
            "glyph": "⇄" if mark else "",
            "text": name,
            "title": why,
            "href": f"#model-{name}",
            "tone": "good",
            "mark": mark,
        }

    def _at(self, time: datetime, place: int) -> dict[str, float]:
        """A position on both axes: the fold knows the place, the record the time."""
        return {"place": place, "time_s": min(time.timestamp(), self._ends_s())}

    def _place(self, time: datetime) -> dict[str, float]:
        """A position of which only the time is known: to the nearest point."""
        index = min(bisect_left(self._times, time.timestamp()), len(self._times) - 1)
        place = self._places[index] if self._places else 0
        return {"place": place, "time_s": time.timestamp()}

    def _ends_s(self) -> float:
        return self._times[-1] if self._times else float("inf")
