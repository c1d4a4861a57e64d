"""A compiled online forest of 10 trees.

Per leaf 16 random tests whose thresholds come from the events that reached the leaf; only counts
are kept, and a leaf splits by the Hoeffding bound. Trees see each event Poisson(6) times
(Leveraging Bagging, Bifet et al. 2010), forget at different rates, vote by their recent log loss,
and are replaced by a background tree when their error jumps (as in the Adaptive Random Forest,
Gomes et al. 2017).
"""

import numpy as np

from shared.models.draws import seeded
from shared.models.forest_kernels import I32, Trees, learn_block, predict_block
from shared.models.port import F32, Arrays, Expert, Labels, Rows, State, widen
from shared.models.tree_growth import fill_nodes, used_nodes

N_TREES, N_TESTS = 10, 16
KEEPS = (1.0, 0.999, 0.995, 0.98)  # of a node's counts, an event
SHARE = 0.7  # of the features, a tree
MAX_NODES = 1024
BUDGET_BYTES = 4.5e6
PER_NODE = ("feat", "thr", "kid", "cnt", "seen", "n_tests", "depth")
PER_TEST = ("t_feat", "t_thr", "t_cnt")


def max_nodes(n_classes: int) -> int:
    """Nodes a tree, so that all trees and their tests stay within the budget."""
    node, test = 36 + 4 * n_classes, 12 + 8 * n_classes
    return max(32, min(MAX_NODES, int(BUDGET_BYTES / (2 * N_TREES * (node + N_TESTS * test)))))


def feature_masks(n_features: int, n_trees: int, share: float, seed: int) -> I32:
    """Which features each tree may test, [trees, chosen]."""
    rng = np.random.default_rng(seed)
    chosen = max(min(2, n_features), round(n_features * share))
    return np.array([rng.permutation(n_features)[:chosen] for _ in range(n_trees)], np.int32)


class Forest(Expert):
    """One column. Memory: at most 4.5 MB; a snapshot holds used nodes only."""

    arrays = ("judged", "behind")
    cost_us = 10.0

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = ("forest",)
        trees, nodes, tests = 2 * N_TREES, max_nodes(n_classes), N_TESTS
        mask = feature_masks(n_features, N_TREES, SHARE, seed)
        self.trees = Trees(
            feat=np.full((trees, nodes), -1, np.int32),
            thr=np.zeros((trees, nodes)),
            kid=np.zeros((trees, nodes), np.int32),
            cnt=np.zeros((trees, nodes, n_classes), np.float32),
            seen=np.zeros((trees, nodes), np.float32),
            n_tests=np.zeros((trees, nodes), np.int32),
            depth=np.zeros((trees, nodes), np.int32),
            t_feat=np.zeros((trees, nodes, tests), np.int32),
            t_thr=np.zeros((trees, nodes, tests)),
            t_cnt=np.zeros((trees, nodes, tests, 2, n_classes), np.float32),
            size=np.ones(trees, np.int64),
            mask=np.concatenate([mask, mask]),
            keep=np.array([KEEPS[t % len(KEEPS)] for t in range(N_TREES)] * 2),
            rng=seeded(seed),
        )
        # error over 60 events, over 1000, log loss over 200, age in events
        self.judged = np.tile([0.5, 0.5, 1.0, 0.0], (N_TREES, 1))
        self.behind = np.zeros(N_TREES, np.int64)

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """The trees' vote."""
        predict_block(rows.x, self.trees, self.judged, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Every tree judges itself on the event, then learns it."""
        learn_block(rows.x, y, self.trees, self.judged, self.behind)

    def grow(self, n_classes: int) -> None:
        """A new class starts with no counts; the number of nodes stays as it was made."""
        self.trees = self.trees._replace(
            cnt=widen(self.trees.cnt, (2,), n_classes, 0.0),
            t_cnt=widen(self.trees.t_cnt, (4,), n_classes, 0.0),
        )

    def snapshot(self) -> State:
        """See `used_nodes`."""
        return super().snapshot() | used_nodes(self.trees, PER_NODE, PER_TEST)

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        super().restore(arrays)
        fill_nodes(self.trees, arrays, PER_NODE, PER_TEST)
