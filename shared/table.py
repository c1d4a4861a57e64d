"""A bounded, ordered table that knows what changed: the state of ledgers and windows of ids."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from shared.errors import Fatal

T = TypeVar("T")
_encode = msgspec.msgpack.Encoder().encode


class Table(Generic[T]):
    """Ids to values, oldest first, at most `most`; `prefix` names its state entries.

    Values are anything msgspec encodes. `block` rows that came one after the other share an entry,
    which is written anew when one of them changes: good for a table that forgets in the order in which
    it learns, where entries of one row would be two records an event on a compacted topic. Each row is
    stored with its place in the order, so a restored table forgets as the one that was saved would.
    """

    def __init__(self, prefix: str, most: int, kind: Any, block: int = 1) -> None:
        self._prefix = prefix
        self._most = most
        self._block = block
        # not a dict: where many first keys are gone, finding the first one passes over their places
        self._rows: OrderedDict[str, tuple[int, T]] = OrderedDict()
        self._blocks: dict[int, dict[str, None]] = {}
        self._touched: dict[int, None] = {}
        self._stored: set[int] = set()
        self._next = 0
        self._decode = msgspec.msgpack.Decoder(list[tuple[str, int, kind]]).decode

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
            self._touched[row[0] // self._block] = None
            return None
        self._next += 1
        rows[key] = self._next, value
        block = self._next // self._block
        self._blocks.setdefault(block, {})[key] = None
        self._touched[block] = None
        return None if len(rows) <= self._most else self.pop(next(iter(rows)))

    def pop(self, key: str) -> T | None:
        """Take `key` out; its value."""
        row = self._rows.pop(key, None)
        if row is None:
            return None
        block = row[0] // self._block
        left = self._blocks[block]
        del left[key]
        if not left:
            del self._blocks[block]
        self._touched[block] = None
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
        for block in self._touched:
            name = f"{self._prefix}:{block}"
            keys = self._blocks.get(block)
            if keys:
                self._stored.add(block)
                yield name, _encode([(key, *self._rows[key]) for key in keys])
            elif block in self._stored:
                self._stored.remove(block)
                yield name, None
        self._touched = {}

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take up the entries that carry this table's prefix.

        Raises:
            Fatal: another version of the program wrote them.
        """
        mark = f"{self._prefix}:"
        found = {k.removeprefix(mark): v for k, v in entries.items() if k.startswith(mark)}
        try:
            rows = [row for value in found.values() for row in self._decode(value)]
            self._stored = {int(name) for name in found}
        except (msgspec.DecodeError, ValueError) as error:
            raise Fatal(
                f"The saved state `{self._prefix}` was written by another version of the program "
                f"({error}). Run that version, or replay from the start: --fresh."
            ) from error
        rows.sort(key=lambda row: row[1])
        self._rows = OrderedDict((key, (place, value)) for key, place, value in rows)
        self._blocks = {}
        for key, place, _ in rows:
            self._blocks.setdefault(place // self._block, {})[key] = None
        self._next = rows[-1][1] if rows else 0
