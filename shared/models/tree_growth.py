"""What the online forests of classes and of numbers do alike: grow and keep.

Both hold arrays by tree t and node j: `feat` (-1: leaf), `thr`, `kid` (left child; the right one
follows), `seen` weight since the last try to split, `n_tests`, `depth`; by test k `t_feat`, `t_thr`;
`size`, the nodes in use; `mask`, the features a tree may test; `rng`. `Trees` below is either's tuple.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.models.draws import below
from shared.models.port import F64, Arrays, State

Trees = Any
FIRST: Any = np.int64(0)
"""The first node, or test. A plain 0 is a type of its own to numba: kernels would compile twice."""


@njit(cache=True)
def draw_test(trees: Trees, t: int, j: int, k: int, x: F64) -> None:
    """Test `k` of leaf `j` anew: a random feature, with the threshold at the event's value."""
    f = trees.mask[t, below(trees.rng, trees.mask.shape[1])]
    trees.t_feat[t, j, k] = f
    trees.t_thr[t, j, k] = x[f]


@njit(cache=True)
def open_leaf(trees: Trees, t: int, j: int, k: int) -> int:
    """Leaf `j` becomes an inner node with the test `k`; the first of its two children, empty leaves."""
    a: int = trees.size[t]
    trees.size[t] += 2
    trees.feat[t, j] = trees.t_feat[t, j, k]
    trees.thr[t, j] = trees.t_thr[t, j, k]
    trees.kid[t, j] = a
    for i in range(a, a + 2):
        trees.feat[t, i] = -1
        trees.seen[t, i] = 0.0
        trees.n_tests[t, i] = 0
        trees.depth[t, i] = trees.depth[t, j] + 1
    return a


def used_nodes(trees: Trees, per_node: tuple[str, ...], per_test: tuple[str, ...]) -> State:
    """Used nodes of all trees, one after another; tests of leaves only.

    Equal states give equal bytes: what an earlier tree left in places that nobody reads is 0.
    """
    used, leaves = _used(trees)
    state = {"size": trees.size.copy(), "rng": trees.rng.copy()}
    state |= {name: getattr(trees, name)[used] for name in per_node}
    for name in ("thr", "kid"):
        state[name][state["feat"] < 0] = 0
    unread = np.arange(trees.t_feat.shape[2]) >= trees.n_tests[leaves][:, None]
    for name in per_test:
        state[name] = getattr(trees, name)[leaves]
        state[name][unread] = 0
    return state


def fill_nodes(
    trees: Trees, arrays: Arrays, per_node: tuple[str, ...], per_test: tuple[str, ...]
) -> None:
    """The inverse of `used_nodes`, into trees of the same shape."""
    trees.size[:] = arrays["size"]
    trees.rng[:] = arrays["rng"]
    used, _ = _used(trees)
    for name in per_node:
        getattr(trees, name)[used] = arrays[name]
    _, leaves = _used(trees)
    for name in per_test:
        getattr(trees, name)[leaves] = arrays[name]


def _used(trees: Trees) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """[trees, nodes] which are in use, and which of those are leaves."""
    used = np.arange(trees.feat.shape[1]) < trees.size[:, None]
    return used, used & (trees.feat < 0)
