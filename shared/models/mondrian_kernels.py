"""Kernels of the aggregated Mondrian forest (`mondrian.py` says what it does).

Arrays by tree t, node j: `feat` (-1: leaf), `thr`, `left` (the right child follows), `time` of the
split, `n` events, `log_w` log weight of the node's own predictions, `log_sub` the same aggregated
over its subtree, `cnt` [.., K], the box `low`, `high` [.., d].
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from shared.models.draws import exponential, uniform
from shared.models.forest_kernels import I32
from shared.models.port import F32, F64, I64, U64
from shared.models.tree_growth import FIRST

LONGEST_PATH = 256
FULL = 0.6  # of its nodes: a tree gets its successor


class Mondrian(NamedTuple):
    """The arrays of all trees. Slot s serves tree 2 s + `serving[s]` and prepares the other one."""

    feat: I32
    thr: F64
    left: I32
    time: F64
    n: F32
    log_w: F64
    log_sub: F64
    cnt: F32
    low: F32
    high: F32
    size: I64
    serving: I64
    rng: U64


@njit(cache=True)
def _clear(trees: Mondrian, t: int, j: int) -> None:
    """Node `j` becomes an empty leaf."""
    trees.feat[t, j] = -1
    trees.time[t, j] = 0.0
    trees.n[t, j] = 0.0
    trees.log_w[t, j] = 0.0
    trees.log_sub[t, j] = 0.0
    trees.cnt[t, j] = 0.0


@njit(cache=True)
def _update(trees: Mondrian, t: int, j: int, y: int, weigh: bool, prior: float) -> None:
    """Node `j` sees a label: with `weigh` its predictive weight, then its counts."""
    if weigh:
        total = trees.n[t, j] + prior * trees.cnt.shape[2]
        trees.log_w[t, j] += math.log((trees.cnt[t, j, y] + prior) / total)
    trees.cnt[t, j, y] += 1.0
    trees.n[t, j] += 1.0


@njit(cache=True)
def _widen(trees: Mondrian, t: int, j: int, x: F32) -> None:
    """The box of node `j` reaches to `x`; that of an empty node is `x`."""
    empty = trees.n[t, j] == 0.0
    for d in range(x.shape[0]):
        trees.low[t, j, d] = x[d] if empty else min(trees.low[t, j, d], x[d])
        trees.high[t, j, d] = x[d] if empty else max(trees.high[t, j, d], x[d])


@njit(cache=True)
def _is_inside(trees: Mondrian, t: int, j: int, x: F32) -> bool:
    """As most events are, in most nodes: one pass without branches says so."""
    outside = 0
    for d in range(x.shape[0]):
        outside |= (x[d] < trees.low[t, j, d]) | (x[d] > trees.high[t, j, d])
    return outside == 0


@njit(cache=True)
def _outside(trees: Mondrian, t: int, j: int, x: F32, out: F64) -> float:
    """By how much each feature of `x` lies outside the box of node `j`; the sum."""
    total = 0.0
    for d in range(x.shape[0]):
        out[d] = max(0.0, float(x[d]) - trees.high[t, j, d], float(trees.low[t, j, d]) - x[d])
        total += out[d]
    return total


@njit(cache=True)
def _split(trees: Mondrian, t: int, j: int, x: F32, when: float, out: F64, total: float) -> int:
    """Node `j` becomes the parent of its former self and of a new empty leaf for `x`; the new leaf."""
    u = uniform(trees.rng) * total
    f = 0
    for d in range(x.shape[0]):
        if out[d] > 0.0:
            f = d
            u -= out[d]
            if u <= 0.0:
                break
    to_right = x[f] > trees.high[t, j, f]
    low = trees.high[t, j, f] if to_right else x[f]
    high = x[f] if to_right else trees.low[t, j, f]
    a = trees.size[t]
    trees.size[t] += 2
    old, new = (a, a + 1) if to_right else (a + 1, a)
    trees.feat[t, old] = trees.feat[t, j]
    trees.thr[t, old] = trees.thr[t, j]
    trees.left[t, old] = trees.left[t, j]
    trees.n[t, old] = trees.n[t, j]
    trees.log_w[t, old] = trees.log_w[t, j]
    trees.log_sub[t, old] = trees.log_sub[t, j]
    for c in range(trees.cnt.shape[2]):
        trees.cnt[t, old, c] = trees.cnt[t, j, c]
    for d in range(x.shape[0]):
        trees.low[t, old, d] = trees.low[t, j, d]
        trees.high[t, old, d] = trees.high[t, j, d]
    _clear(trees, t, new)
    trees.time[t, old] = when
    trees.time[t, new] = when
    trees.feat[t, j] = f
    trees.thr[t, j] = low + uniform(trees.rng) * (high - low)
    trees.left[t, j] = a
    return int(new)


@njit(cache=True)
def _aggregate(trees: Mondrian, t: int, path: I64, length: int) -> None:
    """Bring the aggregated weights up to date, from the leaf to the root."""
    for p in range(length - 1, -1, -1):
        j = path[p]
        if trees.feat[t, j] < 0:
            trees.log_sub[t, j] = trees.log_w[t, j]
            continue
        child = trees.left[t, j]
        own = trees.log_w[t, j]
        below = trees.log_sub[t, child] + trees.log_sub[t, child + 1]
        trees.log_sub[t, j] = max(own, below) + math.log(0.5 + 0.5 * math.exp(-abs(own - below)))


@njit(cache=True)
def learn_tree(trees: Mondrian, t: int, x: F32, y: int, prior: float, path: I64, out: F64) -> None:
    """Tree `t` learns one event."""
    j, length = FIRST, 0
    while True:
        path[length] = j
        length += 1
        leaf = trees.feat[t, j] < 0
        empty = trees.n[t, j] == 0.0
        if empty or not _is_inside(trees, t, j, x):
            total = 0.0 if empty else _outside(trees, t, j, x, out)
            pure = leaf and trees.n[t, j] == trees.cnt[t, j, y]
            room = trees.size[t] + 2 <= trees.feat.shape[1] and length < path.shape[0] - 2
            when = np.inf
            if not empty and room and not pure:
                when = trees.time[t, j] + exponential(trees.rng, total)
            if when < np.inf if leaf else when < trees.time[t, trees.left[t, j]]:
                new = _split(trees, t, j, x, when, out, total)
                _widen(trees, t, j, x)
                _widen(trees, t, new, x)
                _update(trees, t, j, y, False, prior)
                _update(trees, t, new, y, False, prior)
                path[length] = new
                length += 1
                break
            _widen(trees, t, j, x)
        _update(trees, t, j, y, not empty, prior)
        if leaf:
            break
        j = trees.left[t, j] + (1 if x[trees.feat[t, j]] > trees.thr[t, j] else 0)
    _aggregate(trees, t, path, length)


@njit(cache=True)
def proba(trees: Mondrian, t: int, x: F32, prior: float, path: I64, p: F64) -> None:
    """The aggregate of what all prunings of the tree say of `x`."""
    j, length = 0, 0
    while True:
        path[length] = j
        length += 1
        if trees.feat[t, j] < 0:
            break
        j = trees.left[t, j] + (1 if x[trees.feat[t, j]] > trees.thr[t, j] else 0)
    n_classes = p.shape[0]
    for back in range(length - 1, -1, -1):
        j = path[back]
        total = trees.n[t, j] + prior * n_classes
        own = 1.0
        if back < length - 1:
            own = 0.5 * math.exp(min(0.6931, trees.log_w[t, j] - trees.log_sub[t, j]))
        for c in range(n_classes):
            p[c] = own * (trees.cnt[t, j, c] + prior) / total + (1.0 - own) * p[c]


@njit(cache=True)
def _narrow(x: F64, scale: F64, out: F32) -> None:
    for d in range(x.shape[0]):
        out[d] = min(1e30, max(-1e30, x[d] * scale[d]))


@njit(cache=True)
def predict_block(x: F64, trees: Mondrian, scale: F64, prior: float, out: F32, first: int) -> None:
    """The mean of the slots."""
    n_slots = trees.serving.shape[0]
    row, p = np.empty(x.shape[1], np.float32), np.empty(out.shape[2])
    path = np.empty(LONGEST_PATH, np.int64)
    for i in range(x.shape[0]):
        _narrow(x[i], scale, row)
        out[i, first] = 0.0
        for s in range(n_slots):
            p[:] = 0.0
            proba(trees, 2 * s + trees.serving[s], row, prior, path, p)
            for c in range(p.shape[0]):
                out[i, first, c] += p[c] / n_slots


@njit(cache=True)
def _start_over(trees: Mondrian, t: int) -> None:
    trees.size[t] = 1
    _clear(trees, t, FIRST)


@njit(cache=True)
def _learn_slot(
    trees: Mondrian, s: int, x: F32, y: int, prior: float, path: I64, out: F64
) -> None:
    nodes = trees.feat.shape[1]
    for q in range(2):
        t = 2 * s + q
        waits = q != trees.serving[s]
        if waits and trees.size[2 * s + trees.serving[s]] + 2 < nodes * FULL:
            continue
        learn_tree(trees, t, x, y, prior, path, out)
    t = 2 * s + trees.serving[s]
    if trees.size[t] + 2 > nodes:
        _start_over(trees, t)
        trees.serving[s] = 1 - trees.serving[s]


@njit(cache=True)
def _settle(x: F64, moments: F64, scale: F64, first_events: float) -> None:
    """The first events set the scale, once."""
    moments[0, 0] += 1.0
    for d in range(x.shape[0]):
        off = x[d] - moments[1, d]
        moments[1, d] += off / moments[0, 0]
        moments[2, d] += (off * (x[d] - moments[1, d]) - moments[2, d]) / moments[0, 0]
    if moments[0, 0] == first_events:
        for d in range(x.shape[0]):
            sd = math.sqrt(max(0.0, moments[2, d]))
            flat = sd <= 1e-9 * abs(moments[1, d])
            scale[d] = 1.0 / (max(abs(moments[1, d]), 1.0) if flat else sd)


@njit(cache=True)
def learn_block(
    x: F64, y: I64, trees: Mondrian, scale: F64, moments: F64, prior: float, first_events: float
) -> None:
    """The first events set the scale; each later one is learned by the trees of every slot."""
    row, out = np.empty(x.shape[1], np.float32), np.empty(x.shape[1])
    path = np.empty(LONGEST_PATH, np.int64)
    for i in range(x.shape[0]):
        if moments[0, 0] < first_events:
            _settle(x[i], moments, scale, first_events)
            continue
        _narrow(x[i], scale, row)
        for s in range(trees.serving.shape[0]):
            _learn_slot(trees, s, row, y[i], prior, path, out)
