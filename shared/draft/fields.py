"""The declaration of each field, from what its column holds."""

import re
from collections.abc import Sequence
from math import floor, log10
from typing import Any, NamedTuple

from shared.draft.column import Column
from shared.draft.names import unit_of
from shared.problem.cells import number_of
from shared.problem.scalars import identifier

MOST_CATEGORIES = 20
_WIDE = 200
"""Columns from which on a category gets one feature instead of one for each value."""
_EXAMPLES = 3
_A_VALUE = 5
"""Rows a value from which on other names for the same values are told from chance."""
_LEAST_SPAN, _MOST_SPAN = 1e-300, 1e300
_NEARLY, _MOSTLY_DRESSED = 0.5, 0.98
"""Shares of cells that are numbers, or would be without a unit or a thousands separator."""
_DRESSED = re.compile(r"[^\w\s]{0,3}\s?[0-9][0-9.,' ]*\s?([%°€$£¥]|[A-Za-z]{1,3})?")
_ENOUGH = 20
"""Rows from which on two columns that say the same do not so by chance."""


class Declared(NamedTuple):
    """A field: its options as in the problem file, and what to say of it. None: it is left out."""

    options: dict[str, Any] | None
    comment: str


def declared(column: Column, target: Column, is_key: bool, wide: bool) -> Declared:
    """How `column` is declared; `wide`: the file has many columns."""
    if column.kind == "empty":
        return Declared(None, "no row has a value")
    if column.kind == "nested":
        return Declared(None, "lists or objects; a field is one value")
    options, comment = _typed(column, is_key, wide)
    if column.quoted:
        options["coerce"] = True
    if column.absent:
        options["required"] = False
    if column.missing:
        comment += f"; {column.missing:,} missing"
    if column.odds and column.odd:
        comment += f"; {column.odds:,} hold other text (`{column.odd[1][:20]}`) and are rejected"
    if options["type"] == "text":
        return Declared(options, comment)
    if column.constant:
        options["feature"] = False
        comment += "; constant, so no feature"
    elif says_the_same(column, target):
        options["feature"] = False
        comment += (
            f"; says the same as `{target.title}`, so no feature (would it be known beforehand?)"
        )
    return Declared(options, comment)


def _typed(column: Column, is_key: bool, wide: bool) -> tuple[dict[str, Any], str]:
    if column.numeric and not is_key:
        return _number(column)
    if column.kind == "boolean":
        return {"type": "boolean"}, "true or false"
    if column.kind == "time":
        return {"type": "text"}, "a time; not used (events.time could name it)"
    return _words(column, is_key, wide)


def says_the_same(column: Column, target: Column) -> bool:
    """Whether the column is the target, as it is or under other names for its values."""
    count = len(target.counts)
    if column.rows < _ENOUGH or len(column.counts) != count or column.missing != target.missing:
        return False
    if count * _A_VALUE > target.known:  # where all values differ, any two columns go together
        return column.counts == target.counts and bool((column.codes == target.codes).all())
    return len(set(zip(column.codes.tolist(), target.codes.tolist(), strict=True))) <= count + 1


def _number(column: Column) -> tuple[dict[str, Any], str]:
    low, high = min(column.counts), max(column.counts)
    options: dict[str, Any] = {"type": column.kind}
    if low < high and (bounds := slack(low, high)) is not None:
        options["range"] = bounds
    if unit := unit_of(column.title):
        options["unit"] = unit
    return options, f"{low:.6g} to {high:.6g} seen" if low < high else f"{low:.6g} seen"


def slack(low: float, high: float) -> list[float] | None:
    """Bounds a whole span below and above what was seen, rounded outwards to two digits.

    None: they would lie beyond what a number can hold.
    """
    span = float(high) - float(low)
    if not _LEAST_SPAN < span < _MOST_SPAN:
        return None
    step = 10.0 ** (floor(log10(span)) - 1)
    digits = max(0, -floor(log10(step)))
    bounds = floor((low - span) / step) * step, -floor(-(high + span) / step) * step
    if digits == 0 and max(map(abs, bounds)) < 1e15:
        return [int(bound) for bound in bounds]
    return [round(bound, digits) for bound in bounds]


def _words(column: Column, is_key: bool, wide: bool) -> tuple[dict[str, Any], str]:
    count = len(column.counts)
    few = count <= (3 if wide else MOST_CATEGORIES)
    values = sorted(column.counts, key=lambda v: (str(type(v)), v))
    shown = ", ".join(f"`{str(v)[:20]}`" for v in values[:_EXAMPLES])
    if few and _told_apart(values):
        options = {"type": "category", "categories": values, "unseen": "other"}
        return options, f"{count} values"
    doubt = "" if is_key else nearly_numbers(column)
    if count * 2 <= column.known or is_key:
        how = "frequency" if wide else "hash"
        return {"type": "category", "encode": how}, f"{count:,} values, such as {shown}{doubt}"
    return {"type": "text"}, f"free text, such as {shown}; no feature{doubt}"


def nearly_numbers(column: Column) -> str:
    """Why a column of words could have been one of numbers; nothing where it could not."""
    texts = {text: count for text, count in column.counts.items() if isinstance(text, str)}
    plain = sum(count for text, count in texts.items() if number_of(text) is not None)
    if plain == column.known:  # beyond what an event may hold
        return ""
    if plain >= _NEARLY * column.known:
        other = next(str(v) for v in column.counts if v not in texts or number_of(v) is None)
        return f"; {plain / column.known:.0%} are numbers, but not `{other[:20]}`"
    dressed = sum(count for text, count in texts.items() if _DRESSED.fullmatch(text.strip()))
    if dressed >= _MOSTLY_DRESSED * column.known:
        return f"; numbers are not written as in `{next(iter(texts))[:20]}`"
    return ""


def _told_apart(values: Sequence[Any]) -> bool:
    """Whether each value gives a feature's name of its own."""
    names = [identifier(str(value)) for value in values]
    return len({*names, "other"}) == len(names) + 1


def is_wide(columns: int) -> bool:
    """Whether a file of so many columns needs sparing features."""
    return columns > _WIDE
