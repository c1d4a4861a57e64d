"""What `source` says of how a file is written, undone: names, decimals, words for nothing, times."""

from collections.abc import Callable, Sequence
from typing import Any

from shared.problem.cells import formatted_time, with_point
from shared.problem.spec import Problem

Reader = Callable[[str], Any]
_NUMBERS = ("number", "integer")


class Written:
    """How the files of one problem are written; without a `source` section, plainly."""

    def __init__(self, problem: Problem) -> None:
        source = problem.source
        self.columns = source.columns if source else {}
        self.delimiter = source.delimiter if source else None
        self._comma = source is not None and source.decimal == ","
        self._missing = frozenset(source.missing if source else ())
        self._time_format = source.time_format if source else None
        self.time = problem.events.time if self._time_format else None
        """The field whose times need `moment`; None: no field."""
        fields = problem.events.fields.items()
        self._numbers = {name for name, spec in fields if spec.type in _NUMBERS}
        if problem.task == "regression":
            self._numbers.add(problem.label.field)

    def names(self, columns: Sequence[str]) -> list[str]:
        """The names in the event of a file's columns."""
        return [self.columns.get(column, column) for column in columns]

    def moment(self, value: Any) -> Any:
        """A time as RFC 3339; what does not fit stays, for the validator to reject."""
        return formatted_time(value, self._time_format) if self._time_format else value

    def reader(self, name: str, read: Reader) -> Reader:
        """`read` for the cells of the field `name`, with what this file does otherwise undone."""
        if name == self.time:
            read = self.moment
        if self._comma and name in self._numbers:
            read = _after(with_point, read)
        return self._with_missing(read) if self._missing else read

    def _with_missing(self, read: Reader) -> Reader:
        missing = self._missing
        return lambda text: None if text.strip() in missing else read(text)


def _after(first: Callable[[str], str], read: Reader) -> Reader:
    return lambda text: read(first(text))
