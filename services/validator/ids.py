"""The newest ids, for the duplicate check."""

from collections.abc import Iterator, Mapping

import msgspec

SEGMENT = 128
"""Ids in one state entry: what is rewritten when an id is added."""
_decode = msgspec.msgpack.Decoder(list[str]).decode


class NewestIds:
    """The last `most` ids that were added. Memory: at most 1.25 times `most` ids."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: list[str] = []
        self.known: set[str] = set()
        """Those that are remembered."""
        self._added = 0
        self._saved = 0

    def add(self, name: str) -> None:
        """Remember `name`, which is new, and forget the oldest beyond `most`."""
        ids = self._ids
        ids.append(name)
        self.known.add(name)
        self._added += 1
        if self._added > self._most:
            self.known.discard(ids[-self._most - 1])
            if len(ids) > self._most + max(SEGMENT, self._most >> 2):
                del ids[: -self._most]

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Segments that changed since the last call."""
        if self._saved == self._added:
            return
        gone = max(0, self._saved - self._most) // SEGMENT
        first = max(0, self._added - self._most) // SEGMENT
        for segment in range(gone, min(first, -(-self._saved // SEGMENT))):
            yield f"ids/{segment}", None
        base = self._added - len(self._ids)
        for segment in range(max(first, self._saved // SEGMENT), -(-self._added // SEGMENT)):
            start = max(0, segment * SEGMENT - base)
            part = self._ids[start : (segment + 1) * SEGMENT - base]
            yield f"ids/{segment}", msgspec.msgpack.encode(part)
        self._saved = self._added

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Become what was saved."""
        segments = sorted(int(name[4:]) for name in entries if name.startswith("ids/"))
        if not segments:
            return
        parts = [_decode(entries[f"ids/{segment}"]) for segment in segments]
        self._added = self._saved = segments[-1] * SEGMENT + len(parts[-1])
        self._ids = [name for part in parts for name in part][-self._most :]
        self.known = set(self._ids)
