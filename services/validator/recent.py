"""The newest accepted events of each key, for checks over a window."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_MARK = "recent/"
Rows = deque[Mapping[str, Any]]
_decode = msgspec.msgpack.Decoder(tuple[int, list[dict[str, Any]]]).decode


class Recent:
    """Up to `most_rows` rows of each of `most_keys` keys; the one silent longest is forgotten first."""

    def __init__(self, most_rows: int, most_keys: int) -> None:
        self._most_rows = most_rows
        self._most_keys = most_keys
        self._rows: OrderedDict[str, tuple[int, Rows]] = OrderedDict()
        self._added = 0
        self._changed: dict[str, None] = {}

    def rows(self, key: str, most: int) -> list[Mapping[str, Any]]:
        """The newest `most` rows of `key`, oldest first."""
        found = self._rows.get(key)
        return [] if found is None else list(found[1])[-most:]

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """The newest row of `key`."""
        _, rows = self._rows.pop(key, (0, deque(maxlen=self._most_rows)))
        rows.append(row)
        self._added += 1
        self._rows[key] = self._added, rows
        self._changed[key] = None
        if len(self._rows) > self._most_keys:
            gone, _ = self._rows.popitem(last=False)
            self._changed[gone] = None

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """State entries that changed since the last call."""
        for key in self._changed:
            found = self._rows.get(key)
            packed = found and msgspec.msgpack.encode((found[0], [dict(row) for row in found[1]]))
            yield f"{_MARK}{key}", packed
        self._changed.clear()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Become what was saved."""
        found = [
            (*_decode(value), name.removeprefix(_MARK))
            for name, value in entries.items()
            if name.startswith(_MARK)
        ]
        for added, rows, key in sorted(found, key=lambda one: one[0]):
            self._rows[key] = added, deque(rows, maxlen=self._most_rows)
            self._added = added
