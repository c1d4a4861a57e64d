"""CSV (RFC 4180) with a header line; cells become what the problem file declares."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

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
from services.collector.sources.written import Written
from shared.errors import UsageError
from shared.problem.spec import Problem

_LONGEST_CELL = 16 * 1024 * 1024
_DELIMITERS = (",", ";", "\t", "|")
_SEP = re.compile(r'"?sep=(.)"?')


def csv_rows(path: Path, problem: Problem) -> Iterator[Row]:
    """The rows of a CSV file, in file order, UTF-8, delimited as `source.delimiter` says, or else as
    its header line is.

    Empty cells are null. A row that cannot be read (more cells than the header, bytes that are no
    UTF-8, a broken quote) is passed on as its raw bytes, for the validator to reject.

    Raises:
        UsageError: there is no header, or columns are missing.
    """
    try:
        with opened(path) as file:
            yield from _rows(Lines(file), path, problem)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def opened(path: Path) -> TextIO:
    """The text of a CSV file; bytes that are no UTF-8 come as halves of surrogate pairs.

    Raises:
        OSError: it cannot be read.
    """
    csv.field_size_limit(_LONGEST_CELL)
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


class Lines:
    """The lines of a file; `taken` are those of the row at hand, `number` is the newest one's."""

    def __init__(self, file: Iterable[str]) -> None:
        self._file = iter(file)
        self.taken: list[str] = []
        self.number = 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.taken.append(line)
        self.number += 1
        return line

    def raw(self) -> bytes:
        """The row's bytes as they stand in the file."""
        return "".join(self.taken).rstrip("\r\n").encode("utf-8", "surrogateescape")


def _rows(lines: Lines, path: Path, problem: Problem) -> Iterator[Row]:
    written = Written(problem)
    first, named = first_line(lines)
    delimiter = written.delimiter or named or usual_delimiter(first)
    names = written.names(header_of(first, delimiter, path))
    check_columns(names, path, problem)
    events, read_label, encode = problem.events, label_reader(problem), msgspec.json.encode
    readers: dict[str, Callable[[str], Any]] = {**cell_readers(problem), problem.label.field: str}
    if events.time:
        readers[events.time] = time_cell
    plan = [(name, written.reader(name, readers.get(name, text_cell))) for name in names]
    for cells in cells_of(lines, len(names), delimiter):
        if isinstance(cells, bytes):
            yield Row(cells)
            continue
        values = {name: read(cell) for (name, read), cell in zip(plan, cells, strict=True)}
        label = read_label(values.pop(problem.label.field, ""))
        name = text_of(values[events.id]) if events.id else None
        time = time_of(values[events.time]) if events.time else None
        key = text_of(values[events.key]) if events.key else None
        yield Row(encode(values), label, name, time, key)


def first_line(lines: Iterator[str]) -> tuple[str, str | None]:
    """The header line, and the delimiter that a line before it names: spreadsheets write `sep=;`."""
    line = next(lines, "")
    named = _SEP.fullmatch(line.strip("\r\n"))
    return (next(lines, ""), named[1]) if named else (line, None)


def usual_delimiter(header: str) -> str:
    """The one of the usual delimiters that the header line has most of."""
    return max(_DELIMITERS, key=header.count)


def header_of(line: str, delimiter: str, path: Path) -> list[str]:
    """The names in a header line.

    Raises:
        UsageError: there are none.
    """
    names: list[str] = next(csv.reader([line], delimiter=delimiter), [])
    if not names:
        raise UsageError(f"{path} is empty; its first line must name the columns.")
    return names


def cells_of(lines: Lines, width: int, delimiter: str) -> Iterator[list[str] | bytes]:
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
