"""A bounded, ordered table that knows what changed: the state of ledgers and windows of ids."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
_encode = msgspec.msgpack.Encoder().encode


class Table(Generic[T]):
    """Ids to values, oldest first, at most `most`; `prefix` names its state entries.

    Values are anything msgspec encodes; each is stored with its place in the order, so that a
    restored table forgets in the same order as the one that was saved.
    """

    def __init__(self, prefix: str, most: int, kind: Any) -> None:
        self._prefix = prefix
        self._most = most
        # not a dict: where many first keys are gone, finding the first one passes over their places
        self._rows: OrderedDict[str, tuple[int, T]] = OrderedDict()
        self._touched: dict[str, bool] = {}  # key to whether its entry was stored before
        self._next = 0
        self._decode = msgspec.msgpack.Decoder(tuple[int, kind]).decode

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def get(self, key: str) -> T | None:
        """The value of `key`."""
        row = self._rows.get(key)
        return None if row is None else row[1]

    def put(self, key: str, value: T) -> T | None:
        """Add `key` as the newest (replacing keeps its place); the value forgotten for it, if any."""
        rows = self._rows
        row = rows.get(key)
        if row is not None:
            rows[key] = row[0], value
            self._touched.setdefault(key, True)
            return None
        self._next += 1
        rows[key] = self._next, value
        self._touched.setdefault(key, False)
        return None if len(rows) <= self._most else self.pop(next(iter(rows)))

    def pop(self, key: str) -> T | None:
        """Take `key` out; its value."""
        row = self._rows.pop(key, None)
        if row is None:
            return None
        self._touched.setdefault(key, True)
        return row[1]

    def items(self) -> Iterator[tuple[str, T]]:
        """Keys and values, oldest first; the table may change while this runs."""
        return ((key, value) for key, (_, value) in list(self._rows.items()))

    def oldest(self) -> tuple[str, T] | None:
        """The oldest key and its value."""
        for key, (_, value) in self._rows.items():
            return key, value
        return None

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """State entries changed since the last call; what came and went between is not named."""
        for key, stored in self._touched.items():
            row = self._rows.get(key)
            if row is not None:
                yield f"{self._prefix}:{key}", _encode(row)
            elif stored:
                yield f"{self._prefix}:{key}", None
        self._touched = {}

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take up the entries that carry this table's prefix."""
        mark = f"{self._prefix}:"
        found = [
            (k[len(mark) :], self._decode(v)) for k, v in entries.items() if k.startswith(mark)
        ]
        found.sort(key=lambda item: item[1][0])
        self._rows = OrderedDict(found)
        self._next = found[-1][1][0] if found else 0
