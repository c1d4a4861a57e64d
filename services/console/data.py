"""The data page: what each feature looks like in some tiles, beside a reference, in words, shapes."""

from collections.abc import Mapping, Sequence
from math import isfinite, isnan, sqrt

import msgspec

from services.console.kinds import Kinds, grouped, kinds
from services.console.profiles import Snapshot
from services.console.shapes import Bar, Matrix, Strip, bars, matrix, strips, window
from services.console.words import count, counted, number, share
from shared.features.profile.block import Block
from shared.features.profile.column import DISTINCT_ERROR, Column, distance
from shared.features.profile.reference import read_reference
from shared.features.profile.tiles import Tile, merged
from shared.problem.spec import Problem
from shared.registry.live import Live

TOP = 6
QUANTILES = ((0.05, "5 %"), (0.25, "25 %"), (0.5, "median"), (0.75, "75 %"), (0.95, "95 %"))
ALL, NEWEST = "all", "newest"


class Asked(msgspec.Struct, frozen=True):
    """What the viewer chose: source ("" all), span (all, newest, or a tile's start in seconds), model
    whose training rows stand beside ("" the champion's, else all so far).
    """

    source: str = ""
    span: str = NEWEST
    model: str = ""


class Choice(msgspec.Struct, frozen=True):
    """One entry of a menu."""

    value: str
    text: str
    chosen: bool


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


class DataPage(msgspec.Struct, frozen=True):
    """Everything on the page, in words and plain values."""

    rows: int
    window: str
    beside: str
    tiles: int
    sources: list[Choice]
    spans: list[Choice]
    models: list[Choice]
    kinds: list[Kinds]
    cards: list[Card]
    matrix: Matrix


def data_page(
    snapshot: Snapshot,
    references: Mapping[str, str],
    champion: str,
    problem: Problem | None,
    asked: Asked,
) -> DataPage:
    """The page as asked. `references`: reference profiles by version, as their manifests have them."""
    tiles = _tiles(snapshot, asked.source)
    span = _chosen(tiles, asked.span, 1_000 if problem is None else problem.evaluation.window)
    now, whole = merged(span, snapshot.names), merged(tiles, snapshot.names)
    model = asked.model if asked.model in references else champion
    beside = read_reference(references[model]) if model in references else _columns(whole)
    blocks = [(tile, tile.block) for tile in tiles]
    groups, columns = grouped(problem), _columns(now)
    shown = {column for pairs in groups.values() for _, column in pairs}
    cards = [
        _card(name, columns[name], beside.get(name), blocks, _about(problem, name))
        for name in snapshot.names
        if name not in shown
    ]
    return DataPage(
        rows=now.rows,
        window=window(span),
        beside=f"training rows of {model}" if model in references else "all so far",
        tiles=len(span),
        sources=_sources(snapshot, asked.source),
        spans=_spans(tiles, asked.span),
        models=[Choice(m, f"training rows of {m}", m == model) for m in references],
        kinds=[
            kinds(name, _about(problem, name), pairs, columns, beside)
            for name, pairs in groups.items()
        ],
        cards=cards,
        matrix=matrix(now),
    )


def references(live: Live) -> dict[str, str]:
    """Reference profiles by version, as their manifests have them."""
    events = [step.event for step in live.history if step.event.manifest]
    kept = {event.model: (event.manifest or {}).get("profile") for event in events}
    return {model: profile for model, profile in kept.items() if profile}


def _tiles(snapshot: Snapshot, source: str) -> list[Tile]:
    if source in snapshot.tiles and (source or len(snapshot.tiles) == 1):
        return list(snapshot.tiles[source])
    by_span: dict[tuple[float, float], list[Tile]] = {}
    for tile in (tile for tiles in snapshot.tiles.values() for tile in tiles):
        by_span.setdefault((tile.start_s, tile.end_s), []).append(tile)
    return [
        Tile(*span, merged(tiles, snapshot.names).pack()) if len(tiles) > 1 else tiles[0]
        for span, tiles in sorted(by_span.items())
    ]


def _chosen(tiles: Sequence[Tile], span: str, least_rows: int) -> list[Tile]:
    """All, those of one start, or the newest that hold `least_rows` rows together."""
    found = [tile for tile in tiles if f"{tile.start_s:.0f}" == span]
    if span == ALL or found:
        return found or list(tiles)
    rows = 0
    for tile in reversed(tiles):
        if rows >= least_rows:
            break
        found.insert(0, tile)
        rows += tile.block.rows
    return found


def _columns(block: Block) -> dict[str, Column]:
    return {name: block.column(name) for name in block.names}


def _card(
    name: str,
    now: Column,
    beside: Column | None,
    blocks: Sequence[tuple[Tile, Block]],
    about: str,
) -> Card:
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


def _sources(snapshot: Snapshot, asked: str) -> list[Choice]:
    if len(snapshot.tiles) < 2:
        return []
    names = [("", "all sources"), *((source, source or "(none)") for source in snapshot.tiles)]
    return [Choice(value, text, value == asked) for value, text in dict(names).items()]


def _spans(tiles: Sequence[Tile], asked: str) -> list[Choice]:
    chosen = [(NEWEST, "the newest tiles"), (ALL, "all so far")]
    chosen += [(f"{tile.start_s:.0f}", window([tile])) for tile in reversed(tiles)]
    return [Choice(value, text, value == asked) for value, text in dict(chosen).items()]


def _about(problem: Problem | None, name: str) -> str:
    if problem is None:
        return ""
    spec = problem.events.fields.get(name)
    if spec is None:
        return "made from the event"
    return ", ".join(text for text in (spec.description, spec.unit) if text)
