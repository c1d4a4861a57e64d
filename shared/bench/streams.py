"""Streams from a directory of Parquet or CSV files, as numbers: one file a stream, rows in order."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shared.errors import UsageError
from shared.models.arrival import Arrivals
from shared.models.port import F64, Labels

MOST_CLASSES = 100
"""Whole numbers of more different values than this are a quantity, not classes."""
LEAST_ROWS = 50
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Stream:
    """`x` [n, d] (NaN: missing), `y` [n]: places in `classes`, or numbers where there are none.

    `changes`: rows at which the world is known to change abruptly.
    """

    name: str
    x: F64
    y: Labels
    classes: tuple[Any, ...] = ()
    changes: tuple[int, ...] = ()

    @property
    def regression(self) -> bool:
        """Whether the label is a number."""
        return not self.classes


def _csv(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig") as file:
        first = file.readline()
    return pd.read_csv(path, sep=max(_DELIMITERS, key=first.count))


_READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".parquet": pd.read_parquet,
    ".csv": _csv,
}


def find_streams(data: Path, only: tuple[str, ...] = ()) -> list[Path]:
    """The files of `data` (a directory, or one file), by name; `only`: names without their ending.

    Raises:
        UsageError: there is nothing to read, or a stream of that name is not there.
    """
    known = " or ".join(_READERS)
    if data.is_file():
        found = [data] if data.suffix.lower() in _READERS else []
    elif data.is_dir():
        found = sorted(p for p in data.iterdir() if p.suffix.lower() in _READERS and p.is_file())
    else:
        raise UsageError(f"{data}: there is no such directory or file. --data names the streams.")
    if not found:
        raise UsageError(f"{data} holds no stream: files end in {known}, one target column each.")
    names = [path.stem for path in found]
    if lacking := [name for name in only if name not in names]:
        raise UsageError(
            f"{data} has no stream {', '.join(lacking)}; it has {', '.join(names)} (--streams)."
        )
    return [path for path in found if not only or path.stem in only]


def read_stream(path: Path, target: str = "", rows: int = 0) -> Stream:
    """The first `rows` rows (0: all) of a file that have a label.

    `target` names the label's column; without it, what `meta.json` beside the file says, else the
    last column. Text becomes the place of its first appearance, times become seconds: for everybody
    alike.

    Raises:
        UsageError: it cannot be read, has no such column, or nothing to learn from.
    """
    about = _about(path)
    try:
        table = _READERS[path.suffix.lower()](path)
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Give Parquet, or CSV.") from error
    if table.shape[1] < 2:
        raise UsageError(f"{path}: a stream needs a target and at least one feature.")
    chosen = target or str(about.get("target") or table.columns[-1])
    if chosen not in table.columns:
        listed = ", ".join(map(str, table.columns))
        raise UsageError(f"{path}: there is no column `{chosen}` (--target); there are {listed}.")
    table = table[table[chosen].notna()]
    if rows:
        table = table.head(rows)
    if len(table) < LEAST_ROWS:
        raise UsageError(f"{path}: {len(table)} rows with a label; {LEAST_ROWS} are the least.")
    y, classes = _labels(table[chosen], str(about.get("task", "")), path)
    features = table.drop(columns=[chosen])
    x = np.column_stack([_numbers(features[name]) for name in features.columns])
    changes = tuple(int(row) for row in about.get("drifts") or () if int(row) < len(table))
    return Stream(path.stem, np.ascontiguousarray(x), y, classes, changes)


def framed(stream: Stream) -> Stream:
    """Its features, and beside them the view that the pool takes of every event when it comes."""
    view = Arrivals(stream.x.shape[1]).take(stream.x).view
    return replace(stream, x=np.column_stack([stream.x, view]))


def _about(path: Path) -> Mapping[str, Any]:
    """What `meta.json` beside the file says of it: `task`, `target`, `drifts`."""
    meta = path.parent / "meta.json"
    if not meta.is_file():
        return {}
    try:
        found = json.loads(meta.read_text())
    except ValueError as error:
        raise UsageError(f"{meta} is no JSON: {error}. Mend it, or take it away.") from error
    about = found.get(path.stem, {}) if isinstance(found, dict) else {}
    return about if isinstance(about, dict) else {}


def _labels(column: "pd.Series[Any]", task: str, path: Path) -> tuple[Labels, tuple[Any, ...]]:
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if task.startswith("reg") or (not task and numeric and not _is_classes(column)):
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
        if not np.isfinite(numbers).all():
            raise UsageError(f"{path}: `{column.name}` holds something that is no finite number.")
        if np.ptp(numbers) == 0:
            raise UsageError(f"{path}: `{column.name}` is always {numbers[0]}: nothing to learn.")
        return numbers, ()
    classes, places = np.unique(column.to_numpy(), return_inverse=True)
    if len(classes) < 2:
        raise UsageError(f"{path}: `{column.name}` is always {classes[0]}: nothing to learn.")
    return places.astype(np.int64), tuple(classes.tolist())


def _is_classes(column: "pd.Series[Any]") -> bool:
    values = column.unique()
    whole = bool((np.mod(values.astype(np.float64), 1.0) == 0).all())
    return whole and len(values) <= min(MOST_CLASSES, len(column) // 10)


def _numbers(column: "pd.Series[Any]") -> F64:
    """A column as numbers; NaN is missing."""
    if pd.api.types.is_datetime64_any_dtype(column):
        seconds = column.to_numpy("datetime64[ns]").astype(np.float64) / 1e9
        return np.where(column.isna(), np.nan, seconds)
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan)
    places = pd.factorize(column)[0].astype(np.float64)
    return np.where(places < 0, np.nan, places)
