"""The k nearest of the last 2000 and of the last 200 labelled events, each vote by 1 / distance.

Rows are kept feature by feature (so that distances vectorise), in single precision, measured from the
first row learned; distances are in running deviations.
"""

import math

import numpy as np
from numba import njit

from shared.models.port import F32, F64, FAST, I64, Arrays, Expert, Labels, Rows, State

WINDOW, RECENT, K_NEAREST = 2000, 200, 7
MEMORY = 1.0 / 2000.0
FAR = 1e30
STRIP = 32  # rows


@njit(cache=True, fastmath=FAST, forceinline=True)
def _scaled(x: F64, centre: F64, var: F64) -> tuple[I64, F32, F32]:
    """The features that vary, one over the deviation of each, and `x` from the centre in deviations."""
    used = np.empty(x.shape[0], np.int64)
    scale, here = np.empty(x.shape[0], np.float32), np.empty(x.shape[0], np.float32)
    n = 0
    for j in range(x.shape[0]):
        if var[j] > 1e-12 * centre[j] * centre[j]:
            used[n] = j
            scale[n] = 1.0 / math.sqrt(var[j])
            here[n] = (x[j] - centre[j]) / math.sqrt(var[j])
            n += 1
    return used[:n], scale[:n], here[:n]


@njit(cache=True, fastmath=FAST, forceinline=True)
def _distances(x: F64, past: F32, centre: F64, var: F64, n_rows: int, dist: F32) -> None:
    """Squared distances of `x` to the first `n_rows` rows kept, four features a pass."""
    used, scale, here = _scaled(x, centre, var)
    dist[:n_rows] = np.float32(0.0)
    whole = used.shape[0] - used.shape[0] % 4
    for k in range(0, whole, 4):
        p0, p1, p2, p3 = past[used[k]], past[used[k + 1]], past[used[k + 2]], past[used[k + 3]]
        s0, s1, s2, s3 = scale[k], scale[k + 1], scale[k + 2], scale[k + 3]
        h0, h1, h2, h3 = here[k], here[k + 1], here[k + 2], here[k + 3]
        for q in range(n_rows):
            e0, e1 = h0 - p0[q] * s0, h1 - p1[q] * s1
            e2, e3 = h2 - p2[q] * s2, h3 - p3[q] * s3
            dist[q] += (e0 * e0 + e1 * e1) + (e2 * e2 + e3 * e3)
    for k in range(whole, used.shape[0]):
        p0, s0, h0 = past[used[k]], scale[k], here[k]
        for q in range(n_rows):
            e0 = h0 - p0[q] * s0
            dist[q] += e0 * e0


@njit(cache=True, fastmath=FAST, forceinline=True)
def _nearest(dist: F32, start: int, stop: int, best: F64, index: I64) -> None:
    """Merge rows start..stop into the sorted `best` distances; ties keep the earlier row.

    Most strips hold nothing near enough, which is seen for a whole strip at once.
    """
    last = best.shape[0] - 1
    for at in range(start, stop, STRIP):
        end = min(at + STRIP, stop)
        limit, one, near = np.float32(best[last]), np.float32(1.0), np.float32(0.0)
        for q in range(at, end):
            near += one if dist[q] < limit else np.float32(0.0)
        if near > 0.0:
            _merge(dist, at, end, best, index)


@njit(cache=True, fastmath=FAST, forceinline=True)
def _merge(dist: F32, start: int, stop: int, best: F64, index: I64) -> None:
    last = best.shape[0] - 1
    for q in range(start, stop):
        t = float(dist[q])
        if t < best[last]:
            g = last
            while g > 0 and best[g - 1] > t:
                best[g] = best[g - 1]
                index[g] = index[g - 1]
                g -= 1
            best[g] = t
            index[g] = q


@njit(cache=True, fastmath=FAST, forceinline=True)
def search(
    x: F64, past: F32, centre: F64, var: F64, count: int, dist: F32, best: F64, index: I64
) -> None:
    """Row 0 of `best` and `index`: nearest of the window; row 1: nearest of the recent ones."""
    best[:] = FAR
    kept = min(count, WINDOW)
    _distances(x, past, centre, var, kept, dist)
    _nearest(dist, 0, kept, best[0], index[0])
    end = count % WINDOW if count >= WINDOW else count
    start = end - min(count, RECENT)
    if start < 0:
        _nearest(dist, start + WINDOW, WINDOW, best[1], index[1])
    _nearest(dist, max(0, start), end, best[1], index[1])


@njit(cache=True, fastmath=FAST)
def _vote(
    x: F64, past: F32, labels: F64, count: I64, centre: F64, var: F64, out: F32, first: int
) -> None:
    n_classes = out.shape[2]
    dist = np.empty(WINDOW, np.float32)
    best, index = np.empty((2, K_NEAREST)), np.zeros((2, K_NEAREST), np.int64)
    votes = np.empty(n_classes)
    for i in range(x.shape[0]):
        search(x[i], past, centre, var, count[0], dist, best, index)
        for r in range(2):
            votes[:] = 1e-3
            total = 1e-3 * n_classes
            for q in range(K_NEAREST):
                if best[r, q] < FAR:
                    w = 1.0 / (math.sqrt(best[r, q]) + 1e-3)
                    votes[int(labels[index[r, q]])] += w
                    total += w
            for c in range(n_classes):
                out[i, first + r, c] = votes[c] / total


@njit(cache=True, fastmath=FAST)
def _average(
    x: F64, past: F32, labels: F64, count: I64, centre: F64, var: F64, out: F32, first: int
) -> None:
    dist = np.empty(WINDOW, np.float32)
    best, index = np.empty((2, K_NEAREST)), np.zeros((2, K_NEAREST), np.int64)
    for i in range(x.shape[0]):
        search(x[i], past, centre, var, count[0], dist, best, index)
        for r in range(2):
            total, weight = 0.0, 0.0
            for q in range(K_NEAREST):
                if best[r, q] < FAR:
                    w = 1.0 / (math.sqrt(best[r, q]) + 1e-2)
                    total += w * labels[index[r, q]]
                    weight += w
            out[i, first + r, 0] = total / weight if weight > 0.0 else 0.0


@njit(cache=True, fastmath=FAST)
def _remember(
    x: F64, y: F64, past: F32, labels: F64, count: I64, centre: F64, mean: F64, var: F64
) -> None:
    for i in range(x.shape[0]):
        at = count[0] % WINDOW
        if count[0] == 0:
            for j in range(x.shape[1]):
                centre[j] = mean[j] = x[i, j]
        step = max(MEMORY, 1.0 / (count[0] + 1.0))
        for j in range(x.shape[1]):
            off = x[i, j] - mean[j]
            mean[j] += step * off
            var[j] += step * (off * off - var[j])
            past[j, at] = x[i, j] - centre[j]
        labels[at] = y[i]
        count[0] += 1


class Neighbours(Expert):
    """Two columns: the long and the recent window; votes (classes) or weighted means (regression)."""

    arrays = ("labels", "count", "centre", "mean", "var")
    cost_us = 10.0

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = (f"knn-{WINDOW}", f"knn-{RECENT}")
        self.kernel = _average if n_classes == 1 else _vote
        self.past = np.zeros((n_features, WINDOW), np.float32)
        self.labels = np.zeros(WINDOW)
        self.count = np.zeros(1, np.int64)
        self.centre, self.mean, self.var = (np.zeros(n_features) for _ in range(3))

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """What the nearest labelled events were."""
        self.kernel(rows.x, self.past, self.labels, self.count, self.centre, self.var, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Keep the rows; the oldest go."""
        _remember(
            rows.x, y.astype(np.float64), self.past, self.labels, self.count,
            self.centre, self.mean, self.var,
        )  # fmt: skip

    def snapshot(self) -> State:
        """Only the rows that are filled."""
        kept = min(int(self.count[0]), WINDOW)
        return {**super().snapshot(), "past": self.past[:, :kept].copy()}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        super().restore(arrays)
        self.past[:] = 0.0
        self.past[:, : arrays["past"].shape[1]] = arrays["past"]
