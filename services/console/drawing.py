"""Pieces that the live view and the closing summary share."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.console.core import Board
from services.console.story import Happening
from services.console.view import ScoreRow, gap_text, text
from services.console.words import count

STYLES = {"good": "green", "warn": "yellow", "bad": "bold red", "": ""}


def told(happening: Happening) -> RenderableType:
    """One happening: when and what, its reason indented below."""
    head = Text(f"{happening.when}  {happening.glyph} ", style="dim")
    head.append(happening.head, style=STYLES[happening.tone])
    if not happening.text:
        return head
    return Group(head, Padding(Text(happening.text), (0, 0, 0, 20)))


def scores(board: Board, rows: Sequence[ScoreRow]) -> Table:
    """Who is how good, published first; within 80 columns."""
    window = board.problem.evaluation.window
    name = "error" if board.contest.regression else "accuracy"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column(name, no_wrap=True)
    table.add_column("all so far", justify="right", no_wrap=True)
    table.add_column(f"newest {count(window)}", justify="right", no_wrap=True)
    table.add_column("published ahead by", justify="right", no_wrap=True)
    for row in rows:
        if not row.n:
            continue
        sure = "" if row.overall_sure is None else f" ±{_half(board, row.overall_sure)}"
        style = "bold cyan" if row.kind == "published" else ""
        table.add_row(
            escape(row.label),
            text(board, row.overall) + sure,
            text(board, row.newest),
            _ahead(board, row),
            style=style,
        )
    return table


def _half(board: Board, half: float) -> str:
    return gap_text(board, half, signed=False).removesuffix(" points")


def _ahead(board: Board, row: ScoreRow) -> str:
    if row.behind is None:
        return ""
    sure = "" if row.behind_sure is None else f" ±{_half(board, row.behind_sure)}"
    return gap_text(board, row.behind).removesuffix(" points") + sure
