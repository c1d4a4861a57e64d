"""One feature or field on the data page: what its values look like, in words and shapes."""

from collections.abc import Sequence
from math import isfinite, isnan, sqrt

import msgspec

from services.console.shapes import Bar, Strip, bars, strips
from services.console.words import count, counted, number, share
from shared.features.profile.block import Block
from shared.features.profile.column import DISTINCT_ERROR, Column, distance
from shared.features.profile.tiles import Tile

TOP = 6
QUANTILES = ((0.05, "5 %"), (0.25, "25 %"), (0.5, "median"), (0.75, "75 %"), (0.95, "95 %"))


class Card(msgspec.Struct, frozen=True):
    """One feature. `figures`: name, now, beside it. `distance`: Kolmogorov-Smirnov, 0 to 1."""

    name: str
    about: str
    missing: str
    distinct: str
    distance: float | None
    moved: str
    error: str
    figures: list[tuple[str, str, str]]
    bars: list[Bar]
    axis: tuple[str, str]
    top: list[tuple[str, str]]
    over_time: list[Strip]
    missing_over_time: list[Strip]
    no_bars: str = "no value in this window"
    """What stands where no histogram is."""


def card(
    name: str,
    now: Column,
    beside: Column | None,
    blocks: Sequence[tuple[Tile, Block]],
    about: str,
) -> Card:
    """Of the values `now`, those `beside` them, and each tile by itself."""
    far = None if beside is None else distance(now, beside)
    far = None if far is None or isnan(far) else far
    parts = [(tile, block.column(name)) for tile, block in blocks]
    shape, axis = bars(now, beside)
    return Card(
        name=name,
        about=about,
        missing=f"{share(now.missing, now.n + now.missing)} ({count(now.missing)} of "
        f"{counted(now.n + now.missing, 'row')})",
        distinct=_distinct(now),
        distance=far,
        moved=_moved(now, beside, far),
        error="exact: every value is kept"
        if now.exact
        else f"quantiles within {100 * now.relative_error:.2g} % of their value",
        figures=_figures(now, beside),
        bars=shape,
        axis=axis,
        top=[(number(value), share(times, now.n)) for value, times in now.top(TOP)],
        over_time=strips([(t, _far(c, beside), _far_text(c, beside)) for t, c in parts]),
        missing_over_time=strips([(t, _gone(c), _gone_text(c)) for t, c in parts]),
    )


def _distinct(column: Column) -> str:
    if column.exact:
        return count(column.distinct)
    return f"about {count(column.distinct)} (± {100 * DISTINCT_ERROR:.0f} %)"


def _moved(now: Column, beside: Column | None, far: float | None) -> str:
    """In words, beside what rows drawn alike would give: 5 % of the time more than that."""
    if far is None or beside is None:
        return "nothing to compare"
    chance = 1.36 * sqrt((now.n + beside.n) / (now.n * beside.n))
    words = "within chance" if far <= chance else "apart" if far < 0.3 else "far apart"
    return f"{words}: {far:.2f} (chance alone: up to {min(chance, 1.0):.2f})"


def _far(column: Column, beside: Column | None) -> float:
    return float("nan") if beside is None else distance(column, beside)


def _far_text(column: Column, beside: Column | None) -> str:
    far = _far(column, beside)
    return "no values" if isnan(far) else f"distance {far:.2f} over {counted(column.n, 'value')}"


def _gone(column: Column) -> float:
    return column.missing / (column.n + column.missing) if column.n + column.missing else 0.0


def _gone_text(column: Column) -> str:
    return f"{count(column.missing)} of {counted(column.n + column.missing, 'row')} missing"


def _figures(now: Column, beside: Column | None) -> list[tuple[str, str, str]]:
    rows = [("values", count(now.n), "–" if beside is None else count(beside.n))]
    pairs = [("least", now.low, beside and beside.low)]
    pairs += [(text, now.quantile(q), beside and beside.quantile(q)) for q, text in QUANTILES]
    pairs += [
        ("greatest", now.high, beside and beside.high),
        ("mean", now.mean, beside and beside.mean),
        ("deviation", now.deviation, beside and beside.deviation),
    ]
    return rows + [(name, _number(one, now), _number(other, beside)) for name, one, other in pairs]


def _number(value: float | Column | None, column: Column | None) -> str:
    if not isinstance(value, float) or column is None or not column.n or isnan(value):
        return "–"
    return number(value) if isfinite(value) else "beyond floats"
