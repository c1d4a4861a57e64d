"""The folds of a profile, compiled: rows into a block's arrays, and one column into another.

Three sketches a column, each a pure function of the *set* (with multiplicities) of its values, so that
neither order nor cuts matter and merging loses nothing:

- Bins: floats in their order as 64-bit integers, cut by their last `shift` bits; the smallest `shift`
  that leaves at most `BINS` occupied bins. Up to `BINS` different values are kept exactly. (The
  log-linear bins of HdrHistogram; the uniform collapse of UDDSketch, Epicoco et al. 2020.)
- Distinct values: the `HASHES` smallest hashes (k minimum values, Beyer et al. 2007).
- Count, missing, least, greatest; mean and squared deviations (Welford 1962; merged as in Chan et al.
  1979), which depend on the order in their last digits.

Pairs of columns: the same co-moments over rows where both are there (Pébay 2008).
"""

import numpy as np
import numpy.typing as npt
from numba import njit

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

BINS = 512
HASHES = 256
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_BELOW_ZERO = np.int64(0x7FFFFFFFFFFFFFFF)


@njit(cache=True)
def _place(sorted_values: I64 | U64, used: int, value: np.int64 | np.uint64) -> int:
    """Where the first value not less than `value` stands among the first `used`; without a branch."""
    at, left = 0, used
    while left > 1:
        half = left >> 1
        at += half * (sorted_values[at + half - 1] < value)
        left -= half
    return at + (left == 1 and sorted_values[at] < value)


@njit(cache=True)
def _coarsen(keys: I64, counts: I64, used: int) -> int:
    """One bit less: neighbours with the same key become one; how many are left."""
    last = -1
    for i in range(used):
        key = keys[i] >> 1
        if last >= 0 and keys[last] == key:
            counts[last] += counts[i]
        else:
            last += 1
            keys[last] = key
            counts[last] = counts[i]
    return last + 1


@njit(cache=True)
def _count(keys: I64, counts: I64, used: int, shift: int, key: np.int64) -> tuple[int, int]:
    """One more in the bin `key` (of this shift); the bins used then, and the shift."""
    at = _place(keys, used, key)
    if at < used and keys[at] == key:
        counts[at] += 1
        return used, shift
    for i in range(used, at, -1):
        keys[i] = keys[i - 1]
        counts[i] = counts[i - 1]
    keys[at] = key
    counts[at] = 1
    used += 1
    while used > BINS:
        used = _coarsen(keys, counts, used)
        shift += 1
    return used, shift


@njit(cache=True)
def _note(hashes: U64, held: int, value: np.uint64) -> int:
    """Keep the hash `value` if it is new and among the smallest; how many are held then."""
    if held == HASHES and value >= hashes[held - 1]:
        return held
    at = _place(hashes, held, value)
    if at < held and hashes[at] == value:
        return held
    end = held if held < HASHES else held - 1
    for i in range(end, at, -1):
        hashes[i] = hashes[i - 1]
    hashes[at] = value
    return end + 1


@njit(cache=True)
def _hash(bits: np.int64) -> np.uint64:
    """SplitMix64 (Steele et al. 2014): a bijection, so different values never meet."""
    z = np.uint64(bits) + _SPREAD
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def fold(
    columns: F64,
    bits: I64,
    counted: I64,
    moments: F64,
    bins: I64,
    keys: I64,
    counts: I64,
    hashes: U64,
    pairs: F64,
    paired: int,
) -> None:
    """Fold rows in their order, given as `columns` [p, n]; `bits` are the same as int64, no minus zero.

    counted [p, 3]: values, missing, hashes held; moments [p, 4]: least, greatest, mean, squared
    deviations; bins [p, 2]: used, shift; keys and counts [p, BINS + 1]; hashes [p, HASHES]; pairs
    [c (c - 1) / 2, 6]: rows, both means, both squared deviations, co-deviations of the first c =
    `paired` columns. What is not finite is missing.
    """
    for j in range(len(columns)):
        _fold_column(
            columns[j], bits[j], counted[j], moments[j], bins[j], keys[j], counts[j], hashes[j]
        )
    for i in range(paired):
        for j in range(i):
            _fold_pair(columns[i], columns[j], pairs[i * (i - 1) // 2 + j])


@njit(cache=True)
def _fold_column(
    values: F64,
    bits: I64,
    counted: I64,
    moments: F64,
    bins: I64,
    keys: I64,
    counts: I64,
    hashes: U64,
) -> None:
    n, held, used, shift = counted[0], counted[2], bins[0], bins[1]
    low, high, mean, squares = moments[0], moments[1], moments[2], moments[3]
    for row in range(len(values)):
        x = values[row]
        if not np.isfinite(x):
            continue
        n += 1
        low, high = min(low, x), max(high, x)
        away = x - mean
        mean += away / n
        squares += away * (x - mean)
        pattern = bits[row]
        key = pattern if pattern >= 0 else pattern ^ _BELOW_ZERO
        used, shift = _count(keys, counts, used, shift, key >> shift)
        held = _note(hashes, held, _hash(pattern))
    counted[1] += len(values) - (n - counted[0])
    counted[0], counted[2], bins[0], bins[1] = n, held, used, shift
    moments[0], moments[1], moments[2], moments[3] = low, high, mean, squares


@njit(cache=True)
def _fold_pair(xs: F64, ys: F64, pair: F64) -> None:
    n, mean_x, mean_y = pair[0], pair[1], pair[2]
    sxx, syy, sxy = pair[3], pair[4], pair[5]
    for row in range(len(xs)):
        x, y = xs[row], ys[row]
        if np.isfinite(x) and np.isfinite(y):
            n += 1.0
            dx, dy = x - mean_x, y - mean_y
            mean_x += dx / n
            mean_y += dy / n
            sxx += dx * (x - mean_x)
            syy += dy * (y - mean_y)
            sxy += dx * (y - mean_y)
    pair[0], pair[1], pair[2] = n, mean_x, mean_y
    pair[3], pair[4], pair[5] = sxx, syy, sxy


@njit(cache=True)
def absorb(
    counted: I64,
    bins: I64,
    keys: I64,
    counts: I64,
    hashes: U64,
    other_counted: I64,
    other_bins: I64,
    other_keys: I64,
    other_counts: I64,
    other_hashes: U64,
) -> None:
    """Add another block's bins and hashes to one block's, column by column; shapes as in `fold`."""
    merged, times = np.empty(2 * BINS, np.int64), np.empty(2 * BINS, np.int64)
    least = np.empty(HASHES, np.uint64)
    for j in range(len(bins)):
        mine, shift = bins[j, 1], other_bins[j, 1]
        while mine < shift:
            bins[j, 0] = _coarsen(keys[j], counts[j], bins[j, 0])
            mine += 1
        n, m = bins[j, 0], other_bins[j, 0]
        used = _merge_bins(
            merged,
            times,
            keys[j, :n],
            counts[j, :n],
            other_keys[j, :m],
            other_counts[j, :m],
            mine - shift,
        )
        while used > BINS:
            used = _coarsen(merged, times, used)
            mine += 1
        keys[j, :used], counts[j, :used] = merged[:used], times[:used]
        bins[j, 0], bins[j, 1] = used, mine
        n, m = counted[j, 2], other_counted[j, 2]
        held = _merge_hashes(least, hashes[j, :n], other_hashes[j, :m])
        hashes[j, :held] = least[:held]
        counted[j, 2] = held


@njit(cache=True)
def _merge_bins(
    into: I64, times: I64, keys: I64, counts: I64, more: I64, more_counts: I64, cut: int
) -> int:
    """Two sorted lists of bins as one; those of `more` lose `cut` bits. How many there are."""
    i, j, last = 0, 0, -1
    while i < len(keys) or j < len(more):
        if j == len(more) or (i < len(keys) and keys[i] <= more[j] >> cut):
            key, count, i = keys[i], counts[i], i + 1
        else:
            key, count, j = more[j] >> cut, more_counts[j], j + 1
        if last >= 0 and into[last] == key:
            times[last] += count
        else:
            last += 1
            into[last], times[last] = key, count
    return last + 1


@njit(cache=True)
def _merge_hashes(into: U64, hashes: U64, more: U64) -> int:
    """The smallest of two sorted lists, each once; how many."""
    i, j, held = 0, 0, 0
    while held < HASHES and (i < len(hashes) or j < len(more)):
        if j == len(more) or (i < len(hashes) and hashes[i] <= more[j]):
            value, i = hashes[i], i + 1
        else:
            value, j = more[j], j + 1
        if held == 0 or into[held - 1] != value:
            into[held] = value
            held += 1
    return held


@njit(cache=True)
def coarsened(keys: I64, counts: I64, most: int) -> tuple[I64, I64, int]:
    """Copies of bins, cut until at most `most` are left: keys, counts, and by how many bits."""
    keys, counts, used, shift = keys.copy(), counts.copy(), len(keys), 0
    while used > most:
        used = _coarsen(keys, counts, used)
        shift += 1
    return keys[:used], counts[:used], shift
