"""The board as figures in words: what the page, its JSON twins and the terminal show alike."""

from collections.abc import Sequence

import msgspec

from services.console.contest import PUBLISHED
from services.console.core import Board
from services.console.estimate import LEAST_EVENTS
from services.console.timeline import Point, half_width, newest
from services.console.words import Figure, count, counted, duration, moment, number, rate, share
from shared.evaluation.unlabelled import BLOCK
from shared.models.port import COVERAGE

KINDS = {"majority": "says the most frequent class so far", "mean": "says the mean label so far"}
MEANING = KINDS | {
    "no_change": "says the newest label that is known",
    "linear": "online linear model, learns from every label",
    PUBLISHED: "what was really published, whichever version was champion",
}


class ScoreRow(msgspec.Struct, frozen=True):
    """One contestant. Values are as shown: accuracy, or mean absolute error."""

    name: str
    label: str
    kind: str
    meaning: str
    n: int
    overall: float | None
    overall_sure: float | None
    newest: float | None
    newest_n: int
    newest_sure: float | None
    behind: float | None
    behind_sure: float | None
    figures: dict[str, float]


def shown(board: Board, loss: float | None) -> float | None:
    """A mean loss as the figure that is shown: accuracy, or mean absolute error."""
    if loss is None:
        return None
    return loss if board.contest.regression else 1 - loss


def text(board: Board, value: float | None) -> str:
    """`91.2 %`, or the error in the label's unit."""
    if value is None:
        return "–"
    return number(value) if board.contest.regression else f"{100 * value:.1f} %"


def gap_text(board: Board, value: float, signed: bool = True) -> str:
    """A difference of two shown values: in percentage points, or in the label's unit."""
    sign = "+" if signed and value >= 0 else ""
    if board.contest.regression:
        return f"{sign}{number(value)}"
    return f"{sign}{100 * value:.1f} points"


def score_rows(board: Board) -> list[ScoreRow]:
    """Published first, then baselines from best to worst, then shadows."""
    points = board.line() or [board.point()]
    figures = board.contest.figures()
    rows = [_score_row(board, name, points, figures[name]) for name in figures]
    order = {"published": 0, "baseline": 1, "shadow": 2}
    worst_first = 1 if board.contest.regression else -1
    rows.sort(key=lambda row: (order[row.kind], worst_first * (row.overall or 0.0)))
    return rows


def _score_row(
    board: Board, name: str, points: Sequence[Point], figures: dict[str, float]
) -> ScoreRow:
    n, loss, gain = points[-1].sums.get(name, (0, 0.0, 0.0))
    size = board.problem.evaluation.window
    full = n >= size
    window = newest(points, name, size)
    n0, loss0, _ = window[0].sums.get(name, (0, 0.0, 0.0)) if full else (0, 0.0, 0.0)
    kind, _, version = name.partition(":")
    shadow = kind == "shadow"
    live = not shadow or version in board.live.shadows
    fresh = n - n0 if live else 0
    return ScoreRow(
        name=name,
        label=f"{version} in shadow" if shadow else title(name),
        kind=kind if shadow or name == PUBLISHED else "baseline",
        meaning=MEANING.get(name, "what this version would have said" if shadow else "a rule"),
        n=n,
        overall=shown(board, loss / n) if n else None,
        overall_sure=_width(points, name, 1),
        newest=shown(board, (loss - loss0) / fresh) if fresh else None,
        newest_n=fresh,
        newest_sure=_width(window, name, 1, begun=True) if full and live else None,
        behind=gain / n if n and name != PUBLISHED else None,
        behind_sure=_width(points, name, 2) if name != PUBLISHED else None,
        figures=figures,
    )


def title(name: str) -> str:
    """A series' name for people."""
    return {"no_change": "no change", "linear": "online linear"}.get(name, name.replace("_", " "))


def _width(points: Sequence[Point], name: str, place: int, begun: bool = False) -> float | None:
    found = half_width(points, name, place, begun)
    return None if found is None else found[0]


def figures(board: Board, rows: Sequence[ScoreRow]) -> list[Figure]:
    """The head line: each with denominator, window, delay, and how sure."""
    published = rows[0]
    return [
        _overall(board, published),
        _newest(board, published),
        _estimated(board),
        _lead(board, rows),
        _events(board),
        _rate(board),
        _labels(board),
    ]


def restated_text(board: Board) -> str:
    """The published figure by the labels as they stand now; empty while none was corrected."""
    found = board.restated.figures(board.contest.regression)
    if not board.counts.corrections or not found:
        return ""
    value = found["mae" if board.contest.regression else "accuracy"]
    return (
        f"By the labels as they stand now ({counted(board.counts.corrections, 'correction')} so far) "
        f"published has {text(board, value)} of {counted(board.restated.n, 'label')}."
    )


def honesty(row: ScoreRow) -> str:
    """How far the published uncertainty can be trusted, in words; nothing where none was published."""
    found = row.figures
    if "ece" in found:
        return (
            f"stated confidence is {100 * found['ece']:.1f} points from the share of right answers "
            f"(expected calibration error); Brier score {number(found['brier'])}, log loss "
            f"{number(found['log_loss'])}: less is better"
        )
    if "coverage" in found:
        return (
            f"{share(found['coverage'], 1)} of the labels fell into the published intervals (they aim "
            f"at {share(COVERAGE, 1)}), which are {number(found['width'])} wide on average"
        )
    return ""


def _metric(board: Board) -> str:
    return "mean absolute error" if board.contest.regression else "accuracy"


def _sure(board: Board, half: float | None) -> str:
    if half is None:
        return "too few labels yet to say how sure"
    return f"± {gap_text(board, half, signed=False)} (95 %)"


_SPREAD = (
    "The ± is a 95 % interval from the spread between blocks of consecutive labels, since errors on a "
    "stream come in runs."
)


def _overall(board: Board, row: ScoreRow) -> Figure:
    if not row.n:
        return Figure(
            "overall",
            f"Published {_metric(board)}",
            "–",
            of="no labelled prediction yet",
            how="It appears with the first label.",
        )
    right = "" if board.contest.regression else f"{count((row.overall or 0) * row.n)} right of "
    return Figure(
        "overall",
        f"Published {_metric(board)}",
        text(board, row.overall),
        _sure(board, row.overall_sure),
        f"{right}{counted(row.n, 'labelled prediction')}, from the first event on",
        "Each prediction was published before its label was known, and is scored once, by its first "
        f"label. {_SPREAD}",
    )


def _newest(board: Board, row: ScoreRow) -> Figure:
    window = board.problem.evaluation.window
    of = f"the newest {counted(row.newest_n, 'labelled prediction')}"
    if row.n < window:
        of = f"all {count(row.newest_n)} so far: fewer than the window of {count(window)}"
    return Figure(
        "newest",
        f"Newest {count(window)}",
        text(board, row.newest),
        _sure(board, row.newest_sure),
        of if row.newest_n else "no labelled prediction yet",
        f"The same {_metric(board)} over the window declared as evaluation.window in the problem file.",
    )


def _estimated(board: Board) -> Figure:
    """The champion on events without labels; see `shared/evaluation/unlabelled.py`."""
    name, told = "Estimated, before labels", board.estimated
    found = told.now()
    if found is None:
        few = f"fewer than {LEAST_EVENTS} events wait for a label"
        of = few if told.believed else "too few labels yet to judge by"
        return Figure("estimated", name, "–", "no estimate now", of, _BELIEVED)
    value = text(board, shown(board, found.loss))
    checked = "not yet checked against labels"
    if found.off_by is not None:
        off = gap_text(board, found.off_by, signed=False)
        blocks = counted(found.blocks, "block")
        checked = f"off by {off} on average when labels came ({blocks} of {count(BLOCK)})"
    return Figure(
        "estimated",
        name,
        value,
        f"± {gap_text(board, found.half, signed=False)} (95 %); {checked}",
        f"{told.champion} on the newest {counted(found.n, 'event')} without a label",
        _BELIEVED,
    )


_BELIEVED = (
    "From what the champion states of each answer (a probability, an interval), recalibrated on its "
    "labels so far. It sees inputs becoming harder. It cannot see that the same inputs come to mean "
    "something else: only labels tell that."
)


def _lead(board: Board, rows: Sequence[ScoreRow]) -> Figure:
    best = next((row for row in rows if row.kind == "baseline" and row.n), None)
    if best is None or best.behind is None:
        return Figure("lead", "Ahead of the best baseline", "–", of="no labelled prediction yet")
    half = best.behind_sure
    if half is None or abs(best.behind) <= half:
        tone, verdict = "warn", "not yet told apart"
    else:
        tone, verdict = ("good", "ahead") if best.behind > 0 else ("bad", "behind")
    return Figure(
        "lead",
        f"Against the best baseline: {best.label}",
        gap_text(board, best.behind),
        f"{_sure(board, half)}: {verdict}",
        f"same {counted(best.n, 'labelled prediction')} ({best.label} "
        f"{text(board, best.overall)})",
        f"Difference on the very same events; more is better for us. {_SPREAD}",
        tone,
    )


def _events(board: Board) -> Figure:
    counts = board.counts
    events = counts.predictions + counts.rejected_events
    labels = counts.rejected - counts.rejected_events
    rejected = f"{count(counts.rejected_events)} rejected "
    rejected += f"({share(counts.rejected_events, events)})"
    return Figure(
        "events",
        "Events",
        count(events),
        "exact",
        f"{count(counts.predictions)} predicted, {rejected}"
        + (f"; also {counted(labels, 'rejected label')}" if labels else ""),
        "Counted on the log: every event becomes one prediction or one rejected record.",
        "warn" if events and counts.rejected_events / events > 0.01 else "",
    )


def _rate(board: Board) -> Figure:
    points = board.line()[-20:] or [board.point()]
    first, last = points[0], points[-1]
    span_s = last.time_s - first.time_s
    per_second = (last.predictions - first.predictions) / span_s if span_s > 0 else None
    return Figure(
        "rate",
        "Event rate",
        rate(per_second),
        "exact, in event time" if per_second else "needs two points in time",
        f"{count(last.predictions - first.predictions)} events in {duration(span_s)}",
        f"Over the newest stretch, up to {moment(board.counts.last)}; event time is the time the "
        "events carry, not the clock on the wall.",
    )


def _labels(board: Board) -> Figure:
    counts, waiting = board.counts, board.contest.waiting
    if not counts.outcomes:
        how = "An operator or a system sends labels to the `labels` stream, by event id."
        return Figure("labels", "Label delay", "–", of="no label yet", how=how)
    middle, far = board.delay_s.quantile(0.5), board.delay_s.quantile(0.9)
    behind = board.delay_events.quantile(0.5)
    later = ""
    if behind is not None:
        later = f"{counted(int(behind), 'event')} later; " if behind else "before the next event; "
    return Figure(
        "labels",
        "Label delay",
        duration(middle),
        f"median; 9 of 10 within {duration(far)}, the longest {duration(board.delay_s.most)}",
        f"{later}{share(counts.outcomes, counts.predictions)} of predictions labelled, "
        f"{count(waiting)} waiting",
        "From an event's time to its label's time. Accuracy at any moment is about the predictions "
        "whose labels had come by then.",
    )
