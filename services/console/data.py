"""The data page: what each feature looks like in some tiles, beside a reference, in words, shapes."""

from collections.abc import Mapping, Sequence

import msgspec

from services.console.data_card import Card, card
from services.console.field_cards import field_cards
from services.console.fields import FieldsSnapshot
from services.console.kinds import Kinds, grouped, kinds
from services.console.profiles import Snapshot
from services.console.shapes import Matrix, matrix, window
from shared.features.profile.block import Block
from shared.features.profile.column import Column
from shared.features.profile.reference import read_reference
from shared.features.profile.tiles import Tile, merged
from shared.problem.spec import Problem
from shared.registry.live import Live

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
    fields: list[Card]
    """Fields as they came, where the features do not show them; `fields_about` says of what."""
    fields_about: str


def data_page(
    snapshot: Snapshot,
    references: Mapping[str, str],
    champion: str,
    problem: Problem | None,
    asked: Asked,
    fields: FieldsSnapshot | None = None,
) -> DataPage:
    """The page as asked. `references`: reference profiles by version, as their manifests have them."""
    tiles = snapshot.of(asked.source)
    span = _chosen(tiles, asked.span, 1_000 if problem is None else problem.evaluation.window)
    now, whole = merged(span, snapshot.names), merged(tiles, snapshot.names)
    model = asked.model if asked.model in references else champion
    beside = read_reference(references[model]) if model in references else _columns(whole)
    blocks = [(tile, tile.block) for tile in tiles]
    groups, columns = grouped(problem), _columns(now)
    shown = {column for pairs in groups.values() for _, column in pairs}
    cards = [
        card(name, columns[name], beside.get(name), blocks, _about(problem, name))
        for name in snapshot.names
        if name not in shown
    ]
    raw: list[Card] = []
    about = ""
    if fields is not None and problem is not None:
        raw, about = field_cards(fields, problem, asked.source, span)
    return DataPage(
        fields=raw,
        fields_about=about,
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
