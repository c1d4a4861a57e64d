"""What labels say about later labels: the newest known one, and seasons that find themselves.

For every lag up to 1024 labels: how often the labels that far apart agree, and a decayed table
"label then -> label now". An event whose newest known label lies `lag` back is predicted from the
table of that lag; from the lag (not shorter) whose labels agree most; and from the mean of the four
best. Labels are taken in the order of the events; an event that will never be labelled holds its
place.
"""

import numpy as np
from numba import njit

from shared.models.port import F32, F64, FAST, I64, Expert, Labels, Rows, widen

LAGS, PEAKS = 1024, 32
MEMORY = 0.0005  # of the agreement
KEEP = 0.998  # of a table's row, each time it is used
START = 0.5
RANK_EVERY = 64  # labels
UNKNOWN = -1


@njit(cache=True, fastmath=FAST)
def _table(tables: F64, history: I64, count: int, ahead: int, lag: int, p: F64) -> bool:
    """Row of the table of `lag` for an event `ahead` places after the next label; False: unknown."""
    n_lags, n_classes = tables.shape[0], p.shape[0]
    back = lag - ahead  # how many labels ago
    if back < 1 or back > min(count, n_lags) or lag > n_lags:
        return False
    then = history[(count - back) % n_lags]
    if then < 0:
        return False
    total = 0.0
    for c in range(n_classes):
        total += tables[lag - 1, then, c]
    for c in range(n_classes):
        p[c] = tables[lag - 1, then, c] / total
    return True


@njit(cache=True, fastmath=FAST)
def _predict(
    n: int, pending: int, tables: F64, history: I64, count: I64, peaks: I64, out: F32, first: int
) -> None:
    n_classes = out.shape[2]
    p = np.empty(n_classes)
    for i in range(n):
        ahead = pending + i
        out[i, first : first + 3] = 1.0 / n_classes
        if _table(tables, history, count[0], ahead, ahead + 1, p):
            out[i, first] = p
        used = 0
        for lag in peaks:
            if lag > ahead and _table(tables, history, count[0], ahead, lag, p):
                if used == 0:
                    out[i, first + 1] = p
                    out[i, first + 2] = 0.0
                for c in range(n_classes):
                    out[i, first + 2, c] += p[c]
                used += 1
                if used == 4:
                    break
        if used > 1:
            for c in range(n_classes):
                out[i, first + 2, c] /= used


@njit(cache=True)
def _rank(agree: F64, count: int, peaks: I64) -> None:
    """The lags of largest agreement, best first, the neighbours of each left out."""
    left = agree.copy()
    peaks[:] = 0
    for z in range(min(peaks.shape[0], count // 3)):
        best = int(np.argmax(left))
        if left[best] <= 0.0:
            break
        peaks[z] = best + 1
        left[max(0, best - 1) : best + 2] = -1.0


@njit(cache=True, fastmath=FAST)
def _learn(y: I64, tables: F64, agree: F64, history: I64, count: I64, peaks: I64) -> None:
    n_lags, n_classes = tables.shape[0], tables.shape[1]
    for i in range(y.shape[0]):
        k = count[0]
        now = y[i]
        step = max(MEMORY, 1.0 / (k + 1.0))
        at = k % n_lags
        for lag in range(1, min(k, n_lags) + 1 if now >= 0 else 0):
            at = at - 1 if at > 0 else n_lags - 1
            then = history[at]
            if then < 0:
                continue
            agree[lag - 1] += step * ((1.0 if then == now else 0.0) - agree[lag - 1])
            for c in range(n_classes):
                tables[lag - 1, then, c] *= KEEP
            tables[lag - 1, then, now] += 1.0
        history[k % n_lags] = now
        count[0] = k + 1
        if count[0] % RANK_EVERY == 0 and count[0] > 200:
            _rank(agree, count[0], peaks)


class Seasons(Expert):
    """Three columns: newest known label, best season, mean of the four best.

    State: tables [lags, K, K] (at most 2 ** 20 numbers: fewer lags for many classes).
    """

    arrays = ("tables", "agree", "history", "count", "peaks")

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = ("last-label", "season", "seasons-4")
        lags = max(1, min(LAGS, 2**20 // n_classes**2))
        self.tables = np.full((lags, n_classes, n_classes), START)
        self.agree = np.zeros(lags)
        self.history = np.full(lags, UNKNOWN)
        self.count = np.zeros(1, np.int64)
        self.peaks = np.zeros(PEAKS, np.int64)

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """From the labels known so far."""
        _predict(
            len(rows.x),
            rows.pending,
            self.tables,
            self.history,
            self.count,
            self.peaks,
            out,
            first,
        )

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Count the new label against every earlier one kept."""
        _learn(y, self.tables, self.agree, self.history, self.count, self.peaks)

    def skip(self, n: int) -> None:
        """`n` events in a row will never be labelled."""
        unknown = np.full(n, UNKNOWN)
        _learn(unknown, self.tables, self.agree, self.history, self.count, self.peaks)

    def grow(self, n_classes: int) -> None:
        """The new class gets pseudo-counts; the number of lags stays as it was made."""
        self.tables = widen(self.tables, (1, 2), n_classes, START)
