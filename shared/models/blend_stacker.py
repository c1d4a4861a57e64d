"""The stacker of regressors: the state behind the kernels of `blend`."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from shared.models import blend
from shared.models.port import F32, F64, I64, Arrays, Labels, State, Verdict

ARRAYS = ("weights", "inverse", "error", "missed", "track", "seen")


class BlendStacker:
    """Mixes regressors, and says how far off it may be. Memory: about 2 E^2 numbers."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.n_classes = 1
        n, members = len(self.names), len(blend.FORGET)
        self.weights = np.zeros((members, n))
        self.inverse = np.tile(np.eye(n), (members, 1, 1))
        self.error = np.zeros(n)
        self.missed = np.zeros(blend.N_MEMBERS)
        self.track = np.array([0.0, blend.FIRST_WIDTH])
        self.seen = np.zeros(1)

    def predict_many(self, said: F32, columns: I64) -> Verdict:
        """The answer, and its interval once 30 of its answers were judged."""
        members = np.empty((len(said), blend.N_ROWS, 1), np.float32)
        mean = np.empty((len(said), 1))
        blend.predict_block(said, columns, self.weights, self.error, self.missed, members, mean)
        if self.track[blend.N_DONE] < blend.CALIBRATED:
            return Verdict(mean, members)
        width: F64 = self.track[blend.WIDTH] * np.array([-1.0, 1.0])
        half: F64 = members[:, blend.SCALE] * width
        return Verdict(mean, members, mean + half)

    def learn_many(self, said: F32, columns: I64, members: F32 | None, y: Labels) -> None:
        """Learn in order."""
        if members is None:
            members = np.zeros((0, blend.N_ROWS, 1), np.float32)
        blend.learn_block(
            said, columns, members, y, self.weights, self.inverse, self.error, self.missed,
            self.track, self.seen,
        )  # fmt: skip

    def fork(self, names: Sequence[str]) -> Self:
        """Shared experts keep what was learned; a new one starts as the average of them."""
        child = type(self)(names)
        mine = np.array([self.names.index(name) for name in child.names if name in self.names])
        theirs = np.array([p for p, name in enumerate(child.names) if name in self.names])
        child.error[:] = self.error[mine].mean() if len(mine) else 0.0
        child.error[theirs] = self.error[mine]
        child.weights[:, theirs] = self.weights[:, mine]
        child.inverse[:, theirs[:, None], theirs] = self.inverse[:, mine[:, None], mine]
        child.missed, child.track = self.missed.copy(), self.track.copy()
        child.seen = self.seen.copy()
        return child

    def weigh(self) -> dict[str, float]:
        """The factor of each expert in the answer."""
        share, mix = np.empty(len(self.names)), np.empty(blend.N_MEMBERS)
        blend.shares(self.error, blend.E_SHARP, share)
        blend.shares(self.missed, blend.R_SHARP, mix)
        total = share.copy()  # every member starts from the hedge
        for r in range(len(blend.FORGET)):
            total += mix[r] * (self.weights[r] - self.weights[r].sum() * share)
        return dict(zip(self.names, total.tolist(), strict=True))

    def snapshot(self) -> State:
        """Copies of the state."""
        return {name: getattr(self, name).copy() for name in ARRAYS}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        for name in ARRAYS:
            setattr(self, name, np.array(arrays[name], np.float64))
