"""Messages to Arrow columns and back: what people see when they open the archive.

`offset id key time`, each feature as `f_<name>`, `prediction`, each probability as `p_<class>`,
`interval_low interval_high model feature_set shadow rules said arrival scored_at champion fields`, and
in outcomes `label labelled_at revision default`. Times are UTC timestamps; `shadow` and `fields` are
JSON text. The types depend on the problem file alone, so all files of a stream fit together.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa

from shared.lean import without
from shared.messages.types import Outcome, Prediction
from shared.problem.scalars import scalar_text
from shared.problem.spec import Problem

FEATURE, PROBABILITY = "f_", "p_"
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME = pa.timestamp("us", "UTC")

with without("pandas"):  # pyarrow looks for it at its first array: 0.4 s of CPU, for nothing here
    pa.array([])


def value_type(problem: Problem) -> pa.DataType:
    """The type of `prediction` and `label`: that of the declared classes.

    Classes of several types, or undeclared ones, are text (`true`, `1`, `red`).
    """
    if problem.task == "regression":
        return pa.float64()
    kinds = {type(value) for value in problem.label.classes or ()}
    if len(kinds) == 1:
        return {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}.get(
            kinds.pop(), pa.string()
        )
    return pa.string()


def to_table(records: Sequence[Prediction], first_offset: int, value: pa.DataType) -> pa.Table:
    """The records as columns, in the order of the module's docstring."""
    columns: dict[str, pa.Array] = {
        "offset": pa.array(range(first_offset, first_offset + len(records)), pa.int64()),
        "id": _texts(records, "id"),
        "key": _texts(records, "key"),
        "time": _times(records, "time"),
    }
    columns |= _spread(FEATURE, [record.features for record in records])
    columns["prediction"] = _values((record.prediction for record in records), value)
    columns |= _spread(PROBABILITY, [record.probabilities or {} for record in records])
    for side, name in enumerate(("interval_low", "interval_high")):
        ends = [record.interval and record.interval[side] for record in records]
        columns[name] = pa.array(ends, pa.float64())
    columns["model"] = _texts(records, "model")
    columns["feature_set"] = _texts(records, "feature_set")
    columns["shadow"] = pa.array([_json(record.shadow) for record in records], pa.string())
    columns["rules"] = pa.array([record.rules for record in records], pa.list_(pa.string()))
    columns["said"] = _texts(records, "said")
    columns["arrival"] = _texts(records, "arrival")
    columns["scored_at"] = _times(records, "scored_at")
    columns["champion"] = _texts(records, "champion")
    columns["fields"] = pa.array([_json(record.fields) for record in records], pa.string())
    outcomes = [record for record in records if isinstance(record, Outcome)]
    if outcomes:
        columns["label"] = _values((record.label for record in outcomes), value)
        columns["labelled_at"] = _times(outcomes, "labelled_at")
        columns["revision"] = pa.array([record.revision for record in outcomes], pa.int32())
        columns["default"] = pa.array([record.default for record in outcomes], pa.bool_())
    return pa.table(columns)


def from_table(table: pa.Table, cls: type[Prediction]) -> list[Prediction]:
    """The messages in `table`."""
    columns = {name: _plain(table.column(name)) for name in table.column_names}
    fields = {name: columns[name] for name in cls.__struct_fields__ if name in columns}
    fields["features"] = _gathered(FEATURE, columns, table.num_rows)
    fields["probabilities"] = [
        {name: p for name, p in row.items() if p is not None} or None
        for row in _gathered(PROBABILITY, columns, table.num_rows)
    ]
    fields["interval"] = [
        None if low is None else (low, high)
        for low, high in zip(columns["interval_low"], columns["interval_high"], strict=True)
    ]
    for name in ("shadow", "fields"):
        if name in columns:
            fields[name] = [text and msgspec.json.decode(text) for text in columns[name]]
    rows = zip(*fields.values(), strict=True)
    return [cls(**dict(zip(fields, row, strict=True))) for row in rows]


def _spread(prefix: str, rows: Sequence[dict[str, Any]]) -> dict[str, pa.Array]:
    """Dictionaries as float columns, in the order in which names first appear."""
    shapes = dict.fromkeys(map(tuple, rows))
    if len(shapes) == 1:  # as a rule all have the same names in the same order
        columns = zip(*map(dict.values, rows), strict=True)
        return {
            prefix + name: pa.array(column, pa.float64())
            for name, column in zip(*shapes, columns, strict=True)
        }
    names = dict.fromkeys(chain.from_iterable(shapes))
    return {
        prefix + name: pa.array([row.get(name) for row in rows], pa.float64()) for name in names
    }


def _gathered(prefix: str, columns: dict[str, list[Any]], count: int) -> list[dict[str, Any]]:
    names = [name for name in columns if name.startswith(prefix)]
    short = [name.removeprefix(prefix) for name in names]
    rows: Iterable[tuple[Any, ...]] = (
        zip(*(columns[name] for name in names), strict=True) if names else [()] * count
    )
    return [dict(zip(short, row, strict=True)) for row in rows]


def _texts(records: Sequence[Prediction], name: str) -> pa.Array:
    return pa.array([getattr(record, name) for record in records], pa.string())


def _times(records: Sequence[Prediction], name: str) -> pa.Array:
    """By way of integers: given datetimes, pyarrow does import pandas."""
    times = [getattr(record, name) for record in records]
    numbers = [
        None
        if time is None
        else ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _1970) // _MICROSECOND
        for time in times
    ]
    return pa.array(numbers, pa.int64()).cast(_TIME)


def _values(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.array([None if v is None else scalar_text(v) for v in values], kind)
    convert = _CONVERT[kind]
    return pa.array([None if value is None else convert(value) for value in values], kind)


_CONVERT: dict[pa.DataType, Callable[[Any], Any]] = {
    pa.bool_(): bool,
    pa.int64(): int,
    pa.float64(): float,
}


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _plain(column: pa.ChunkedArray) -> list[Any]:
    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    numbers = column.cast(pa.int64()).to_pylist()
    return [None if n is None else _1970 + timedelta(microseconds=n) for n in numbers]
