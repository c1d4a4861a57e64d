"""The first rows of a file, as columns of cells."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple


class Sample(NamedTuple):
    """`columns[i]` holds the cells of the column `names[i]`: text from CSV, values from the others.

    None: the cell is missing. `absent[i]`: rows that do not have the column at all (JSON lines).
    `lines[r]`: where the row r stands, counting from 1. `broken`: lines that cannot be read (the first
    few). `whole`: whether these are all rows of the file.
    """

    file: str
    form: Literal["csv", "jsonl", "parquet"]
    names: Sequence[str]
    columns: Sequence[list[Any]]
    absent: Sequence[int]
    lines: Sequence[int]
    broken: Sequence[int]
    whole: bool
    delimiter: str | None = None

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return len(self.lines)
