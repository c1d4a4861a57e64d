"""The first rows of a file for `headrace init`, read as a replay reads them, but without a problem."""

import csv
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from services.collector.sources.csv_rows import (
    Lines,
    cells_of,
    first_line,
    header_of,
    opened,
    usual_delimiter,
)
from services.collector.sources.jsonl_rows import lines_of
from services.collector.sources.row import is_unicode
from services.collector.sources.table import kind_of
from shared.draft.sample import Sample
from shared.errors import UsageError
from shared.problem.cells import number_of

MOST_ROWS, MOST_CELLS = 100_000, 1_000_000
"""What is looked at: memory is bounded, whatever the file."""
MOST_COLUMNS = 4_000
_LEAST_ROWS = 200
_LOOK_LINES = 20
_BROKEN = 0.1
_TOLD = 5
_DELIMITERS = (",", ";", "\t", "|", "^", "~", ":", " ")


def sample_of(path: Path) -> Sample:
    """The first rows of the file `path`: at most `MOST_ROWS`, and about `MOST_CELLS` cells.

    Raises:
        UsageError: it cannot be read, or is no table; the text has file, line and the next step.
    """
    suffix = kind_of(path)
    read = _READERS[suffix]
    try:
        sample = read(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    if len(sample.broken) > _BROKEN * sample.rows:
        raise UsageError(
            f"{path}, line {sample.broken[0]}: this and other lines cannot be read (a broken quote, "
            "more cells than the header names, or bytes that are no UTF-8). Save the file as UTF-8, "
            "for example with: iconv -f WINDOWS-1252 -t UTF-8."
        )
    if not sample.rows:
        raise UsageError(f"{path}: there are no rows; a few hundred are needed to guess from.")
    return sample


def most_rows(columns: int) -> int:
    """How many rows are looked at in a file of so many columns."""
    return max(_LEAST_ROWS, min(MOST_ROWS, MOST_CELLS // max(columns, 1)))


def _named(names: Sequence[str], path: Path) -> None:
    """Refuse columns that share a name, and more columns than a problem can have.

    Raises:
        UsageError: there are such.
    """
    if len(names) > MOST_COLUMNS:
        raise UsageError(
            f"{path}: {len(names):,} columns are too many (at most {MOST_COLUMNS:,}). Leave some out."
        )
    for place, name in enumerate(names):
        first = names.index(name)
        if first < place:
            raise UsageError(
                f"{path}, line 1: the columns {first + 1} and {place + 1} are both called `{name}`. "
                "Rename one of them."
            )


def _csv(path: Path) -> Sample:
    with opened(path) as file:
        head = list(islice(file, _LOOK_LINES))
    if not is_unicode("".join(head[:1])):
        raise UsageError(
            f"{path}, line 1: this is no UTF-8. Save the file as UTF-8, for example with: "
            "iconv -f UTF-16 -t UTF-8 (or -f WINDOWS-1252)."
        )
    rest = iter(head)
    header, told = first_line(rest)
    delimiter = told or _delimiter([header, *rest])
    with opened(path) as file:
        lines = Lines(file)
        names = header_of(first_line(lines)[0], delimiter, path)
        _named(names, path)
        if all(number_of(name) is not None for name in names):
            raise UsageError(
                f"{path}, line 1: it holds only numbers ({', '.join(names[:5])}), so it is taken for "
                "data. Put a line with the names of the columns before it."
            )
        columns: list[list[Any]] = [[] for _ in names]
        places: list[int] = []
        broken: list[int] = []
        rows = cells_of(lines, len(names), delimiter)
        for cells in islice(rows, most_rows(len(names))):
            if isinstance(cells, bytes):
                broken.append(lines.number)
                continue
            places.append(lines.number)
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell)
        whole = next(rows, None) is None
    nothing = [0] * len(names)
    return Sample(path.name, "csv", names, columns, nothing, places, broken, whole, delimiter)


def _delimiter(head: list[str]) -> str:
    """What most of the first lines agree on; the usual one where nothing does."""
    usual = usual_delimiter(head[0]) if head else ","
    best, most = usual, 0.0
    for delimiter in dict.fromkeys((usual, *_DELIMITERS)):
        try:
            widths = [len(row) for row in csv.reader(head, delimiter=delimiter) if row]
        except csv.Error:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths) if widths else 0.0
        if widths and widths[0] > 1 and alike > most:
            best, most = delimiter, alike
    return best


def _jsonl(path: Path) -> Sample:
    columns: dict[str, list[Any]] = {}
    present: dict[str, int] = {}
    places: list[int] = []
    broken: list[int] = []
    lines = lines_of(path)
    whole = True
    for number, line in enumerate(lines, start=1):
        row = _object(line)
        if row is None:
            _no_array(line, number, path)
            broken.append(number)
            continue
        for name in row.keys() - columns.keys():
            columns[name] = [None] * len(places)
        for name in row:
            present[name] = present.get(name, 0) + 1
        for name, cells in columns.items():
            cells.append(row.get(name))
        places.append(number)
        if len(places) >= most_rows(len(columns)):
            whole = next(lines, None) is None
            break
    _named(list(columns), path)
    order = list(present)
    absent = [len(places) - present[name] for name in order]
    cells = [columns[name] for name in order]
    return Sample(path.name, "jsonl", order, cells, absent, places, broken, whole)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _no_array(line: bytes, number: int, path: Path) -> None:
    if number == 1 and line.startswith(b"["):
        raise UsageError(
            f"{path}, line 1: this is a JSON array; one object a line is expected. Convert it, for "
            f"example with: jq -c '.[]' {path.name}"
        )


def _parquet(path: Path) -> Sample:
    import pyarrow.parquet as pq  # half a second

    from services.collector.sources.parquet_rows import readable, values_of

    with readable(path), pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        _named(names, path)
        most = most_rows(len(names))
        columns: list[list[Any]] = [[] for _ in names]
        for batch in file.iter_batches(min(2_000, most), use_threads=False):
            for column, cells in zip(columns, batch.columns, strict=True):
                column.extend(values_of(cells))
            if len(columns[0]) >= most:
                break
        rows = len(columns[0]) if columns else 0
        whole = rows == file.metadata.num_rows
    nothing = [0] * len(names)
    return Sample(path.name, "parquet", names, columns, nothing, range(1, rows + 1), [], whole)


_READERS: dict[str, Callable[[Path], Sample]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
