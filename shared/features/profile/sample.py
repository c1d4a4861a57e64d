"""A few rows of many, for a scatter plot: which ones depends on their ids alone."""

from hashlib import blake2b
from heapq import heappush, heappushpop

import numpy as np
import numpy.typing as npt


class Sample:
    """A seeded reservoir: the `size` rows whose ids have the smallest hashes (bottom-k, Cohen and
    Kaplan 2007). Each id is as likely as any other; order, cuts and repeats change nothing.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._key = seed.to_bytes(8, "big")
        self._rows: list[tuple[int, str, tuple[float, ...]]] = []
        self._held: set[str] = set()

    def add(self, name: str, row: tuple[float, ...]) -> None:
        """Offer the row of the id `name`."""
        digest = blake2b(name.encode(), digest_size=8, key=self._key).digest()
        entry = (-int.from_bytes(digest, "big"), name, row)
        if len(self._rows) == self._size and entry[0] <= self._rows[0][0]:
            return
        if name in self._held:
            return
        self._held.add(name)
        if len(self._rows) < self._size:
            heappush(self._rows, entry)
        else:
            self._held.discard(heappushpop(self._rows, entry)[1])

    def rows(self) -> npt.NDArray[np.float64]:
        """[n, p], smallest hash first."""
        return np.array([row for _, _, row in sorted(self._rows, reverse=True)])
