"""Fields as they came, on the data page: those that the features do not show as they were."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from services.console.data_card import TOP, Card, card
from services.console.fields import FieldsSnapshot
from services.console.shapes import window
from services.console.words import counted, listed, moment, share
from shared.features.profile.column import Column
from shared.features.profile.tiles import Tile, merged
from shared.problem.spec import FieldSpec, Problem


def field_cards(
    kept: FieldsSnapshot, problem: Problem, source: str, span: Sequence[Tile]
) -> tuple[list[Card], str]:
    """A card each over the time of the tiles `span`, beside all so far; and what they rest on."""
    profiles = kept.profiles
    same = f"As they are, and so among the features: {listed(kept.same, 12)}." if kept.same else ""
    if not profiles.names or problem.profile.share == 0.0:
        off = "" if not profiles.names else "Not profiled (profile.share is 0). "
        return [], f"{off}{same}"
    tiles = profiles.of(source)
    chosen = [t for t in tiles if span and _meets(t, span[0].start_s, span[-1].end_s)]
    now, whole = merged(chosen, profiles.names), merged(tiles, profiles.names)
    blocks = [(tile, tile.block) for tile in tiles]
    cards = []
    for name in profiles.names:
        spec = problem.events.fields[name]
        made = card(name, now.column(name), whole.column(name), blocks, _about(spec))
        column, texts = now.column(name), kept.texts.get(name, {})
        if name == problem.events.key or spec.type == "category":
            made = _named(made, column, texts)
        elif spec.type == "text":
            made = _counted(made, "free text: only how many, and how many different ones")
        elif spec.type == "time":
            made = _times(made, column)
        cards.append(made)
    about = (
        f"Before cleaning and encoding, of accepted events: {share(problem.profile.share, 1)} of them "
        f"by a hash of their ids (profile.share), {counted(now.rows, 'row')} here, {window(chosen)}; "
        f"lines and the column beside: all so far. {same}"
    )
    return cards, about


def _meets(tile: Tile, start_s: float, end_s: float) -> bool:
    """Fewer rows may lie in other tiles than the features' own, the further back the longer."""
    return tile.start_s < end_s and start_s < tile.end_s


def _about(spec: FieldSpec) -> str:
    what = f"{spec.type}, unit {spec.unit}" if spec.unit else spec.type
    return f"{spec.description} ({what})" if spec.description else what


def _counted(made: Card, why: str, error: str = "compared by hashes of the values") -> Card:
    """Values that are no numbers to reckon with: how many there are."""
    values = [row for row in made.figures if row[0] == "values"]
    return msgspec.structs.replace(made, figures=values, bars=[], top=[], no_bars=why, error=error)


def _named(made: Card, column: Column, texts: Mapping[int, str]) -> Card:
    top = [
        (texts.get(int(code), "(a later value)"), share(times, column.n))
        for code, times in column.top(TOP)
    ]
    why = "a category" if top else "more than 512 values: none is named"
    return msgspec.structs.replace(_counted(made, why if column.n else made.no_bars), top=top)


def _times(made: Card, column: Column) -> Card:
    if not column.n:
        return _counted(made, made.no_bars)
    first, last = (moment(datetime.fromtimestamp(at, UTC)) for at in (column.low, column.high))
    return _counted(made, f"times from {first} to {last}", made.error)
