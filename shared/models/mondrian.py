"""An aggregated Mondrian forest (AMF: Mourtada, Gaiffas & Scornet 2019) of bounded memory.

Trees split where the data are, without looking at labels, and every tree answers with the exact
weighted aggregate of all its prunings. A tree that is nearly full gets a successor, which learns
beside it, and serves when it is full.
"""

import numpy as np

from shared.models.draws import seeded
from shared.models.mondrian_kernels import Mondrian, learn_block, predict_block
from shared.models.port import F32, Arrays, Expert, Labels, Rows, State, widen

N_SLOTS = 3  # trees that answer
MAX_NODES = 8192
BUDGET_BYTES = 5e6
FIRST_EVENTS = 64.0  # they set the scale and are not learned
PER_NODE = (
    "feat", "thr", "left", "time", "n", "log_w", "log_sub", "cnt", "low", "high",
)  # fmt: skip


def max_nodes(n_features: int, n_classes: int) -> int:
    """Nodes a tree, so that all trees stay within the budget."""
    per_node = 48 + 4 * (2 * n_features + n_classes)
    return max(256, min(MAX_NODES, int(BUDGET_BYTES / (2 * N_SLOTS * per_node))))


class MondrianForest(Expert):
    """One column. Memory: at most 5 MB (more of over 100 features)."""

    arrays = ("scale", "moments")
    cost_us = 25.0

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = ("mondrian",)
        self.prior = 0.5 if n_classes == 2 else 1.0 / n_classes
        nodes = (2 * N_SLOTS, max_nodes(n_features, n_classes))
        self.trees = Mondrian(
            feat=np.full(nodes, -1, np.int32),
            thr=np.zeros(nodes),
            left=np.zeros(nodes, np.int32),
            time=np.zeros(nodes),
            n=np.zeros(nodes, np.float32),
            log_w=np.zeros(nodes),
            log_sub=np.zeros(nodes),
            cnt=np.zeros((*nodes, n_classes), np.float32),
            low=np.zeros((*nodes, n_features), np.float32),
            high=np.zeros((*nodes, n_features), np.float32),
            size=np.ones(2 * N_SLOTS, np.int64),
            serving=np.zeros(N_SLOTS, np.int64),
            rng=seeded(seed),
        )
        self.scale = np.ones(n_features)
        self.moments = np.zeros((3, n_features))  # [0, 0] counts the events; mean; variance

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """The mean over the slots."""
        predict_block(rows.x, self.trees, self.scale, self.prior, out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Every slot learns the event."""
        learn_block(rows.x, y, self.trees, self.scale, self.moments, self.prior, FIRST_EVENTS)

    def grow(self, n_classes: int) -> None:
        """A new class starts with no counts; the number of nodes stays as it was made."""
        self.trees = self.trees._replace(cnt=widen(self.trees.cnt, (2,), n_classes, 0.0))

    def snapshot(self) -> State:
        """Used nodes of all trees, one after another.

        Equal states give equal bytes: what an earlier tree left in places that nobody reads is 0.
        """
        trees = self.trees
        used = np.arange(trees.feat.shape[1]) < trees.size[:, None]
        state = super().snapshot() | {name: getattr(trees, name)[used] for name in PER_NODE}
        for name in ("thr", "left"):
            state[name][state["feat"] < 0] = 0
        return state | {name: getattr(trees, name).copy() for name in ("size", "serving", "rng")}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        super().restore(arrays)
        trees = self.trees
        for name in ("size", "serving", "rng"):
            getattr(trees, name)[:] = arrays[name]
        used = np.arange(trees.feat.shape[1]) < trees.size[:, None]
        for name in PER_NODE:
            getattr(trees, name)[used] = arrays[name]
