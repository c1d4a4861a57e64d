"""A profile of p columns over some rows: it takes rows, and other profiles of the same columns."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from shared.errors import Reject
from shared.features.profile.column import Column
from shared.features.profile.kernel import BINS, HASHES, absorb, fold

F64 = npt.NDArray[np.float64]

PAIRED = 16
"""Of how many columns, the first ones, every pair is correlated."""


class _Packed(msgspec.Struct, array_like=True):
    """Only what is used of the arrays, as bytes."""

    names: list[str]
    counted: bytes
    moments: bytes
    bins: bytes
    keys: bytes
    counts: bytes
    hashes: bytes
    pairs: bytes


class Block:
    """Columns `names` over the rows given so far.

    Memory: at most 16 (BINS + 1) + 8 HASHES + 72 = 10.4 kB a column, and 48 bytes a pair. Merging two
    blocks gives the block of all rows: to the bit in bins, counts and hashes, to rounding in means,
    deviations and correlations.
    """

    def __init__(self, names: Sequence[str]) -> None:
        p = len(names)
        self.names = tuple(names)
        self.paired = min(p, PAIRED)
        self.counted = np.zeros((p, 3), np.int64)
        self.moments = np.tile([np.inf, -np.inf, 0.0, 0.0], (p, 1))
        self.bins = np.zeros((p, 2), np.int64)
        self.keys = np.zeros((p, BINS + 1), np.int64)
        self.counts = np.zeros((p, BINS + 1), np.int64)
        self.hashes = np.zeros((p, HASHES), np.uint64)
        self.pairs = np.zeros((self.paired * (self.paired - 1) // 2, 6))

    @property
    def rows(self) -> int:
        """How many rows were given."""
        return int(self.counted[0, :2].sum()) if self.names else 0

    def add(self, rows: F64) -> None:
        """Fold `rows` [n, p]; NaN is missing. In any number of calls, the same."""
        columns = np.ascontiguousarray(rows.T) + 0.0  # no minus zero
        fold(
            columns, columns.view(np.int64), self.counted, self.moments, self.bins, self.keys,
            self.counts, self.hashes, self.pairs, self.paired,
        )  # fmt: skip

    def absorb(self, other: "Block") -> None:
        """Take in the rows of another block of the same columns."""
        mine, theirs = self.counted[:, 0].astype(np.float64), other.counted[:, 0]
        _merge_means(self.moments[:, 2:], other.moments[:, 2:], mine, theirs)
        self.moments[:, 0] = np.minimum(self.moments[:, 0], other.moments[:, 0])
        self.moments[:, 1] = np.maximum(self.moments[:, 1], other.moments[:, 1])
        self.counted[:, :2] += other.counted[:, :2]
        absorb(
            self.counted, self.bins, self.keys, self.counts, self.hashes,
            other.counted, other.bins, other.keys, other.counts, other.hashes,
        )  # fmt: skip
        _merge_pairs(self.pairs, other.pairs)

    def column(self, name: str) -> Column:
        """One column, to be read; a copy."""
        j = self.names.index(name)
        used, shift = self.bins[j].tolist()
        n, missing, held = self.counted[j].tolist()
        low, high, mean, squares = self.moments[j].tolist()
        distinct = float(used if shift == 0 else held)
        if shift and held == HASHES:
            distinct = (HASHES - 1) / ((float(self.hashes[j, -1]) + 1) / 2.0**64)
        return Column(
            n, missing, low, high, mean, squares, shift,
            self.keys[j, :used].copy(), self.counts[j, :used].copy(), distinct,
        )  # fmt: skip

    def correlation(self) -> tuple[F64, F64]:
        """[c, c] Pearson's r of the first c columns, and the rows it rests on (both there).

        NaN with fewer than three rows, or where one of the two never moves.
        """
        c = self.paired
        r, n = np.full((c, c), np.nan), np.zeros((c, c))
        places = np.tril_indices(c, -1)
        count, _, _, sxx, syy, sxy = self.pairs.T
        with np.errstate(all="ignore"):
            spread = np.sqrt(sxx) * np.sqrt(syy)
            known = (count >= 3) & (spread > 0) & np.isfinite(spread)
            r[places] = np.where(known, np.clip(sxy / spread, -1, 1), np.nan)
        n[places] = count
        np.fill_diagonal(r, 1.0)
        n += n.T
        np.fill_diagonal(n, self.counted[:c, 0])
        return np.where(np.isnan(r), r.T, r), n

    def pack(self) -> bytes:
        """As bytes; equal blocks give equal bytes."""
        used = np.arange(BINS + 1) < self.bins[:, :1]
        held = np.arange(HASHES) < self.counted[:, 2:]
        packed = _Packed(
            list(self.names), self.counted.tobytes(), self.moments.tobytes(), self.bins.tobytes(),
            self.keys[used].tobytes(), self.counts[used].tobytes(), self.hashes[held].tobytes(),
            self.pairs.tobytes(),
        )  # fmt: skip
        return msgspec.msgpack.encode(packed)

    @classmethod
    def unpack(cls, data: bytes) -> "Block":
        """The block that `pack` wrote.

        Raises:
            Reject: these are no such bytes.
        """
        try:
            packed = msgspec.msgpack.decode(data, type=_Packed)
            block = cls(packed.names)
            block._fill(packed)
        except (msgspec.DecodeError, ValueError) as error:
            raise Reject(f"this is no profile: {error}", "profile") from error
        return block

    def _fill(self, packed: _Packed) -> None:
        for name in ("counted", "moments", "bins", "pairs"):
            array = getattr(self, name)
            array[...] = np.frombuffer(getattr(packed, name), array.dtype).reshape(array.shape)
        used = np.arange(BINS + 1) < self.bins[:, :1]
        held = np.arange(HASHES) < self.counted[:, 2:]
        self.keys[used] = np.frombuffer(packed.keys, np.int64)
        self.counts[used] = np.frombuffer(packed.counts, np.int64)
        self.hashes[held] = np.frombuffer(packed.hashes, np.uint64)


def warm_block() -> None:
    """Compile the kernels, or load them from numba's cache."""
    block = Block(["x", "y"])
    block.add(np.zeros((1, 2)))
    block.absorb(block)


def _merge_means(mine: F64, theirs: F64, n: F64, m: npt.NDArray[np.int64]) -> None:
    """[p, 2] means and squared deviations of n and of m values become those of both (Chan et al.).

    Squares beyond the range of floats are infinite, as where values are added one by one.
    """
    share = m / np.maximum(n + m, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        away = theirs[:, 0] - mine[:, 0]
        squares = mine[:, 1] + theirs[:, 1] + away**2 * (n * share)
        merged = np.column_stack([mine[:, 0] + away * share, squares])
    mine[...] = _picked(mine, theirs, merged, n[:, None], m[:, None])


def _merge_pairs(mine: F64, theirs: F64) -> None:
    n, m = mine[:, :1].copy(), theirs[:, :1]
    share = m / np.maximum(n + m, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        away = theirs[:, 1:3] - mine[:, 1:3]
        products = np.column_stack([away**2, away.prod(axis=1)])
        sums = mine[:, 3:] + theirs[:, 3:] + products * (n * share)
        merged = np.hstack([mine[:, 1:3] + away * share, sums])
    mine[:, 1:] = _picked(mine[:, 1:], theirs[:, 1:], merged, n, m)
    mine[:, :1] += m


def _picked(mine: F64, theirs: F64, merged: F64, n: F64, m: npt.NDArray[np.int64] | F64) -> F64:
    """Rows that only one side has pass over as they are."""
    picked: F64 = np.where(n == 0, theirs, np.where(m == 0, mine, merged))
    return picked
