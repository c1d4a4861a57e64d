"""The run in the terminal: a live view while it goes, and a summary that explains itself."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from services.console.closing import closing
from services.console.core import Board
from services.console.drawing import STYLES, scores, told
from services.console.story import story
from services.console.timeline import windowed
from services.console.view import score_rows, shown, text
from services.console.words import count, counted, moment
from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s

LIVE_S = 0.5
PLAIN_S = 5.0
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 80


class Terminal:
    """Progress on standard error, the closing summary on standard output.

    `show` is called by the loop after every turn and costs a comparison unless something is due: a
    redraw twice a second on a terminal, else a plain line every few seconds. `quiet`: neither.
    """

    def __init__(
        self, problem: Problem, quiet: bool = False, console: Console | None = None
    ) -> None:
        self._problem = problem
        self._quiet = quiet
        self._console = console or Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._told: set[str] | None = None
        self._shown_s = float("-inf")
        self._speed: tuple[float, int, float] = (elapsed_s(), -1, 0.0)

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(escape(line), soft_wrap=True)

    def show(self, board: Board) -> None:
        """Progress, if it is due."""
        now = elapsed_s()
        if self._quiet or now - self._shown_s < (LIVE_S if self._live else PLAIN_S):
            return
        self._shown_s = now
        self._tell(board)
        speed = self._speed_per_s(board, now)
        if self._live is not None:
            self._live.update(_panel(board, speed), refresh=True)
        elif board.counts.predictions:
            self._console.print(_line(board, speed), soft_wrap=True)

    def summary(self, board: Board, summary: Mapping[str, Any]) -> None:
        """The end of the story, for a stranger."""
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=_WIDTH + 20)
        console.print(closing(board, summary))

    def _tell(self, board: Board) -> None:
        """New happenings, one line each; those of an earlier run are not told again."""
        happenings = story(board)
        if self._told is None:
            self._told = {h.key for h in happenings} if self._speed[1] < 0 else set()
        for happening in happenings:
            if happening.key not in self._told:
                self._told.add(happening.key)
                self._console.print(told(happening))

    def _speed_per_s(self, board: Board, now: float) -> float:
        at, before, speed = self._speed
        place = board.counts.predictions
        if before < 0:
            self._speed = (now, place, 0.0)
        elif now - at >= 1.0:
            speed = (place - before) / (now - at)
            self._speed = (now, place, speed)
        return speed


def _line(board: Board, speed: float) -> str:
    """The plain progress line."""
    rows = score_rows(board)
    mine = rows[0]
    best = next((row for row in rows if row.kind == "baseline" and row.n), None)
    parts = [
        f"{moment(board.counts.last)}",
        f"{count(board.counts.predictions)} predicted",
        f"{text(board, mine.overall)} of {count(mine.n)} labelled"
        if not board.contest.regression
        else f"error {text(board, mine.overall)} over {count(mine.n)} labelled",
    ]
    if best is not None:
        parts.append(f"{best.label} {text(board, best.overall)}")
    parts += [f"champion {board.live.champion or '–'}", f"{count(speed)} events/s"]
    return " · ".join(parts)


def _panel(board: Board, speed: float) -> RenderableType:
    """The live view: at most 80 columns, some 18 lines."""
    problem, counts = board.problem, board.counts
    if not counts.predictions:
        body: RenderableType = Text("Waiting for the first event.")
    else:
        rows = score_rows(board)
        body = Group(
            _counting(board, speed), Text(), scores(board, rows), *_lines(board), _now(board)
        )
    title = f"headrace · {problem.name}"
    return Panel(body, title=escape(title), title_align="left", width=_WIDTH, border_style="cyan")


def _counting(board: Board, speed: float) -> Text:
    counts = board.counts
    line = Text(f"{moment(counts.last)}", style="bold")
    line.append(f"   {count(speed)} events a second\n", "not bold dim")
    line.append(
        f"{count(counts.predictions)} predicted · {count(counts.outcomes)} labelled · ", "not bold"
    )
    line.append(
        f"{count(counts.rejected)} rejected", STYLES["warn"] if counts.rejected else "not bold"
    )
    return line


def _lines(board: Board) -> list[RenderableType]:
    """The published figure over the run, as a line of blocks."""
    points = board.line()
    values = [
        shown(board, loss)
        for loss in windowed(points, "published", board.problem.evaluation.window)
    ]
    known = [value for value in values if value is not None]
    if len(known) < 4:
        return []
    low, high = min(known), max(known)
    line = spark(values, 32, low, high)
    return [
        Text(),
        Text.assemble(
            ("newest over time ", "dim"), (line, "cyan"),
            (f"  {text(board, low)} to {text(board, high)}", "dim"),
        ),
    ]  # fmt: skip


def spark(values: Sequence[float | None], width: int, low: float, high: float) -> str:
    """Values as a row of at most `width` blocks, `low` lowest and `high` highest; gaps are blank."""
    step = max(1, -(-len(values) // width))
    span = (high - low) or 1.0
    blocks = []
    for start in range(0, len(values), step):
        part = [value for value in values[start : start + step] if value is not None]
        if part:
            level = (sum(part) / len(part) - low) / span
            blocks.append(_BARS[min(int(level * len(_BARS)), len(_BARS) - 1)])
        else:
            blocks.append(" ")
    return "".join(blocks)


def _now(board: Board) -> Text:
    """Who serves, who is being tried, what is under way."""
    live, ledger = board.live, board.ledger
    jobs = [row.job for _, row in ledger.jobs.items()]
    under_way = [j.job for j in jobs if j.state in ("requested", "running", "trained")]
    pages = [row for _, row in ledger.alerts.items() if row.alert.severity == "page"]
    open_pages = sum(row.alert.state != "resolved" for row in pages)
    line = Text(f"\nchampion {live.champion or '–'}", style="bold")
    line.append(f" · shadow {', '.join(live.shadows) or 'none'}", "")
    line.append(f" · retraining {', '.join(under_way) or 'none'}", "")
    line.append(f" · {counted(open_pages, 'open page')}", STYLES["bad"] if open_pages else "")
    return line
