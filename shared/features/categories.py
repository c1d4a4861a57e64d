"""Categories as numbers: one column each, hashed columns, how frequent the value was, or a code."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zlib import crc32

import msgspec

from shared.features.past import Past
from shared.features.port import Operator, Row
from shared.problem.scalars import scalar_text
from shared.problem.spec import FieldSpec

_MOST = 4_096
"""Values that a frequency encoding counts."""


class OneHot:
    """1 in the column of the value; a value outside the categories is `other`, if declared."""

    def __init__(self, name: str, spec: FieldSpec) -> None:
        self._field = name
        self._columns = spec.encoded(name)
        self._zeros = dict.fromkeys(self._columns, 0.0)
        self._missing = dict.fromkeys(self._columns)
        known = [scalar_text(value) for value in spec.categories or ()]
        self._place = dict(zip(known, self._columns, strict=False))
        self._other = self._columns[-1] if spec.unseen == "other" else None

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        value = row[self._field]
        if value is None:
            row |= self._missing
            return
        row |= self._zeros
        text = value if value.__class__ is str else scalar_text(value)
        column = self._place.get(text, self._other)
        if column is not None:
            row[column] = 1.0


class Hashed:
    """1 in the column that CRC-32 of the value's UTF-8 text picks."""

    def __init__(self, name: str, spec: FieldSpec) -> None:
        self._field = name
        self._columns = spec.encoded(name)

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        value = row[self._field]
        row |= dict.fromkeys(self._columns, None if value is None else 0.0)
        if value is not None:
            row[self._columns[int(_hashed(value)) % len(self._columns)]] = 1.0


class Frequency:
    """The share of the value among the events before this one, all keys together.

    Counts at most `_MOST` values: beyond that all counts are halved and those at zero go, so that
    old rare values make room (lossy counting by halving).
    """

    def __init__(self, name: str, spec: FieldSpec) -> None:
        self._field = name
        (self._column,) = spec.encoded(name)
        self._counts: dict[str, int] = {}
        self._total = 0
        self._dirty: dict[str, None] = {}

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        value = row[self._field]
        if value is None:
            row[self._column] = None
            return
        text = scalar_text(value)
        count = self._counts.get(text, 0)
        row[self._column] = count / self._total if self._total else None
        self._counts[text] = count + 1
        self._total += 1
        self._dirty[text] = None
        if len(self._counts) > _MOST:
            self._halve()

    def _halve(self) -> None:
        self._dirty |= dict.fromkeys(self._counts)
        self._counts = {text: count // 2 for text, count in self._counts.items() if count > 1}
        self._total = sum(self._counts.values())

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """See `Remembering`."""
        for text in self._dirty:
            count = self._counts.get(text)
            yield (
                f"frequency/{self._field}/{text}",
                None if count is None else msgspec.msgpack.encode(count),
            )
        self._dirty.clear()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See `Remembering`."""
        mark = f"frequency/{self._field}/"
        self._counts = {
            name[len(mark) :]: msgspec.msgpack.decode(value, type=int)
            for name, value in entries.items()
            if name.startswith(mark)
        }
        self._total = sum(self._counts.values())


class Coded:
    """A number that names the value: CRC-32 of its UTF-8 text. What the model makes of it, and when, is
    said in `shared/models/targets.py`. (Of 4,000 values two share a code once in 500 problems.)
    """

    def __init__(self, name: str, spec: FieldSpec) -> None:
        self._field = name
        (self._column,) = spec.encoded(name)

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        value = row[self._field]
        row[self._column] = None if value is None else _hashed(value)


def _hashed(value: Any) -> float:
    return float(crc32(scalar_text(value).encode("utf-8", "surrogatepass")))


ENCODINGS: dict[str, Callable[[str, FieldSpec], Operator]] = {
    "onehot": OneHot,
    "hash": Hashed,
    "frequency": Frequency,
    "target": Coded,
}
"""A new encoding is one class and one line here."""
