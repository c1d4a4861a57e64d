"""What labels say about later labels: the newest known one, and seasons that find themselves.

For every lag up to 1024 events: how often the labels that far apart agree, and a decayed table
"label then -> label now". An event whose newest known label lies `lag` back is predicted from the
table of that lag; from the lag (not shorter) whose labels agree most; and from the mean of the four
best. Every label stands at the place of its event, whenever it comes; an event without a label leaves
its place empty.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.models.port import F32, F64, FAST, I64, Expert, Labels, Rows, widen

LAGS, PEAKS = 1024, 32
MEMORY = 0.0005  # of the agreement
KEEP = 0.998  # of a table's row, each time it is used
START = 0.5
RANK_EVERY = 64  # labels
UNKNOWN = -1
LABELS, END = 0, 1  # places in `count`: labels learned, the place after the newest one's event
FEW = 4  # classes
I32 = npt.NDArray[np.int32]


@njit(cache=True)
def _slot(place: int, n_lags: int) -> int:
    """Where the label of that event is kept: newer ones come first, so that lags ascend."""
    return n_lags - 1 - place % n_lags


@njit(cache=True, fastmath=FAST, forceinline=True)
def _table(tables: F32, history: I32, end: int, place: int, lag: int, p: F64) -> bool:
    """Row of the table of `lag` for the event at `place`; False: that label is not known."""
    n_lags, n_classes = tables.shape[2], p.shape[0]
    back = place - lag
    if lag < 1 or lag > n_lags or back < max(0, end - n_lags) or back >= end:
        return False
    then = history[_slot(back, n_lags)]
    if then < 0:
        return False
    total = 0.0
    for c in range(n_classes):
        total += tables[then, c, lag - 1]
    for c in range(n_classes):
        p[c] = tables[then, c, lag - 1] / total
    return True


@njit(cache=True)
def _put(p: F64, row: F32) -> None:
    """`row[:] = p`, which would bring a compiled error message along, a second of compiling."""
    for c in range(p.shape[0]):
        row[c] = p[c]


@njit(cache=True, fastmath=FAST)
def _predict(
    place: I64, tables: F32, history: I32, count: I64, peaks: I64, out: F32, first: int
) -> None:
    n_classes, end = out.shape[2], count[END]
    p = np.empty(n_classes)
    for i in range(place.shape[0]):
        out[i, first : first + 3] = 1.0 / n_classes
        shortest = place[i] - end + 1
        if _table(tables, history, end, place[i], shortest, p):
            _put(p, out[i, first])
        used = 0
        for lag in peaks:
            if lag >= shortest and _table(tables, history, end, place[i], lag, p):
                if used == 0:
                    _put(p, out[i, first + 1])
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
def _rank(agree: F32, count: int, peaks: I64) -> None:
    """The lags of largest agreement, best first, the neighbours of each left out."""
    left = agree.copy()
    peaks[:] = 0
    for z in range(min(peaks.shape[0], count // 3)):
        best = int(np.argmax(left))
        if left[best] <= 0.0:
            break
        peaks[z] = best + 1
        left[max(0, best - 1) : best + 2] = -1.0


@njit(cache=True, fastmath=FAST, forceinline=True)
def _agree(then: I32, now: int, step: float, agree: F32) -> None:
    """Move the agreement at each lag; `then` [lags]: the label that far back."""
    one, nothing, now32, step32 = np.float32(1.0), np.float32(0.0), np.int32(now), np.float32(step)
    for g in range(then.shape[0]):
        off = (one if then[g] == now32 else nothing) - agree[g]
        agree[g] += step32 * (off if then[g] >= np.int32(0) else nothing)


@njit(cache=True, fastmath=FAST, forceinline=True)
def _count_all(then: I32, now: int, tables: F32, lag: int) -> None:
    """Count at each lag from `lag` on, every cell of every table: for few classes (it vectorises)."""
    one, nothing, keep = np.float32(1.0), np.float32(0.0), np.float32(KEEP)
    for t in range(tables.shape[0]):
        for c in range(tables.shape[1]):
            more = one if c == now else nothing
            cells, t32 = tables[t, c][lag : lag + then.shape[0]], np.int32(t)
            for g in range(then.shape[0]):
                cells[g] = cells[g] * keep + more if then[g] == t32 else cells[g]


@njit(cache=True, fastmath=FAST, forceinline=True)
def _count_used(then: I32, now: int, tables: F32, lag: int) -> None:
    """The same, only the row that each lag uses: for many classes."""
    for g in range(then.shape[0]):
        t = then[g]
        if t >= 0:
            for c in range(tables.shape[1]):
                tables[t, c, lag + g] *= np.float32(KEEP)
            tables[t, now, lag + g] += np.float32(1.0)


@njit(cache=True)
def _make_room(history: I32, end: int, place: int) -> None:
    """The events between the newest label's and `place` have no label yet, or for ever."""
    for between in range(max(end, place - history.shape[0]), place):
        history[_slot(between, history.shape[0])] = UNKNOWN


@njit(cache=True, fastmath=FAST)
def _learn(
    y: I64, place: I64, tables: F32, agree: F32, history: I32, count: I64, peaks: I64
) -> None:
    n_lags = tables.shape[2]
    for i in range(y.shape[0]):
        now, end = y[i], count[END]
        kept = n_lags - max(0, end - place[i])  # labels before this one that are still kept
        if kept < 0:
            continue
        _make_room(history, end, place[i])
        step = max(MEMORY, 1.0 / (count[LABELS] + 1.0))
        newest = _slot(place[i] - 1, n_lags)  # lag 1; slots not filled yet hold UNKNOWN
        for part in range(2):
            lag = 0 if part == 0 else n_lags - newest
            then = history[newest:] if part == 0 else history[:newest]
            then = then[: max(0, kept - lag)]
            _agree(then, now, step, agree[lag : lag + then.shape[0]])
            if tables.shape[0] <= FEW:
                _count_all(then, now, tables, lag)
            else:
                _count_used(then, now, tables, lag)
        history[_slot(place[i], n_lags)] = now
        count[END] = max(end, place[i] + 1)
        count[LABELS] += 1
        if count[LABELS] % RANK_EVERY == 0 and count[LABELS] > 200:
            _rank(agree, count[LABELS], peaks)


class Seasons(Expert):
    """Three columns: newest known label, best season, mean of the four best.

    State: tables [K, K, lags] (at most 2 ** 19 numbers: fewer lags for many classes).
    """

    arrays = ("tables", "agree", "history", "count", "peaks")

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = ("last-label", "season", "seasons-4")
        lags = max(1, min(LAGS, 2**19 // n_classes**2))
        self.tables = np.full((n_classes, n_classes, lags), START, np.float32)
        self.agree = np.zeros(lags, np.float32)
        self.history = np.full(lags, UNKNOWN, np.int32)
        self.count = np.zeros(2, np.int64)
        self.peaks = np.zeros(PEAKS, np.int64)

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """From the labels known so far."""
        _predict(rows.place, self.tables, self.history, self.count, self.peaks, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Count the new label against every earlier event's that is known and kept."""
        _learn(y, rows.place, self.tables, self.agree, self.history, self.count, self.peaks)

    def grow(self, n_classes: int) -> None:
        """The new class gets pseudo-counts; the number of lags stays as it was made."""
        self.tables = widen(self.tables, (0, 1), n_classes, START)
