"""The stacker of classifiers: the state behind the kernels of `logit_mix`."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from shared.models import logit_mix
from shared.models.port import F32, F64, I64, Arrays, Labels, State, Verdict

ARRAYS = ("weights", "start", "squares", "gradient", "hessian", "loss", "clock")


def floor_of(n_classes: int) -> float:
    """The least probability an expert is taken to mean: overconfidence costs at most its log."""
    return min(0.05, 0.4 / n_classes)


class LogitStacker:
    """Mixes classifiers. Memory: about 3 E^2 numbers, whatever the stream.

    `shares` [E], sum 1: how much each expert counts at the start (default: all alike).
    """

    def __init__(self, names: Sequence[str], n_classes: int, shares: F64 | None = None) -> None:
        self.names = tuple(names)
        self.n_classes = n_classes
        n, learned, newton = len(self.names), logit_mix.N_LEARNED, len(logit_mix.FORGET)
        self.start = 1.5 * (np.full(n, 1.0 / n) if shares is None else shares)
        self.weights = np.tile(self.start, (learned, 1))
        self.squares = np.zeros((len(logit_mix.STEPS), n))
        self.gradient = np.zeros((newton, n))
        self.hessian = np.zeros((newton, n, n))
        self.loss = np.zeros(learned + 1)
        self.clock = np.zeros(2)

    def predict_many(self, said: F32, columns: I64) -> Verdict:
        """Mixed probabilities; the members survive float16."""
        n, n_classes = len(said), said.shape[2]
        members = np.empty((n, len(self.loss), n_classes))
        mean = np.empty((n, n_classes))
        logit_mix.predict_block(
            said, columns, floor_of(n_classes), self.weights, self.start, self.loss, members, mean
        )
        return Verdict(mean, members.astype(np.float16).astype(np.float32))

    def learn_many(self, said: F32, columns: I64, members: F32 | None, y: Labels) -> None:
        """Learn in order."""
        if members is None:
            members = np.zeros((0, len(self.loss), said.shape[2]), np.float32)
        logit_mix.learn_block(
            said, columns, floor_of(said.shape[2]), members, y, self.weights, self.start,
            self.squares, self.gradient, self.hessian, self.loss, self.clock,
        )  # fmt: skip

    def fork(self, names: Sequence[str]) -> Self:
        """Shared experts keep weight and curvature; new ones start at a third of a first weight."""
        child = type(self)(names, self.n_classes)
        mine = [self.names.index(name) for name in child.names if name in self.names]
        theirs = [place for place, name in enumerate(child.names) if name in self.names]
        child.start = child.start / 3.0
        child.weights = np.tile(child.start, (len(child.weights), 1))
        for name in ("start", "weights", "squares", "gradient"):
            getattr(child, name)[..., theirs] = getattr(self, name)[..., mine]
        child.hessian[:, np.array(theirs)[:, None], theirs] = self.hessian[
            :, np.array(mine)[:, None], mine
        ]
        child.loss, child.clock = self.loss.copy(), self.clock.copy()
        return child

    def weigh(self) -> dict[str, float]:
        """Each expert's weight, averaged over the members as the mix averages them."""
        share = np.exp(-logit_mix.SHARP * (self.loss - self.loss.min()))
        share /= share.sum()
        mixed = share[:-1] @ self.weights + share[-1] * self.start / 3.0
        return dict(zip(self.names, mixed.tolist(), strict=True))

    def snapshot(self) -> State:
        """Copies of the state."""
        return {name: getattr(self, name).copy() for name in ARRAYS}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        for name in ARRAYS:
            setattr(self, name, np.array(arrays[name], np.float64))
