"""What the features of the predictions look like, by source and tile of event time."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import msgspec
import numpy as np

from shared.features.profile.tiles import Tile, Tiles
from shared.messages.types import Prediction
from shared.models.rows import matrix

MOST_SOURCES = 8
OTHERS = "(others)"
_AT_ONCE = 512
_PREFIX = "profile"


class Snapshot(msgspec.Struct, frozen=True):
    """All tiles at one moment, immutable; `tiles` by source in order of time."""

    names: tuple[str, ...]
    tiles: dict[str, tuple[Tile, ...]]


class Profiles:
    """Tiles of each source (`events.environment`; "" without one); the ninth and later are one.

    Rows are gathered and folded by the hundred, which changes nothing but the cost.
    """

    def __init__(self, names: Sequence[str], tile: timedelta) -> None:
        self._names = tuple(names)
        self._tile_s = tile.total_seconds()
        self._tiles: dict[str, Tiles] = {}
        self._rows: list[Prediction] = []
        self._new = False

    def add(self, prediction: Prediction) -> None:
        """One prediction's features."""
        self._rows.append(prediction)
        if len(self._rows) >= _AT_ONCE:
            self._fold()

    def snapshot(self) -> Snapshot:
        """What is there now."""
        self._fold()
        return Snapshot(self._names, {s: tuple(t.tiles()) for s, t in self._tiles.items()})

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """The sources, and the tiles of each that changed."""
        self._fold()
        if self._new:
            self._new = False
            yield _PREFIX, msgspec.msgpack.encode(list(self._tiles))
        for number, tiles in enumerate(self._tiles.values()):
            for name, data in tiles.changes():
                yield f"{_PREFIX}/{number}/{name}", data

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        sources = msgspec.msgpack.decode(entries.get(_PREFIX, b"\x90"), type=list[str])
        for number, source in enumerate(sources):
            prefix = f"{_PREFIX}/{number}/"
            own = {k.removeprefix(prefix): v for k, v in entries.items() if k.startswith(prefix)}
            self._tiles[self._known(source)].restore(own)
        self._new = False

    def _fold(self) -> None:
        by_source: dict[str, list[Prediction]] = {}
        for row in self._rows:
            by_source.setdefault(self._known(row.source or ""), []).append(row)
        self._rows = []
        for source, rows in by_source.items():
            times_s = np.array([row.time.timestamp() for row in rows])
            self._tiles[source].add(times_s, matrix([row.features for row in rows], self._names))

    def _known(self, source: str) -> str:
        """The name that `source` is kept by, from now on."""
        if source not in self._tiles and len(self._tiles) >= MOST_SOURCES:
            source = OTHERS
        if source not in self._tiles:
            self._tiles[source] = Tiles(self._names, self._tile_s)
            self._new = True
        return source
