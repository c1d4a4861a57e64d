"""What every format makes of a row, and how cells become JSON values, labels, ids and times."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from difflib import get_close_matches
from math import isinf, isnan
from pathlib import Path
from typing import Any, NamedTuple

from shared.errors import UsageError
from shared.messages.types import Value
from shared.problem.cells import BOOLEANS, MISSING, number_of
from shared.problem.scalars import scalar_text
from shared.problem.spec import Problem, Scalar
from shared.problem.times import parse_time

_SCALARS = (bool, int, float, str)


class Row(NamedTuple):
    """One row of a file: the event as JSON bytes, without the label.

    `label` None: the row has none. `id`, `time`, `key`: as the problem file maps them, None where it
    does not or where the row has nothing usable there (the validator will say so). Times are in UTC.
    """

    event: bytes
    label: Value | None = None
    id: str | None = None
    time: datetime | None = None
    key: str | None = None


class LabelLine(NamedTuple):
    """A label from a file of labels, as its bytes; `time` None: it comes after all events."""

    value: bytes
    id: str | None
    time: datetime | None


def json_number(value: float) -> float | str | None:
    """A float as JSON can hold it: NaN is missing; an infinity stays visible, as text."""
    if isnan(value):
        return None
    if isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def text_of(value: Any) -> str | None:
    """An id or a key as text; None when it is missing, no scalar, or no Unicode text."""
    if isinstance(value, str):
        return value if is_unicode(value) else None
    return scalar_text(value) if isinstance(value, bool | int | float) else None


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8: JSON escapes can hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def time_of(value: Any) -> datetime | None:
    """Event time in UTC, as the validator reads it; None when there is none in `value`."""
    if isinstance(value, datetime):
        return value
    try:
        return parse_time(value)
    except ValueError:
        return None


def cell_readers(problem: Problem) -> Mapping[str, Callable[[str], Any]]:
    """For each declared field: from the text of a cell to the JSON value of the declared type.

    Text that does not fit stays text, for the validator to reject with the reason.
    """
    readers: dict[str, Callable[[str], Any]] = {}
    for name, spec in problem.events.fields.items():
        if spec.type in ("number", "integer"):
            readers[name] = _number_cell
        elif spec.type == "boolean":
            readers[name] = _boolean_cell
        elif spec.type == "category" and spec.categories:
            readers[name] = _one_of(spec.categories)
    return readers


def label_reader(problem: Problem) -> Callable[[Any], Value | None]:
    """From a cell (text or value) to the label: a declared class, a number, or the cell as it is.

    Files often hold classes in another dress (`1.0` or `true` for the class 1): that is undone here.
    What is no class stays, for the joiner to reject.
    """
    known: dict[Any, Scalar] = {value: value for value in problem.label.classes or ()}
    spelled = {scalar_text(value): value for value in known.values()}

    def read(cell: Any) -> Value | None:
        if isinstance(cell, str):
            if cell in spelled:
                return spelled[cell]
            plain = plain_cell(cell)
            return plain if isinstance(plain, str) else known.get(plain, plain)
        if isinstance(cell, float):
            cell = json_number(cell)
        if cell is None or isinstance(cell, _SCALARS):
            return known.get(cell, cell)
        return str(cell)

    return read


def text_cell(text: str) -> str | None:
    """A cell of text: nothing written is missing."""
    return text or None


def plain_cell(text: str) -> Any:
    """A cell that may hold a number, a boolean or one of the usual words for nothing; else text."""
    number = number_of(text)
    if number is not None:
        return number
    word = text.strip().lower()
    return None if word in MISSING else BOOLEANS.get(word, text)


def time_cell(text: str) -> Any:
    """A cell with a time: a number since 1970, or text."""
    number = number_of(text)
    return text_cell(text) if number is None else number


def check_columns(columns: Collection[str], path: Path, problem: Problem) -> None:
    """Refuse a file that lacks what the problem file needs of every event.

    Raises:
        UsageError: names the columns that are missing, and the nearest ones that are there.
    """
    events = problem.events
    needed = [("events.id", events.id), ("events.time", events.time), ("events.key", events.key)]
    needed += [(f"events.fields.{n}", n) for n, spec in events.fields.items() if spec.required]
    lacking = [(where, name) for where, name in needed if name and name not in columns]
    if len(set(columns)) < len(columns):
        twice = sorted({name for name in columns if list(columns).count(name) > 1})
        raise UsageError(
            f"{path}: column {', '.join(twice)} stands there twice; rename one of them."
        )
    if lacking:
        raise UsageError(
            "\n".join(_lacking(path, where, name, columns) for where, name in lacking)
        )


def _lacking(path: Path, where: str, name: str, columns: Collection[str]) -> str:
    near = get_close_matches(name, columns, 1)
    hint = f"Did you mean `{near[0]}`?" if near else f"The columns are {', '.join(columns)}."
    return f"{path}: there is no column `{name}`, which the problem file names at {where}. {hint}"


def _number_cell(text: str) -> Any:
    value = number_of(text)
    if value is not None:
        return value
    return None if text.strip().lower() in MISSING else text


def _boolean_cell(text: str) -> Any:
    word = text.strip().lower()
    return None if word in MISSING else BOOLEANS.get(word, text)


def _one_of(categories: list[Scalar]) -> Callable[[str], Any]:
    spelled: dict[str, Scalar] = {scalar_text(value): value for value in categories}
    return lambda text: spelled.get(text, text) if text else None
