"""What the features (or fields) of the predictions look like, by source and tile of event time."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import msgspec
import numpy as np

from shared.features.profile.tiles import Tile, Tiles, merged
from shared.messages.types import Prediction
from shared.models.rows import matrix

Numbers = Mapping[str, float | None]

MOST_SOURCES = 8
OTHERS = "(others)"
_AT_ONCE = 512


class Snapshot(msgspec.Struct, frozen=True):
    """All tiles at one moment, immutable; `tiles` by source in order of time."""

    names: tuple[str, ...]
    tiles: dict[str, tuple[Tile, ...]]

    def of(self, source: str) -> list[Tile]:
        """The tiles of a source; of all of them together where it is "" or none of them."""
        if source in self.tiles and (source or len(self.tiles) == 1):
            return list(self.tiles[source])
        by_span: dict[tuple[float, float], list[Tile]] = {}
        for tile in (tile for tiles in self.tiles.values() for tile in tiles):
            by_span.setdefault((tile.start_s, tile.end_s), []).append(tile)
        return [
            Tile(*span, merged(tiles, self.names).pack()) if len(tiles) > 1 else tiles[0]
            for span, tiles in sorted(by_span.items())
        ]


class Profiles:
    """Tiles of each source (`events.environment`; "" without one); the ninth and later are one.

    Rows are gathered and folded by the hundred, which changes nothing but the cost. `prefix`: of the
    state's entries.
    """

    def __init__(self, names: Sequence[str], tile: timedelta, prefix: str = "profile") -> None:
        self._names = tuple(names)
        self._prefix = prefix
        self._tile_s = tile.total_seconds()
        self._tiles: dict[str, Tiles] = {}
        self._rows: list[tuple[Prediction, Numbers]] = []
        self._new = False

    def add(self, prediction: Prediction, numbers: Numbers | None = None) -> None:
        """One prediction's features, or these `numbers` of it."""
        self._rows.append((prediction, prediction.features if numbers is None else numbers))
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
            yield self._prefix, msgspec.msgpack.encode(list(self._tiles))
        for number, tiles in enumerate(self._tiles.values()):
            for name, data in tiles.changes():
                yield f"{self._prefix}/{number}/{name}", data

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        sources = msgspec.msgpack.decode(entries.get(self._prefix, b"\x90"), type=list[str])
        for number, source in enumerate(sources):
            prefix = f"{self._prefix}/{number}/"
            own = {k.removeprefix(prefix): v for k, v in entries.items() if k.startswith(prefix)}
            self._tiles[self._known(source)].restore(own)
        self._new = False

    def _fold(self) -> None:
        by_source: dict[str, list[tuple[Prediction, Numbers]]] = {}
        for row in self._rows:
            by_source.setdefault(self._known(row[0].source or ""), []).append(row)
        self._rows = []
        for source, rows in by_source.items():
            times_s = np.array([prediction.time.timestamp() for prediction, _ in rows])
            self._tiles[source].add(times_s, matrix([numbers for _, numbers in rows], self._names))

    def _known(self, source: str) -> str:
        """The name that `source` is kept by, from now on."""
        if source not in self._tiles and len(self._tiles) >= MOST_SOURCES:
            source = OTHERS
        if source not in self._tiles:
            self._tiles[source] = Tiles(self._names, self._tile_s)
            self._new = True
        return source
