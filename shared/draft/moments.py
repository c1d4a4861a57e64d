"""How times are written: the format in which every cell of a column is a time."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.problem.cells import formatted_time
from shared.problem.times import parse_time

F64 = npt.NDArray[np.float64]
_DAYS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y",
    "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%Y-%m-%d",
)  # fmt: skip
_HOURS = (
    "", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", ", %H:%M",
    " %H:%M UTC", " %H:%M:%S UTC", " %H:%M:%S %z",
)  # fmt: skip
_WHOLE = (
    "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y",
    "%d/%b/%Y:%H:%M:%S %z",
)  # fmt: skip
_DIGITS = {
    8: ("%Y%m%d",), 10: ("%Y%m%d%H",), 12: ("%Y%m%d%H%M",), 14: ("%Y%m%d%H%M%S",),
    16: ("us",), 19: ("ns",),
}  # fmt: skip
_FIRST = 200
"""Distinct cells on which formats are tried before all are read."""


class Moments(NamedTuple):
    """A column of times. `format` None: as `parse_time` reads them. `seconds`: since 1970, NaN where
    the cell is missing. `other`: a second format that fits every cell too.
    """

    format: str | None
    seconds: F64
    other: str | None = None


def moments_of(cells: Sequence[Any]) -> Moments | None:
    """`cells` (text, whole numbers, None) as times; None when some cell is none.

    Where two formats fit (day or month first), the one in whose order the rows stand more steadily.
    """
    known = list(dict.fromkeys(cell for cell in cells if cell is not None))[:_FIRST]
    if not known:
        return None
    fitting = [
        Moments(written, seconds)
        for written in _candidates(known)
        if all(_seconds(cell, written) is not None for cell in known)
        and (seconds := _all(cells, written)) is not None
    ]
    if not fitting:
        return None
    best = min(fitting, key=lambda moments: _unsteadiness(moments.seconds))
    others = [moments.format for moments in fitting if moments is not best]
    return best._replace(other=others[0] if others else None)


def _candidates(known: list[Any]) -> list[str | None]:
    first = known[0]
    if isinstance(first, int):
        return list(_DIGITS.get(len(str(first)), ()))
    if _seconds(first, None) is not None and not str(first).strip().isdigit():
        return [None]
    both = [day + hour for day, hour in product(_DAYS, _HOURS)]
    return [written for written in (*both, *_WHOLE) if _seconds(first, written) is not None]


def _seconds(cell: Any, written: str | None) -> float | None:
    value = cell if written is None else formatted_time(cell, written)
    if written is not None and value is cell:
        return None
    try:
        time = parse_time(value)
    except ValueError:
        return None
    return time.timestamp() if 1900 <= time.year <= 2100 else None


def _all(cells: Sequence[Any], written: str | None) -> F64 | None:
    found = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell is not None:
            seconds = _seconds(cell, written)
            if seconds is None:
                return None
            found[row] = seconds
    return found


def _unsteadiness(seconds: F64) -> float:
    steps = np.diff(seconds[~np.isnan(seconds)])
    return float(np.abs(steps).sum())
