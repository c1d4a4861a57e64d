"""Shapes on the data page: histograms, rows of tiles, the matrix of correlations; no styles in them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite, isnan

import msgspec
import numpy as np
import numpy.typing as npt

from services.console.words import counted, moment, number
from shared.features.profile.block import PAIRED, Block
from shared.features.profile.column import Column
from shared.features.profile.tiles import Tile

BARS = 30
WIDTH, HEIGHT = 300.0, 70.0


class Bar(msgspec.Struct, frozen=True):
    """One interval of a histogram; x, width, and both heights are in units of the picture."""

    x: float
    width: float
    now: float
    beside: float
    text: str


class Strip(msgspec.Struct, frozen=True):
    """One tile in a row of tiles; `tenth`: its figure from 0 to 10."""

    x: float
    width: float
    tenth: int
    text: str


class Matrix(msgspec.Struct, frozen=True):
    """Correlations: names, and rows of (text, tenth of |r|, sign, explanation)."""

    names: list[str]
    rows: list[list[tuple[str, int, str, str]]]
    left_out: int


def bars(now: Column, beside: Column | None) -> tuple[list[Bar], tuple[str, str]]:
    """Both histograms over the middle 98 % of both together; the tails are in the outer bars."""
    columns = [column for column in (now, beside) if column is not None and column.n]
    if not columns:
        return [], ("", "")
    low = min(column.quantile(0.01) for column in columns)
    high = max(column.quantile(0.99) for column in columns)
    if not isfinite(high - low):
        return [], ("", "")
    cuts = _cuts(low, high)
    shares = [_tailed(column, cuts) for column in (now, beside)]
    most = float(next(s for s in shares if s is not None).max())
    width = WIDTH / (len(cuts) - 1)
    bars = []
    for i, (a, b) in enumerate(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)):
        one, other = (_share(s, i) for s in shares)
        text = f"{number(a)} to {number(b)}: {100 * one:.1f} % now, {100 * other:.1f} % beside"
        bars.append(
            Bar(i * width, width, HEIGHT * one / most, min(HEIGHT, HEIGHT * other / most), text)
        )
    return bars, (number(float(cuts[0])), number(float(cuts[-1])))


def _cuts(low: float, high: float) -> npt.NDArray[np.float64]:
    if high <= low:
        reach = max(abs(low), 1.0) / 2
        low, high = low - reach, high + reach
    return np.linspace(low, high, BARS + 1)


def _tailed(
    column: Column | None, cuts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64] | None:
    if column is None or not column.n:
        return None
    ends = cuts.copy()
    ends[0], ends[-1] = min(cuts[0], column.low), max(cuts[-1], column.high)
    return column.shares(ends)


def _share(shares: npt.NDArray[np.float64] | None, i: int) -> float:
    return 0.0 if shares is None else float(shares[i])


def strips(parts: Sequence[tuple[Tile, float, str]]) -> list[Strip]:
    """One a tile, as wide as its time."""
    if not parts:
        return []
    start = parts[0][0].start_s
    scale = WIDTH / max(parts[-1][0].end_s - start, 1.0)
    return [
        Strip(
            (tile.start_s - start) * scale,
            max((tile.end_s - tile.start_s) * scale, 0.5),
            0 if isnan(value) else min(10, int(np.ceil(10 * value))),
            f"{window([tile])}: {text}",
        )
        for tile, value, text in parts
    ]


def matrix(block: Block) -> Matrix:
    """Pearson's r of each pair of the first columns."""
    r, n = block.correlation()
    names = list(block.names[: block.paired])
    rows = [
        [
            (
                "–" if isnan(r[i, j]) else f"{r[i, j]:.2f}",
                0 if isnan(r[i, j]) else int(np.ceil(10 * abs(r[i, j]))),
                "minus" if r[i, j] < 0 else "plus",
                f"{a} with {b}: over {counted(int(n[i, j]), 'row')} that have both",
            )
            for j, b in enumerate(names)
        ]
        for i, a in enumerate(names)
    ]
    return Matrix(names, rows, max(0, len(block.names) - PAIRED))


def window(tiles: Sequence[Tile]) -> str:
    """From when to when."""
    if not tiles:
        return "no tile yet"
    return f"{_time(tiles[0].start_s)} to {_time(tiles[-1].end_s)}"


def _time(seconds: float) -> str:
    return moment(datetime.fromtimestamp(seconds, UTC))
