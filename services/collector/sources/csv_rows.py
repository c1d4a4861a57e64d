"""CSV (RFC 4180) with a header line; cells become what the problem file declares."""

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from services.collector.sources.row import (
    Row,
    cell_readers,
    check_columns,
    is_unicode,
    label_reader,
    text_cell,
    text_of,
    time_cell,
    time_of,
)
from shared.errors import UsageError
from shared.problem.spec import Problem

_LONGEST_CELL = 16 * 1024 * 1024
_DELIMITERS = (",", ";", "\t", "|")


def csv_rows(path: Path, problem: Problem) -> Iterator[Row]:
    """The rows of a CSV file, in file order, UTF-8, delimited as its header line is.

    Empty cells are null. A row that cannot be read (more cells than the header, bytes that are no
    UTF-8, a broken quote) is passed on as its raw bytes, for the validator to reject.

    Raises:
        UsageError: there is no header, or columns are missing.
    """
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _rows(_Lines(file), path, problem)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


class _Lines:
    """The lines of a file; `taken` are those of the row at hand."""

    def __init__(self, file: Iterable[str]) -> None:
        self._file = iter(file)
        self.taken: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.taken.append(line)
        return line

    def raw(self) -> bytes:
        """The row's bytes as they stand in the file."""
        return "".join(self.taken).rstrip("\r\n").encode("utf-8", "surrogateescape")


def _rows(lines: _Lines, path: Path, problem: Problem) -> Iterator[Row]:
    first = next(lines, "")
    delimiter = max(_DELIMITERS, key=first.count)
    names: list[str] = next(csv.reader([first], delimiter=delimiter), [])
    if not names:
        raise UsageError(f"{path} is empty; its first line must name the columns.")
    check_columns(names, path, problem)
    events, read_label, encode = problem.events, label_reader(problem), msgspec.json.encode
    readers: dict[str, Callable[[str], Any]] = {**cell_readers(problem), problem.label.field: str}
    if events.time:
        readers[events.time] = time_cell
    plan = [(name, readers.get(name, text_cell)) for name in names]
    for cells in _cells(lines, len(names), delimiter):
        if isinstance(cells, bytes):
            yield Row(cells)
            continue
        values = {name: read(cell) for (name, read), cell in zip(plan, cells, strict=True)}
        label = read_label(values.pop(problem.label.field, ""))
        name = text_of(values[events.id]) if events.id else None
        time = time_of(values[events.time]) if events.time else None
        key = text_of(values[events.key]) if events.key else None
        yield Row(encode(values), label, name, time, key)


def _cells(lines: _Lines, width: int, delimiter: str) -> Iterator[list[str] | bytes]:
    """Each row's cells, as many as there are columns; raw bytes where that cannot be had."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        try:
            cells = next(reader, None)
        except csv.Error:
            yield lines.raw()
            continue
        if cells is None:
            return
        if not cells:
            continue  # an empty line
        readable = len(cells) <= width and is_unicode("".join(cells))
        yield cells + [""] * (width - len(cells)) if readable else lines.raw()
