"""What a column holds, from its cells alone."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shared.draft.moments import F64, Moments, moments_of
from shared.problem.cells import BOOLEANS, MISSING, number_of, with_point
from shared.problem.scalars import scalar_text

I64 = npt.NDArray[np.int64]
Kind = Literal["number", "integer", "boolean", "time", "words", "nested", "empty"]
_NOTHING = frozenset({"?", "-", "--", "---", ".", "..", "*", "#n/a", "unknown", "missing", "nil"})
_MOSTLY = 0.98
"""Share of cells that must be numbers for a column of numbers; the others would be rejected."""
_BIGGEST = 2**63
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(,[0-9]{3})*(\.[0-9]+)?")


@dataclass(frozen=True)
class Column:
    """`title`: its name in the file; `name`: in the event. `counts`: how often each value stands there.

    `numbers`: one for each row, NaN where there is none. `nothing`: words that stand for a missing
    value. `odd`: the first cell that does not fit the kind, as row and text. `quoted`: numbers or truth
    values that are written as text.
    """

    title: str
    name: str
    kind: Kind
    rows: int
    missing: int
    absent: int
    counts: Mapping[Any, int] = field(repr=False)
    cells: Sequence[Any] = field(repr=False)
    numbers: F64 | None = field(default=None, repr=False)
    moments: Moments | None = field(default=None, repr=False)
    nothing: tuple[str, ...] = ()
    odd: tuple[int, str] | None = None
    odds: int = 0
    quoted: bool = False

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers."""
        return self.kind in ("number", "integer")

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole, `1.0` included."""
        return self.numeric and all(float(value).is_integer() for value in self.counts)

    @property
    def codes(self) -> I64:
        """[rows] the number of each row's value, in ascending order of values; -1: missing."""
        if self.numbers is not None:
            codes = np.unique(self.numbers, return_inverse=True)[1]
            return np.where(np.isnan(self.numbers), -1, codes)
        texts = ["" if cell is None else _text(cell) for cell in self.cells]
        codes = np.unique(texts, return_inverse=True)[1]
        return np.where(np.array(texts) == "", -1, codes)

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def constant(self) -> bool:
        """Whether all rows hold the same value."""
        return len(self.counts) == 1 and self.missing == 0

    @property
    def unique(self) -> bool:
        """Whether each row has a value of its own."""
        return self.missing == 0 and len(self.counts) == self.rows > 1


def look(
    title: str, name: str, cells: Sequence[Any], absent: int, text: bool, comma: bool
) -> Column:
    """The column of `cells`. `text`: they are CSV text; `comma`: with decimal commas."""
    known = [None if _is_missing(cell, text) else cell for cell in cells]
    missing = known.count(None)
    rest = [cell for cell in known if cell is not None]
    basis: dict[str, Any] = {
        "title": title, "name": name, "rows": len(cells), "missing": missing, "absent": absent,
        "cells": cells,
    }  # fmt: skip
    if not rest:
        return Column(kind="empty", counts={}, **basis)
    if any(isinstance(cell, list | dict) for cell in rest):
        return Column(kind="nested", counts={}, **basis)
    if all(_boolean(cell) is not None for cell in rest):
        counts = Counter(_boolean(cell) for cell in rest)
        quoted = not text and not isinstance(rest[0], bool)
        return Column(kind="boolean", counts=counts, quoted=quoted, **basis)
    return _numbers(known, basis, text, comma) or _words(cells, known, basis)


def _numbers(known: list[Any], basis: dict[str, Any], text: bool, comma: bool) -> Column | None:
    """A column of numbers, if these are."""
    parsed = [None if cell is None else _number(cell, comma) for cell in known]
    others = Counter(
        str(cell)
        for cell, value in zip(known, parsed, strict=True)
        if cell is not None and value is None
    )
    rest = len(known) - basis["missing"]
    found = rest - others.total()
    words = {word.strip() for word in others}
    stands_for_nothing = text and found > 0 and {word.lower() for word in words} <= _NOTHING
    if not stands_for_nothing and found < max(1, _MOSTLY * rest):
        return None
    values = [value for value in parsed if value is not None]
    whole = all(isinstance(value, int) for value in values)
    numbers = np.array([np.nan if value is None else float(value) for value in parsed])
    if stands_for_nothing:
        basis = basis | {"missing": basis["missing"] + others.total()}
    return Column(
        kind="integer" if whole else "number",
        counts=Counter(values),
        numbers=numbers,
        nothing=tuple(sorted(words)) if stands_for_nothing else (),
        odd=None if stands_for_nothing else _first_odd(known, parsed),
        odds=0 if stands_for_nothing else others.total(),
        quoted=not text and any(isinstance(cell, str) for cell in known),
        **basis,
    )


def _first_odd(known: list[Any], parsed: list[Any]) -> tuple[int, str] | None:
    pairs = zip(known, parsed, strict=True)
    odd = (n for n, (cell, value) in enumerate(pairs) if cell is not None and value is None)
    row = next(odd, None)
    return None if row is None else (row, str(known[row]))


def _words(cells: Sequence[Any], known: list[Any], basis: dict[str, Any]) -> Column:
    """A column of text: here words such as NA are words."""
    moments = moments_of([None if cell is None else _text(cell) for cell in known])
    if moments is not None:
        counts = Counter(_text(cell) for cell in known if cell is not None)
        return Column(kind="time", counts=counts, moments=moments, **basis)
    texts = [_text(cell) for cell in cells if cell is not None and cell != ""]
    basis = basis | {"missing": len(cells) - len(texts)}
    return Column(kind="words" if texts else "empty", counts=Counter(texts), **basis)


def decimal_comma(columns: Iterable[Sequence[Any]], delimiter: str | None) -> bool:
    """Whether more columns of CSV text are numbers with a decimal comma than without.

    Where the comma delimits too, `1,234` says nothing: it may as well group thousands.
    """
    point = comma = 0
    for cells in columns:
        known = [cell for cell in cells if not _is_missing(cell, True)]
        if delimiter == "," and all(_GROUPED.fullmatch(cell.strip()) for cell in known):
            continue
        if known and any("," in cell for cell in known):
            comma += all(number_of(with_point(cell)) is not None for cell in known)
        elif known and any("." in cell for cell in known):
            point += all(number_of(cell) is not None for cell in known)
    return comma > point


def _is_missing(cell: Any, text: bool) -> bool:
    if text and isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or (isinstance(cell, float) and cell != cell)


def _boolean(cell: Any) -> bool | None:
    if isinstance(cell, bool):
        return cell
    return BOOLEANS.get(cell.strip().lower()) if isinstance(cell, str) else None


def _number(cell: Any, comma: bool) -> int | float | None:
    """The number in a cell; None: there is none that an event may hold (64 bits, finite)."""
    if isinstance(cell, str):
        cell = number_of(with_point(cell) if comma else cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    if isinstance(cell, int):
        return cell if abs(cell) < _BIGGEST else None
    return cell if isfinite(cell) else None


def _text(cell: Any) -> str:
    return scalar_text(cell) if isinstance(cell, bool | int | float | str) else str(cell)
