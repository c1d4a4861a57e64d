"""Checks of parts that several sections of the problem file have."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from shared.problem.expression import Formula, FormulaError
from shared.problem.mistakes import Mistake, Path
from shared.problem.spec import FormulaKind


def formula_mistakes(
    text: str, kinds: dict[str, FormulaKind], path: Path, numeric: bool = True
) -> Iterator[Mistake]:
    """A formula that is refused, or gives text where a number is needed (`numeric`)."""
    try:
        formula = Formula(text, kinds)
    except FormulaError as error:
        yield Mistake(path, error.wrong, error.write)
        return
    if numeric and formula.kind == "text":
        yield Mistake(path, f"`{text}` gives text", "a formula that gives a number or true/false")


def zone_mistakes(name: str, path: Path) -> Iterator[Mistake]:
    """A time zone that does not exist."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        yield Mistake(path, f"`{name}` is no time zone", "a name such as UTC or Europe/Berlin")
