"""The run on one time axis, in bounded memory.

A point holds cumulative sums, so any window between two points can be read off afterwards: nothing
needs to be known in advance about who will look at what. At `MOST` points every second one goes and
the step doubles: a run of any length has between `MOST / 2` and `MOST` points.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import sqrt

import msgspec

CHUNK = 64
MOST = 12 * CHUNK
FIRST_STEP = 10
"""Predictions between two points, until the first doubling."""
STALE_POINTS = 8
FEW = 50
LEAST_BLOCKS = 8
MOST_BLOCKS = 30

Sums = tuple[int, float, float]
"""(n, loss, gain): outcomes scored, summed loss, summed loss minus the champion's on the same ones."""

_NONE: Sums = (0, 0.0, 0.0)


class Point(msgspec.Struct, array_like=True, frozen=True):
    """Cumulative figures as of the `predictions`-th prediction. `time_s`: its event time."""

    predictions: int
    outcomes: int
    rejected: int
    time_s: float
    sums: dict[str, Sums]


class _Head(msgspec.Struct):
    step: int
    count: int


class Timeline:
    """Points, oldest first; state is kept in chunks, so that a checkpoint costs what changed."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.step = FIRST_STEP
        self._dirty: set[int] = set()
        self._saved_chunks = 0

    def due(self, predictions: int) -> bool:
        """Whether a point belongs at this count of predictions."""
        return predictions % self.step == 0

    def add(self, point: Point) -> None:
        """Append a point; thin out when there are too many."""
        self.points.append(point)
        self._dirty.add((len(self.points) - 1) // CHUNK)
        if len(self.points) >= MOST:
            self.step *= 2
            self.points = [p for p in self.points if p.predictions % self.step == 0]
            self._dirty = set(range(_chunks(len(self.points))))

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Entries `points:<chunk>` and their head."""
        if not self._dirty:
            return
        now = _chunks(len(self.points))
        for chunk in sorted(self._dirty):
            part = self.points[chunk * CHUNK : (chunk + 1) * CHUNK]
            yield f"points:{chunk}", msgspec.msgpack.encode(part)
        for chunk in range(now, self._saved_chunks):
            yield f"points:{chunk}", None
        yield "timeline", msgspec.msgpack.encode(_Head(self.step, len(self.points)))
        self._dirty.clear()
        self._saved_chunks = now

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        if "timeline" not in entries:
            return
        head = msgspec.msgpack.decode(entries["timeline"], type=_Head)
        self.step, self._saved_chunks = head.step, _chunks(head.count)
        self.points = [
            point
            for chunk in range(self._saved_chunks)
            for point in msgspec.msgpack.decode(entries[f"points:{chunk}"], type=list[Point])
        ]


def _chunks(count: int) -> int:
    return -(-count // CHUNK)


def windowed(points: Sequence[Point], name: str, window: int) -> list[float | None]:
    """Mean loss of `name` over the newest >= `window` outcomes, as known at each point.

    The window starts at the last point that lies at least `window` outcomes back (so it is up to one
    step longer), or at the beginning. None for less than a 50th of a window (too few to show), and
    where nothing was scored for the last `STALE_POINTS` points (a retired shadow, labels that stopped).
    """
    sums = _sums(points, name)
    out: list[float | None] = []
    start = 0
    for place in range(1, len(sums)):
        n, loss, _ = sums[place]
        while sums[start + 1][0] <= n - window:
            start += 1
        n0, loss0, _ = sums[start]
        stale = n - n0 < max(1, window // FEW) or n == sums[max(0, place - STALE_POINTS)][0]
        out.append(None if stale else (loss - loss0) / (n - n0))
    return out


def newest(points: Sequence[Point], name: str, window: int) -> Sequence[Point]:
    """The points that span the newest >= `window` outcomes of `name`; all if there are fewer."""
    until = _sums(points[-1:], name)[-1][0] - window
    start = sum(point.sums.get(name, _NONE)[0] <= until for point in points)
    return points[max(start - 1, 0) :]


def cumulative(points: Sequence[Point], name: str) -> list[float | None]:
    """Mean loss of `name` over all its outcomes up to each point; None as in `windowed`."""
    sums = _sums(points, name)
    return [
        None if n in (0, sums[max(0, place - STALE_POINTS)][0]) else loss / n
        for place, (n, loss, _) in enumerate(sums)
        if place
    ]


def half_width(
    points: Sequence[Point], name: str, place: int, begun: bool = False
) -> tuple[float, int] | None:
    """Half width of a 95 % interval for a mean, and the number of blocks it rests on.

    `place` 1 is the mean loss, 2 the mean gain over the champion. `begun`: the points are a later part
    of the line, and the mean is that between the first and the last of them. The spread is taken
    between blocks of consecutive outcomes, not between single ones: errors on a stream come in runs,
    and an interval that ignores it is far too narrow (batch means; Student's t). None with fewer than
    8 blocks.
    """
    blocks = _blocks(_sums(points, name)[int(begun) :], place)
    if len(blocks) < LEAST_BLOCKS:
        return None
    total = sum(n for n, _ in blocks)
    mean = sum(value for _, value in blocks) / total
    spread = sum((value - n * mean) ** 2 for n, value in blocks) / total**2
    k = len(blocks)
    return _t95(k - 1) * sqrt(spread * k / (k - 1)), k


def _blocks(sums: Sequence[Sums], place: int) -> list[tuple[int, float]]:
    """(outcomes, summed value) of at most `MOST_BLOCKS` consecutive blocks."""
    sums = [sums[0], *(b for a, b in pairwise(sums) if b[0] > a[0])]
    if not sums:
        return []
    per_block = max(1, (len(sums) - 1) // MOST_BLOCKS)
    cuts = sums[::per_block]
    return [
        (after[0] - before[0], after[place] - before[place]) for before, after in pairwise(cuts)
    ]


def _t95(degrees: int) -> float:
    """Student's t, 97.5 % quantile, by Cornish-Fisher (within .01 from 7 degrees on)."""
    z = 1.959964
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


def _sums(points: Sequence[Point], name: str) -> list[Sums]:
    """The sums of `name`, after an origin of nothing."""
    return [_NONE, *(point.sums.get(name, _NONE) for point in points)]
