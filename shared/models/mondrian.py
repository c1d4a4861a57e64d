"""An aggregated Mondrian forest (AMF: Mourtada, Gaiffas & Scornet 2019) whose slots forget.

Trees split where the data are, without looking at labels, and every tree answers with the exact
weighted aggregate of all its prunings. A slot of horizon H keeps two trees half a horizon apart and
serves the older; when it is H events old (or full) it starts anew and the other one serves.
"""

import numpy as np

from shared.models.draws import seeded
from shared.models.mondrian_kernels import Mondrian, learn_block, predict_block
from shared.models.port import F32, Arrays, Expert, Labels, Rows, State, widen

HORIZONS = (0, 4000)  # events; 0: only when full
EACH = 1  # slots a horizon
MAX_NODES = 8192
BUDGET_BYTES = 5e6
FIRST_EVENTS = 64.0  # they set the scale and are not learned
PER_NODE = (
    "feat", "thr", "left", "time", "n", "log_w", "log_sub", "cnt", "low", "high",
)  # fmt: skip


def max_nodes(n_features: int, n_classes: int) -> int:
    """Nodes a tree, so that all trees stay within the budget."""
    per_node = 48 + 4 * (2 * n_features + n_classes)
    trees = 2 * EACH * len(HORIZONS)
    return max(256, min(MAX_NODES, int(BUDGET_BYTES / (trees * per_node))))


class MondrianForest(Expert):
    """One column a horizon. Memory: at most 5 MB (more of over 100 features)."""

    arrays = ("scale", "moments")
    cost_us = 20.0

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = tuple(f"mondrian-{h or 'long'}" for h in HORIZONS)
        self.horizons = np.repeat(np.array(HORIZONS, np.int64), EACH)
        self.prior = 0.5 if n_classes == 2 else 1.0 / n_classes
        slots = len(self.horizons)
        nodes = (2 * slots, max_nodes(n_features, n_classes))
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
            size=np.ones(2 * slots, np.int64),
            age=np.zeros(2 * slots, np.int64),
            serving=np.zeros(slots, np.int64),
            rng=seeded(seed),
        )
        for s, horizon in enumerate(
            self.horizons
        ):  # the two trees half a horizon apart, staggered
            self.trees.age[2 * s] = horizon // 2 + (s % EACH) * horizon // (2 * EACH)
        self.scale = np.ones(n_features)
        self.moments = np.zeros((3, n_features))  # [0, 0] counts the events; mean; variance

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """The mean over the slots of each horizon."""
        predict_block(rows.x, self.trees, self.scale, self.prior, len(HORIZONS), out, first)

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Every slot learns the event."""
        learn_block(
            rows.x,
            y,
            self.trees,
            self.scale,
            self.moments,
            self.horizons,
            self.prior,
            FIRST_EVENTS,
        )

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
        return state | {
            name: getattr(trees, name).copy() for name in ("size", "age", "serving", "rng")
        }

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        super().restore(arrays)
        trees = self.trees
        for name in ("size", "age", "serving", "rng"):
            getattr(trees, name)[:] = arrays[name]
        used = np.arange(trees.feat.shape[1]) < trees.size[:, None]
        for name in PER_NODE:
            getattr(trees, name)[used] = arrays[name]
