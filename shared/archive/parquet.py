"""The archive as plain Parquet: `<stream>/<first>-<end>.parquet`, offsets in twelve digits; partitions
but the first in folders `<stream>/partition=<n>`.

`pandas.read_parquet("archive/outcomes")` reads it all; so do DuckDB, Polars and Spark. A file is
written beside, synced and renamed (`shared/durable.py`), and its bytes depend on its records alone
(and on the version of pyarrow).
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shared.archive.columns import from_table, to_table, value_type
from shared.durable import translated, write_durably
from shared.errors import Fatal
from shared.messages.streams import OUTCOMES, PREDICTIONS, stream_at
from shared.messages.streams import place as place_of
from shared.messages.types import Outcome, Prediction
from shared.problem.spec import Problem

_PARTITION = "partition="
_NAME = re.compile(r"(\d{12})-(\d{12})\.parquet")
_CLASSES = {PREDICTIONS: Prediction, OUTCOMES: Outcome}
_REPEATING = ["key", "model", "feature_set", "shadow"]
"""Columns that a dictionary makes small; on the others it costs time."""


class ParquetArchive:
    """Files under `root`, for one writing process and any number of readers."""

    def __init__(self, root: Path, problem: Problem) -> None:
        self._root = root
        self._value = value_type(problem)
        for place in self.places():
            self._tidy(place)

    def places(self) -> list[str]:
        """See the port."""
        folders = [
            (stream, folder)
            for stream in _CLASSES
            for folder in (self._root / stream, *(self._root / stream).glob(f"{_PARTITION}*"))
        ]
        return [
            place_of(
                stream, int(folder.name.removeprefix(_PARTITION)) if folder.name != stream else 0
            )
            for stream, folder in sorted(folders)
            if any(folder.glob("*.parquet"))
        ]

    def write(self, place: str, first_offset: int, records: Sequence[Prediction]) -> None:
        """See the port."""
        end = first_offset + len(records)
        if not records or self._covered(place, first_offset, end):
            return
        table = to_table(records, first_offset, self._value)
        write_durably(self._path(place, first_offset, end), _parquet(table))
        self._tidy(place)

    def read(self, place: str, start: int, end: int) -> list[Prediction]:
        """See the port."""
        found: list[Prediction] = []
        at = start
        for first, last in self.ranges(place):
            begin, until = max(at, first), min(end, last)
            if begin < until:
                table = self._table(self._path(place, first, last))
                part = table.slice(begin - first, until - begin)
                found += from_table(part, _CLASSES[stream_at(place)])
                at = until
        return found

    def ranges(self, place: str) -> list[tuple[int, int]]:
        """See the port."""
        held: list[tuple[int, int]] = []
        for first, end in self._files(place):  # of those with the same start the longest is first
            if not held or end > held[-1][1]:
                held.append((first, end))
        return held

    def _files(self, place: str) -> list[tuple[int, int]]:
        names = [_NAME.fullmatch(path.name) for path in self._folder(place).glob("*.parquet")]
        spans = [(int(name[1]), int(name[2])) for name in names if name]
        return sorted(spans, key=lambda span: (span[0], -span[1]))

    def _covered(self, place: str, first: int, end: int) -> bool:
        """Whether a longer range is held that has all of this one."""
        return any(
            a <= first and end <= b and (a, b) != (first, end) for a, b in self.ranges(place)
        )

    def _tidy(self, place: str) -> None:
        """Remove ranges that lie within another: a reader of the folder must not see rows twice."""
        kept = self.ranges(place)
        for span in self._files(place):
            if span not in kept:
                path = self._path(place, *span)
                with translated(path):
                    path.unlink(missing_ok=True)

    def _path(self, place: str, first: int, end: int) -> Path:
        return self._folder(place) / f"{first:012d}-{end:012d}.parquet"

    def _folder(self, place: str) -> Path:
        stream, _, partition = place.partition("/")
        folder = self._root / stream
        return folder / f"{_PARTITION}{partition}" if partition else folder

    def _table(self, path: Path) -> pa.Table:
        try:
            return pq.ParquetFile(path).read(use_threads=False)
        except pa.ArrowInvalid as error:
            raise Fatal(
                f"{path} is damaged ({error}). Move it away; it is written again from the log, if the "
                "log still holds these records, else restore it from a backup."
            ) from error


def _parquet(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=_REPEATING)
    return sink.getvalue()
