"""Profiles by tile of event time: fine near the newest, coarser the further back, bounded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from shared.features.profile.block import Block

F64 = npt.NDArray[np.float64]

KEPT = 8
"""Tiles of each length that are kept at least: a tile is doubled when its double ends this many
doubles behind the newest tile."""

Place = tuple[int, int]
"""Level l and number: level l is 2^l tiles long, and number i begins at i * 2^l tiles after 1970."""


class _Head(msgspec.Struct):
    names: list[str]
    tile_s: float
    newest: int | None


@dataclass(frozen=True)
class Tile:
    """The rows of event times [start_s, end_s), seconds since 1970."""

    start_s: float
    end_s: float
    packed: bytes

    @property
    def block(self) -> Block:
        """The profile itself."""
        return Block.unpack(self.packed)


class Tiles:
    """Folds rows with their event times; which tile holds a row depends on nothing but the times.

    At most KEPT + 2 tiles of each length, lengths doubling: 10 (1 + log2(span / (8 tile))), so 65 for
    a year of days. A row of an old time joins the tile that covers it. Only the tile at hand is held
    open, the others as bytes.
    """

    def __init__(self, names: Sequence[str], tile_s: float) -> None:
        self.names = tuple(names)
        self.tile_s = tile_s
        self._newest: int | None = None
        self._packed: dict[Place, bytes] = {}
        self._open: tuple[Place, Block] | None = None
        self._changed: set[Place] = set()

    def add(self, times_s: F64, rows: F64) -> None:
        """Fold `rows` [n, p] at `times_s` [n]. In any number of calls, the same."""
        if not len(rows):
            return
        numbers = np.floor(times_s / self.tile_s).astype(np.int64)
        newest = np.maximum.accumulate(numbers)
        if self._newest is not None:
            newest = np.maximum(newest, self._newest)
        cuts = np.flatnonzero(np.diff(newest)) + 1
        for part in np.split(np.arange(len(rows)), cuts):
            self._advance(int(newest[part[0]]))
            if (numbers[part] == newest[part]).all():
                self._opened((0, int(newest[part[0]]))).add(rows[part[0] : part[-1] + 1])
                continue
            places = list(map(self._place, numbers[part].tolist()))
            for place in dict.fromkeys(places):  # within a tile in the order of arrival
                mine = [row for row, where in zip(part, places, strict=True) if where == place]
                self._opened(place).add(rows[mine])

    def tiles(self) -> list[Tile]:
        """All of them in order of time, immutable."""
        self._settle()
        return sorted(
            (self._tile(place, data) for place, data in self._packed.items()),
            key=lambda tile: tile.start_s,
        )

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """State entries that changed: a head, and one a tile."""
        if not self._changed:
            return
        self._settle()
        yield "head", msgspec.msgpack.encode(_Head(list(self.names), self.tile_s, self._newest))
        for place in sorted(self._changed):
            yield "{}:{}".format(*place), self._packed.get(place)
        self._changed.clear()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly. What was kept of other columns or other tiles is left behind."""
        if "head" not in entries:
            return
        head = msgspec.msgpack.decode(entries["head"], type=_Head)
        packed = {_place_named(name): data for name, data in entries.items() if name != "head"}
        if tuple(head.names) != self.names or head.tile_s != self.tile_s:
            self._changed = set(packed)
            return
        self._newest, self._packed, self._open = head.newest, packed, None

    def _advance(self, number: int) -> None:
        """A new newest tile lets older ones be doubled."""
        if self._newest is not None and number <= self._newest:
            return
        self._newest = number
        for place in sorted(self._known()):
            level, at = place
            doubled = self._place(at << level)
            if doubled != place:
                self._join(place, doubled)

    def _join(self, place: Place, doubled: Place) -> None:
        """Older halves come first: alone in its double a half is that double."""
        self._settle()
        self._open = None
        packed = self._packed.pop(place)
        self._changed |= {place, doubled}
        if doubled in self._packed:
            self._opened(doubled).absorb(Block.unpack(packed))
        else:
            self._packed[doubled] = packed

    def _place(self, number: int) -> Place:
        """Where the tile `number` is kept: both halves of a double are doubled at the same moment."""
        assert self._newest is not None
        level = 0
        while self._newest - (((number >> (level + 1)) + 1) << (level + 1)) >= KEPT << (level + 1):
            level += 1
        return level, number >> level

    def _opened(self, place: Place) -> Block:
        if self._open is None or self._open[0] != place:
            self._settle()
            packed = self._packed.get(place)
            self._open = place, Block.unpack(packed) if packed else Block(self.names)
        self._changed.add(place)
        return self._open[1]

    def _settle(self) -> None:
        """What is open, as bytes too."""
        if self._open is not None:
            self._packed[self._open[0]] = self._open[1].pack()

    def _known(self) -> set[Place]:
        return {*self._packed, *(() if self._open is None else (self._open[0],))}

    def _tile(self, place: Place, data: bytes) -> Tile:
        level, at = place
        length_s = self.tile_s * 2**level
        return Tile(at * length_s, (at + 1) * length_s, data)


def merged(tiles: Iterable[Tile], names: Sequence[str]) -> Block:
    """One profile of all the rows of `tiles`."""
    block = Block(names)
    for tile in tiles:
        block.absorb(tile.block)
    return block


def _place_named(name: str) -> Place:
    level, _, at = name.partition(":")
    return int(level), int(at)
