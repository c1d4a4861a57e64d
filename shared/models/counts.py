"""Decayed Gaussian naive Bayes, and the decayed class frequencies."""

import math

import numpy as np
from numba import njit

from shared.models.port import F32, F64, FAST, I64, Expert, Labels, Rows, widen
from shared.models.scores import normalise

KEEP = 0.999  # of the class counts, an event
CLASS_MEMORY, ALL_MEMORY = 0.005, 0.001
START = 0.5  # pseudo-count of a class
ANY = 1  # row offset: per-class moments sit behind the moments of all events


@njit(cache=True, fastmath=FAST)
def _predict(x: F64, counts: F64, seen: F64, mean: F64, var: F64, out: F32, first: int) -> None:
    n, d = x.shape
    n_classes = counts.shape[0]
    s = np.empty(n_classes)
    temper = max(1.0, d / 8.0)  # many features are never independent
    all_counts = counts.sum()
    for i in range(n):
        for c in range(n_classes):
            row = c + ANY if seen[c] > 0.0 else 0  # a class without events looks like all events
            t = 0.0
            for j in range(d):
                v = var[row, j] + 0.01 * var[0, j] + 1e-12 * mean[0, j] * mean[0, j] + 1e-30
                e = x[i, j] - mean[row, j]
                t -= 0.5 * (e * e / v + math.log(v))
            s[c] = math.log(counts[c]) + t / temper
        normalise(s)
        for c in range(n_classes):
            out[i, first, c] = s[c]
            out[i, first + 1, c] = counts[c] / all_counts


@njit(cache=True, fastmath=FAST, forceinline=True)
def _move(x: F64, mean: F64, var: F64, step: float) -> None:
    for j in range(x.shape[0]):
        off = x[j] - mean[j]
        mean[j] += step * off
        var[j] += step * (off * off - var[j])


@njit(cache=True, fastmath=FAST)
def _learn(x: F64, y: I64, counts: F64, seen: F64, mean: F64, var: F64, events: F64) -> None:
    for i in range(x.shape[0]):
        if events[0] == 0.0:
            for j in range(x.shape[1]):
                mean[0, j] = x[i, j]
        events[0] += 1.0
        _move(x[i], mean[0], var[0], max(ALL_MEMORY, 1.0 / events[0]))
        c = y[i]
        if seen[c] == 0.0:
            for j in range(x.shape[1]):
                mean[c + ANY, j] = x[i, j]
                var[c + ANY, j] = var[0, j]
        seen[c] += 1.0
        for k in range(counts.shape[0]):
            counts[k] *= KEEP
        counts[c] += 1.0
        _move(x[i], mean[c + ANY], var[c + ANY], max(CLASS_MEMORY, 1.0 / (seen[c] + 1.0)))
        for k in range(counts.shape[0]):
            counts[k] = max(counts[k], 1e-6)


class Counts(Expert):
    """Naive Bayes, prior. State: row 0 of the moments is all events, then a row a class."""

    arrays = ("counts", "seen", "mean", "var", "events")

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = ("naive-bayes", "prior")
        self.counts = np.full(n_classes, START)
        self.seen = np.zeros(n_classes)
        self.mean, self.var = (np.zeros((n_classes + ANY, n_features)) for _ in range(2))
        self.events = np.zeros(1)

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """Posterior under independent Gaussians; class frequencies."""
        _predict(rows.x, self.counts, self.seen, self.mean, self.var, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Count, and move the moments of the class."""
        _learn(rows.x, y, self.counts, self.seen, self.mean, self.var, self.events)

    def grow(self, n_classes: int) -> None:
        """A new class starts with the pseudo-count and no events."""
        self.counts = widen(self.counts, (0,), n_classes, START)
        self.seen = widen(self.seen, (0,), n_classes, 0.0)
        self.mean = widen(self.mean, (0,), n_classes + ANY, 0.0)
        self.var = widen(self.var, (0,), n_classes + ANY, 0.0)
