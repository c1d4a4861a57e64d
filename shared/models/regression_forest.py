"""A compiled online forest of 24 regression trees.

Per leaf 16 random tests with thresholds from the events that reached it; sums only are kept. A
node's mean forgets, and is smoothed towards its parent's; a leaf adds a linear model of what the mean
leaves over where that has lately been closer (model trees: FIMT-DD, Ikonomovska et al. 2011), and
passes it on to its children. Trees see each event Poisson(3) times.
Targets enter as deviations from a slow running mean in running deviations, so that sums stay small
on any scale.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from shared.models.draws import below, poisson, poisson_chances, seeded
from shared.models.forest import feature_masks
from shared.models.forest_kernels import I32
from shared.models.port import F32, F64, FAST, I64, U64, Arrays, Expert, Labels, Rows, State
from shared.models.rls import move_target
from shared.models.tree_growth import FIRST, draw_test, fill_nodes, open_leaf, used_nodes

N_TREES, N_NODES, N_TESTS = 24, 512, 16
KEEPS = (0.999, 0.995, 0.98)
SHARE, SMOOTH = 0.8, 3.0
CHANCES = poisson_chances(3.0)
STEP, LINE_MEMORY, LINE_CUT = 0.05, 1.0 / 200.0, 4.0  # of the linear models, normalised steps
LONGEST = 40  # features of a linear model
GRACE, DELTA, TAU, MAX_DEPTH, LEAST = 40.0, 0.01, 0.15, 16, 5.0
PER_NODE = ("feat", "thr", "kid", "mean", "weight", "seen", "n_tests", "depth", "line", "off")
PER_TEST = ("t_feat", "t_thr", "t_sum")


class RegressionTrees(NamedTuple):
    """By tree and node; `t_sum` [.., 2 sides, 3]: weight, sum, sum of squares; `line` [.., d + 1]: the
    linear model; `off` [.., 2]: recent squared errors of the mean, and of the mean with it.
    """

    feat: I32
    thr: F64
    kid: I32
    mean: F64
    weight: F64
    seen: F64
    n_tests: I32
    depth: I32
    t_feat: I32
    t_thr: F64
    t_sum: F64
    line: F32
    off: F64
    size: I64
    mask: I32
    keep: F64
    rng: U64


@njit(cache=True)
def _leaf(trees: RegressionTrees, t: int, x: F64) -> tuple[int, float]:
    """The leaf of `x`, and the smoothed mean there."""
    j, p = FIRST, 0.0
    while True:
        weight = trees.weight[t, j]
        p = (trees.mean[t, j] * weight + SMOOTH * p) / (weight + SMOOTH)
        if trees.feat[t, j] < 0:
            return j, p
        j = trees.kid[t, j] + (1 if x[trees.feat[t, j]] > trees.thr[t, j] else 0)


@njit(cache=True, fastmath=FAST, forceinline=True)
def _along(line: F32, z: F64) -> float:
    """The linear model's part of the answer."""
    total = float(line[-1])
    for d in range(line.shape[0] - 1):
        total += line[d] * z[d]
    return min(LINE_CUT, max(-LINE_CUT, total))


@njit(cache=True)
def _say(trees: RegressionTrees, t: int, x: F64, z: F64) -> float:
    j, p = _leaf(trees, t, x)
    return p + (_along(trees.line[t, j], z) if trees.off[t, j, 1] < trees.off[t, j, 0] else 0.0)


@njit(cache=True, fastmath=FAST, forceinline=True)
def _learn_line(trees: RegressionTrees, t: int, x: F64, z: F64, y: float) -> None:
    """Judge the leaf's linear model, then move it towards what the mean leaves over (NLMS)."""
    j, p = _leaf(trees, t, x)
    line, off = trees.line[t, j], trees.off[t, j]
    left = y - p
    missed = left - _along(line, z)
    off[0] += LINE_MEMORY * (left * left - off[0])
    off[1] += LINE_MEMORY * (missed * missed - off[1])
    power = 1.0
    for d in range(line.shape[0] - 1):
        power += z[d] * z[d]
    step = STEP * missed / (1.0 + STEP * power)
    for d in range(line.shape[0] - 1):
        line[d] += step * z[d]
    line[-1] += step


@njit(cache=True)
def _reduction(sums: F64) -> float:
    """The share of the variance that a test takes away; 0 where a side is too small."""
    n0, n1 = sums[0, 0], sums[1, 0]
    if n0 < LEAST or n1 < LEAST:
        return 0.0
    n, s = n0 + n1, sums[0, 1] + sums[1, 1]
    mean = s / n
    variance = (sums[0, 2] + sums[1, 2]) / n - mean * mean
    if variance <= 1e-15:
        return 0.0
    m0, m1 = sums[0, 1] / n0, sums[1, 1] / n1
    return float((n0 / n * m0 * m0 + n1 / n * m1 * m1 - mean * mean) / variance)


@njit(cache=True)
def _new_test(trees: RegressionTrees, t: int, j: int, k: int, x: F64) -> None:
    draw_test(trees, t, j, k, x)
    trees.t_sum[t, j, k] = 0.0


@njit(cache=True)
def _split(trees: RegressionTrees, t: int, j: int, k: int) -> None:
    a = open_leaf(trees, t, j, k)
    for side in range(2):
        sums = trees.t_sum[t, j, k, side]
        trees.weight[t, a + side] = min(sums[0], 10.0)
        trees.mean[t, a + side] = sums[1] / sums[0]
        for d in range(trees.line.shape[2]):
            trees.line[t, a + side, d] = trees.line[t, j, d]
        for q in range(2):
            trees.off[t, a + side, q] = trees.off[t, j, q]


@njit(cache=True)
def _try_split(trees: RegressionTrees, t: int, j: int, x: F64) -> None:
    """Split by the best test when it is clearly best; else renew two tests at random."""
    best, first, second = FIRST, 0.0, 0.0
    for k in range(trees.n_tests[t, j]):
        share = _reduction(trees.t_sum[t, j, k])
        if share > first:
            best, first, second = k, share, first
        elif share > second:
            second = share
    if first <= 0.0:
        return
    weight = trees.t_sum[t, j, best, 0, 0] + trees.t_sum[t, j, best, 1, 0]
    bound = math.sqrt(math.log(1.0 / DELTA) / (2.0 * weight))
    if first > 0.02 and (first - second > bound or bound < TAU):
        _split(trees, t, j, best)
    elif trees.n_tests[t, j] == N_TESTS:
        for _ in range(2):
            k = below(trees.rng, N_TESTS)
            if k != best:
                _new_test(trees, t, j, k, x)


@njit(cache=True)
def _learn_tree(trees: RegressionTrees, t: int, x: F64, y: float, w: float) -> None:
    j = FIRST
    while True:
        trees.weight[t, j] = trees.weight[t, j] * trees.keep[t] + w
        trees.mean[t, j] += w / trees.weight[t, j] * (y - trees.mean[t, j])
        if trees.feat[t, j] < 0:
            break
        j = trees.kid[t, j] + (1 if x[trees.feat[t, j]] > trees.thr[t, j] else 0)
    if trees.size[t] + 2 > trees.feat.shape[1] or trees.depth[t, j] >= MAX_DEPTH:
        return
    if trees.n_tests[t, j] < N_TESTS:
        _new_test(trees, t, j, FIRST + trees.n_tests[t, j], x)
        trees.n_tests[t, j] += 1
    for k in range(trees.n_tests[t, j]):
        side = 0 if x[trees.t_feat[t, j, k]] <= trees.t_thr[t, j, k] else 1
        trees.t_sum[t, j, k, side, 0] += w
        trees.t_sum[t, j, k, side, 1] += w * y
        trees.t_sum[t, j, k, side, 2] += w * y * y
    trees.seen[t, j] += w
    if trees.seen[t, j] >= GRACE:
        trees.seen[t, j] = 0.0
        _try_split(trees, t, j, x)


@njit(cache=True)
def _predict(x: F64, z: F64, trees: RegressionTrees, unit: F64, out: F32, first: int) -> None:
    for i in range(x.shape[0]):
        total = 0.0
        for t in range(N_TREES):
            total += _say(trees, t, x[i], z[i])
        out[i, first, 0] = total / N_TREES * unit[1] + unit[0]


@njit(cache=True)
def _learn(x: F64, z: F64, y: F64, trees: RegressionTrees, scale: F64, unit: F64) -> None:
    for i in range(x.shape[0]):
        move_target(scale, y[i])
        if scale[0] == 30.0:  # the unit of the sums is fixed once: the first events' spread
            unit[0] = scale[1]
            unit[1] = math.sqrt(scale[2]) if scale[2] > 0.0 else max(1e-9, abs(scale[1]))
        if scale[0] < 30.0:
            unit[0] = scale[1]
            continue
        target = (y[i] - unit[0]) / unit[1]
        for t in range(N_TREES):
            w = float(poisson(trees.rng, CHANCES))
            if w > 0.0:
                _learn_line(trees, t, x[i], z[i], target)
                _learn_tree(trees, t, x[i], target, w)


class RegressionForest(Expert):
    """One column. Memory: 24 trees of at most 512 nodes (12.5 MB); a snapshot holds used nodes only."""

    arrays = ("scale", "unit")

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = ("forest",)
        nodes, tests = (N_TREES, N_NODES), (N_TREES, N_NODES, N_TESTS)
        self.trees = RegressionTrees(
            feat=np.full(nodes, -1, np.int32),
            thr=np.zeros(nodes),
            kid=np.zeros(nodes, np.int32),
            mean=np.zeros(nodes),
            weight=np.zeros(nodes),
            seen=np.zeros(nodes),
            n_tests=np.zeros(nodes, np.int32),
            depth=np.zeros(nodes, np.int32),
            t_feat=np.zeros(tests, np.int32),
            t_thr=np.zeros(tests),
            t_sum=np.zeros((*tests, 2, 3)),
            line=np.zeros((*nodes, min(n_features, LONGEST) + 1), np.float32),
            off=np.zeros((*nodes, 2)),
            size=np.ones(N_TREES, np.int64),
            mask=feature_masks(n_features, N_TREES, SHARE, seed),
            keep=np.array([KEEPS[t % len(KEEPS)] for t in range(N_TREES)]),
            rng=seeded(seed),
        )
        self.scale = np.zeros(3)
        self.unit = np.array([0.0, 1.0])  # centre and unit of the targets inside the trees

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """The trees' mean."""
        _predict(rows.x, rows.z, self.trees, self.unit, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Every tree learns the event."""
        _learn(rows.x, rows.z, y, self.trees, self.scale, self.unit)

    def snapshot(self) -> State:
        """See `used_nodes`."""
        return super().snapshot() | used_nodes(self.trees, PER_NODE, PER_TEST)

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        super().restore(arrays)
        fill_nodes(self.trees, arrays, PER_NODE, PER_TEST)
