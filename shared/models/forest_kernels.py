"""Kernels of the online classification forest (`forest.py` says what it does).

Arrays by tree t, node j: `feat` (-1: leaf), `thr`, `kid` (left child; the right one follows), `cnt`
[.., K] class counts, `seen` weight since the last try to split, `n_tests`, `depth`; by test k:
`t_feat`, `t_thr`, `t_cnt` [.., 2, K] (0: at most the threshold, 1: all).
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.models.draws import poisson, poisson_chances
from shared.models.port import F32, F64, I64, U64
from shared.models.tree_growth import FIRST, draw_test, open_leaf

I32 = npt.NDArray[np.int32]


class Trees(NamedTuple):
    """The arrays of all trees; foreground trees first, then the background tree of each."""

    feat: I32
    thr: F64
    kid: I32
    cnt: F32
    seen: F32
    n_tests: I32
    depth: I32
    t_feat: I32
    t_thr: F64
    t_cnt: F32
    size: I64
    mask: I32
    keep: F64
    rng: U64


GRACE, DELTA, TAU, MAX_DEPTH = 14.0, 0.01, 0.35, 20
SMOOTH, WEIGH = 1.0, 10.0
CHANCES = poisson_chances(6.0)
WARN, REPLACE = 3.0, 5.0  # deviations of the recent error above the longer one


_counts = np.arange(2048.0)
N_LOG_N = _counts * np.log2(np.maximum(_counts, 1.0))


@njit(cache=True)
def _n_log_n(n: float) -> float:
    """n log2 n of a count; small ones are looked up (logarithms were half the cost of a forest)."""
    if n < N_LOG_N.shape[0]:
        return float(N_LOG_N[int(n)])
    return n * math.log2(n)


@njit(cache=True)
def gain(parts: F32) -> float:
    """Information gain (bits) of a test, from whole counts; 0 where a side has less than 2 events."""
    n_left, n_all, most = 0.0, 0.0, 0.0
    for c in range(parts.shape[1]):
        n_left += parts[0, c]
        n_all += parts[1, c]
        most = max(most, parts[1, c])
    n_right = n_all - n_left
    if n_left < 2.0 or n_right < 2.0 or most == n_all:
        return 0.0
    bits = _n_log_n(n_all) - _n_log_n(n_left) - _n_log_n(n_right)
    for c in range(parts.shape[1]):
        left, both = parts[0, c], parts[1, c]
        bits += _n_log_n(left) + _n_log_n(both - left) - _n_log_n(both)
    return bits / n_all


@njit(cache=True)
def reset(trees: Trees, t: int) -> None:
    """Tree `t` starts anew as one empty leaf."""
    trees.size[t] = 1
    trees.feat[t, 0] = -1
    trees.cnt[t, 0] = 0.0
    trees.seen[t, 0] = 0.0
    trees.n_tests[t, 0] = 0
    trees.depth[t, 0] = 0


@njit(cache=True)
def proba(trees: Trees, t: int, x: F64, p: F64) -> None:
    """Class probabilities of tree `t`: each node's counts, smoothed towards its parent's."""
    n_classes = p.shape[0]
    p[:] = 1.0 / n_classes
    j = 0
    while True:
        n = SMOOTH
        for c in range(n_classes):
            n += trees.cnt[t, j, c]
        for c in range(n_classes):
            p[c] = (trees.cnt[t, j, c] + SMOOTH * p[c]) / n
        if trees.feat[t, j] < 0:
            return
        j = trees.kid[t, j] + (1 if x[trees.feat[t, j]] > trees.thr[t, j] else 0)


@njit(cache=True)
def _new_test(trees: Trees, t: int, j: int, k: int, x: F64) -> None:
    draw_test(trees, t, j, k, x)
    trees.t_cnt[t, j, k] = 0.0


@njit(cache=True)
def _split(trees: Trees, t: int, j: int, k: int) -> None:
    """Leaf `j` becomes an inner node with the test `k`; its children start from the test's counts."""
    a = open_leaf(trees, t, j, k)
    for side in range(2):
        i = a + side
        for c in range(trees.cnt.shape[2]):
            left = trees.t_cnt[t, j, k, 0, c]
            trees.cnt[t, i, c] = left if side == 0 else trees.t_cnt[t, j, k, 1, c] - left


@njit(cache=True)
def _try_split(trees: Trees, t: int, j: int, x: F64) -> None:
    """Split by the best test when it is clearly best (Hoeffding bound); else renew the two weakest."""
    n_tests = trees.n_tests[t, j]
    gains = np.empty(n_tests)
    best = FIRST
    for k in range(n_tests):
        gains[k] = gain(trees.t_cnt[t, j, k])
        if gains[k] > gains[best]:
            best = k
    first = gains[best]
    if first <= 0.0:
        return
    second = 0.0
    for k in range(n_tests):
        if k != best:
            second = max(second, gains[k])
    bound = math.sqrt(math.log(1.0 / DELTA) / (2.0 * trees.t_cnt[t, j, best, 1].sum()))
    if first > 0.01 and (first - second > bound or bound < TAU):
        _split(trees, t, j, best)
    elif n_tests == trees.t_feat.shape[2]:
        gains[best] = 1e9
        for _ in range(2):
            weakest = int(np.argmin(gains))
            gains[weakest] = 1e9
            _new_test(trees, t, j, weakest, x)


@njit(cache=True)
def learn_tree(trees: Trees, t: int, x: F64, y: int, w: float) -> None:
    """Tree `t` learns one event with weight `w`."""
    keep = trees.keep[t]
    j = FIRST
    while True:
        if keep < 1.0:
            for c in range(trees.cnt.shape[2]):
                trees.cnt[t, j, c] *= keep
        trees.cnt[t, j, y] += w
        if trees.feat[t, j] < 0:
            break
        j = trees.kid[t, j] + (1 if x[trees.feat[t, j]] > trees.thr[t, j] else 0)
    if trees.size[t] + 2 > trees.feat.shape[1] or trees.depth[t, j] >= MAX_DEPTH:
        return
    if trees.n_tests[t, j] < trees.t_feat.shape[2]:
        _new_test(trees, t, j, FIRST + trees.n_tests[t, j], x)
        trees.n_tests[t, j] += 1
    feat, thr, cnt = trees.t_feat[t, j], trees.t_thr[t, j], trees.t_cnt[t, j, :, :, y]
    for k in range(trees.n_tests[t, j]):
        cnt[k, 0] += w if x[feat[k]] <= thr[k] else 0.0  # no branch: it would be a coin's toss
        cnt[k, 1] += w
    trees.seen[t, j] += w
    if trees.seen[t, j] >= GRACE:
        trees.seen[t, j] = 0.0
        _try_split(trees, t, j, x)


@njit(cache=True)
def _take_over(trees: Trees, t: int, b: int) -> None:
    """The background tree `b` becomes tree `t`."""
    trees.size[t] = trees.size[b]
    for j in range(trees.size[b]):
        trees.feat[t, j] = trees.feat[b, j]
        trees.thr[t, j] = trees.thr[b, j]
        trees.kid[t, j] = trees.kid[b, j]
        trees.seen[t, j] = trees.seen[b, j]
        trees.n_tests[t, j] = trees.n_tests[b, j]
        trees.depth[t, j] = trees.depth[b, j]
        for c in range(trees.cnt.shape[2]):
            trees.cnt[t, j, c] = trees.cnt[b, j, c]
        for k in range(trees.t_feat.shape[2]):
            trees.t_feat[t, j, k] = trees.t_feat[b, j, k]
            trees.t_thr[t, j, k] = trees.t_thr[b, j, k]
            for side in range(2):
                for c in range(trees.cnt.shape[2]):
                    trees.t_cnt[t, j, k, side, c] = trees.t_cnt[b, j, k, side, c]


@njit(cache=True)
def _watch(trees: Trees, t: int, judged: F64, behind: I64) -> None:
    """Start, drop or promote the background tree by the tree's recent error against its longer one."""
    recent, longer, age = judged[t, 0], judged[t, 1], judged[t, 3]
    if age <= 200.0:
        return
    z = (recent - longer) / math.sqrt(max(longer * (1.0 - longer), 0.01) / 120.0)
    b = t + judged.shape[0]
    if z > WARN and behind[t] == 0:
        behind[t] = 1
        reset(trees, b)
    elif behind[t] == 1 and z < 0.0:
        behind[t] = 0
    if z > REPLACE and behind[t] == 1:
        _take_over(trees, t, b)
        behind[t] = 0
        judged[t, 3] = 0.0
        judged[t, 0] = longer


@njit(cache=True)
def predict_block(x: F64, trees: Trees, judged: F64, out: F32, first: int) -> None:
    """Mean of the trees, weighted by their recent log loss."""
    n_classes = out.shape[2]
    p, total = np.empty(n_classes), np.empty(n_classes)
    weights = np.exp(-WEIGH * (judged[:, 2] - judged[:, 2].min()))
    for i in range(x.shape[0]):
        total[:] = 0.0
        for t in range(judged.shape[0]):
            proba(trees, t, x[i], p)
            for c in range(n_classes):
                total[c] += weights[t] * p[c]
        for c in range(n_classes):
            out[i, first, c] = total[c] / weights.sum()


@njit(cache=True)
def learn_block(x: F64, y: I64, trees: Trees, judged: F64, behind: I64) -> None:
    """Judge each tree (error over 60 and 1000 events, log loss over 200, age), then let it learn."""
    p = np.empty(trees.cnt.shape[2])
    n_trees = judged.shape[0]
    for i in range(x.shape[0]):
        for t in range(n_trees):
            proba(trees, t, x[i], p)
            wrong = 1.0 if np.argmax(p) != y[i] else 0.0
            judged[t, 0] += (wrong - judged[t, 0]) / 60.0
            judged[t, 1] += (wrong - judged[t, 1]) / min(1000.0, judged[t, 3] + 1.0)
            judged[t, 2] += (-math.log(max(p[y[i]], 1e-3)) - judged[t, 2]) / 200.0
            judged[t, 3] += 1.0
            w = float(poisson(trees.rng, CHANCES))
            if w > 0.0:
                learn_tree(trees, t, x[i], y[i], w)
                if behind[t] == 1:
                    learn_tree(trees, t + n_trees, x[i], y[i], w)
            _watch(trees, t, judged, behind)
