"""Parquet: a batch of rows at a time, columns converted as a whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.collector.sources.row import (
    Row,
    check_columns,
    json_number,
    label_reader,
    text_of,
    time_of,
)
from services.collector.sources.written import Written
from shared.errors import UsageError
from shared.problem.spec import Problem

_BATCH_ROWS = 2_000
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def parquet_rows(path: Path, problem: Problem) -> Iterator[Row]:
    """The rows of a Parquet file, in file order.

    Timestamps become RFC 3339 text in UTC, to the microsecond. A float32 becomes the shortest
    number that reads back as the same float32. NaN is missing.

    Raises:
        UsageError: this is no Parquet file, or columns are missing.
    """
    with readable(path), pq.ParquetFile(path) as file:
        written = Written(problem)
        check_columns(written.names(file.schema_arrow.names), path, problem)
        for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
            yield from _rows(batch, problem, written)


def _rows(batch: pa.RecordBatch, problem: Problem, written: Written) -> Iterator[Row]:
    names = written.names(batch.schema.names)
    columns = {name: values_of(batch.column(n)) for n, name in enumerate(names)}
    if written.time:
        columns[written.time] = list(map(written.moment, columns[written.time]))
    events, nothing = problem.events, [None] * batch.num_rows
    labels = columns.pop(problem.label.field, nothing)
    kept, encode = tuple(columns), msgspec.json.Encoder().encode
    rows = zip(
        zip(*columns.values(), strict=True),
        map(label_reader(problem), labels),
        map(text_of, columns[events.id]) if events.id else nothing,
        map(time_of, columns[events.time]) if events.time else nothing,
        map(text_of, columns[events.key]) if events.key else nothing,
        strict=True,
    )
    for values, label, name, time, key in rows:
        yield Row(encode(dict(zip(kept, values, strict=True))), label, name, time, key)


def values_of(column: pa.Array) -> list[Any]:
    """The column as values that the JSON encoder takes; None is missing."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _times(column)
    if pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        column = column.cast(pa.string()).cast(pa.float64())
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    values: list[Any] = column.to_pylist()
    if pa.types.is_float64(column.type) and not pc.all(pc.is_finite(column)).as_py():
        return [None if value is None else json_number(value) for value in values]
    return values


def _times(column: pa.Array) -> list[datetime | None]:
    """By hand: pyarrow's own way imports pandas (0.9 s of CPU) or looks up a zone for each value."""
    numbers = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    return [None if number is None else _time(number) for number in numbers.to_pylist()]


def _time(microseconds: int) -> datetime | None:
    """None beyond the year 9999, for the validator to reject."""
    try:
        return _1970 + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say it in our words when this is no Parquet file.

    Raises:
        UsageError: it is none.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(
            f"{path} cannot be read as Parquet: {error}. Give a Parquet file that pandas can read, "
            "or CSV (.csv) or JSON lines (.jsonl)."
        ) from error
