"""Which experts of a classifier are worth their cost: one that adds too little sleeps.

What a family adds is the log loss of the mix without it minus that with it, over the events at which
it spoke. A sleeping family neither predicts nor learns; its columns say nothing (all classes alike),
which leaves the stackers' weights as they are. It is tried again after a nap that doubles each time,
or at once when the loss jumps: then the world may have changed.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.models.port import F32, F64, FAST, I64, Arrays, State

EVERY = 500  # labels between two decisions; at each one family at most falls asleep
SETTLE = 500.0  # events a family speaks before it is judged, from the start or from a nap on
TRIAL = 2500.0  # events it speaks before it may fall asleep
MEMORY = 4000.0  # events, of what a family adds and of the usual loss
RECENT = 300.0  # labels, of the loss that tells a jump
PRICE = 0.0005  # of the usual loss, a microsecond: a family that adds less than it costs sleeps
JUMP = 1.5  # times the usual loss
FIRST_NAP, LONGEST_NAP = 8_000, 64_000  # labels


@njit(cache=True, fastmath=FAST, forceinline=True)
def _loss(scores: F64, y: int) -> float:
    total, top = 0.0, scores.max()
    for c in range(scores.shape[0]):
        total += math.exp(scores[c] - top)
    return float(math.log(total) + top - scores[y])


@njit(cache=True, fastmath=FAST)
def _judge(
    said: F32, y: I64, family: I64, floor: float, weights: F64, added: F64, heard: F64, loss: F64
) -> None:
    """Move `added` [F] and `loss` (labels, usual, recent) by what the columns of each family said."""
    n_families, n_classes = added.shape[0], said.shape[2]
    share, spoke = np.empty((n_families, n_classes)), np.empty(n_families, np.bool_)
    scores, without = np.empty(n_classes), np.empty(n_classes)
    for i in range(said.shape[0]):
        share[:], spoke[:], scores[:] = 0.0, False, 0.0
        for e in range(family.shape[0]):
            for c in range(n_classes):
                term = weights[e] * math.log(min(1.0, max(floor, said[i, e, c])))
                share[family[e], c] += term
                scores[c] += term
                spoke[family[e]] |= said[i, e, c] != said[i, e, 0]
        missed = _loss(scores, y[i])
        loss[0] += 1.0
        loss[1] += (missed - loss[1]) / min(loss[0], MEMORY)
        loss[2] += (missed - loss[2]) / min(loss[0], RECENT)
        for f in range(n_families):
            if spoke[f]:
                heard[f] += 1.0
                if heard[f] > SETTLE:
                    for c in range(n_classes):
                        without[c] = scores[c] - share[f, c]
                    gain = _loss(without, y[i]) - missed
                    added[f] += (gain - added[f]) / min(heard[f] - SETTLE, MEMORY)


class Naps:
    """State by family of experts: what it `added`, at how many events it was `heard` since it woke, the
    label at which it wakes (`until`; 0: awake), its next `nap` in labels.

    `family` [E] gives the family of each column; `cost_us` [F] what each costs an event: 0 never naps.
    """

    arrays = ("weights", "added", "heard", "loss", "until", "nap")

    def __init__(self, family: Sequence[int], cost_us: Sequence[float]) -> None:
        self.family = np.array(family, np.int64)
        self.price = PRICE * np.array(cost_us)
        n = len(cost_us)
        self.weights = np.full(len(family), 1.5 / len(family))
        self.added, self.heard = np.zeros(n), np.zeros(n)
        self.loss = np.zeros(3)
        self.until, self.nap = np.zeros(n, np.int64), np.full(n, FIRST_NAP)

    @property
    def awake(self) -> npt.NDArray[np.bool_]:
        """[F] which families speak and learn."""
        return np.asarray(self.until == 0)

    @property
    def room(self) -> int:
        """Labels up to the next decision, 1 at least."""
        return EVERY - int(self.loss[0]) % EVERY

    def judge(self, said: F32, y: I64, floor: float) -> bool:
        """Take note of labelled events, `room` at most; True: a decision is due.

        `said` [n, E, K] by the columns; `floor`: the least probability that counts.
        """
        _judge(
            np.ascontiguousarray(said), y, self.family, floor, self.weights, self.added, self.heard,
            self.loss,
        )  # fmt: skip
        return self.room == EVERY and len(y) > 0

    def decide(self, weights: F64) -> None:
        """Wake who is due, send one family to sleep; `weights` [E] judge the events from here on."""
        self.weights = weights
        labels, usual, recent = int(self.loss[0]), self.loss[1], self.loss[2]
        jumped = labels > MEMORY and recent > JUMP * usual
        waking = ~self.awake & ((self.until <= labels) | jumped)
        self.until[waking] = 0
        self.heard[waking] = self.added[waking] = 0.0
        if jumped:
            self.nap[:] = FIRST_NAP
            return
        tried = self.awake & (self.heard >= TRIAL)
        idle = tried & (self.price > 0.0) & (self.added < self.price * usual)
        self.nap[tried & ~idle] = FIRST_NAP
        if idle.any():
            least = int(np.argmin(np.where(idle, self.added, np.inf)))
            self.until[least] = labels + self.nap[least]
            self.nap[least] = min(LONGEST_NAP, 2 * self.nap[least])

    def snapshot(self) -> State:
        """Copies of the state."""
        return {name: getattr(self, name).copy() for name in self.arrays}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        for name in self.arrays:
            setattr(self, name, np.array(arrays[name]))
