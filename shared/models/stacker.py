"""The stacker of one model version: which experts it hears, and how much each counts."""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np

from shared.models.blend_stacker import BlendStacker
from shared.models.logit_stacker import LogitStacker
from shared.models.port import F32, F64, I64, Arrays, Labels, State, Task, Verdict


class Mixer(Protocol):
    """What both kinds of stacker do; `columns` says where in `said` the experts `names` stand."""

    names: tuple[str, ...]
    n_classes: int

    def predict_many(self, said: F32, columns: I64) -> Verdict:
        """Mix."""
        ...

    def learn_many(self, said: F32, columns: I64, members: F32 | None, y: Labels) -> None:
        """Learn in order."""
        ...

    def fork(self, names: Sequence[str]) -> Self:
        """A copy that hears other experts."""
        ...

    def weigh(self) -> dict[str, float]:
        """How much each expert counts."""
        ...

    def snapshot(self) -> State:
        """Plain arrays."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Continue."""
        ...


class Stacker:
    """Mixes what experts say into one prediction, and learns how from what they SAID.

    Classification: probabilities (`logit_mix`). Regression: a prediction and an interval (`blend`).
    `said` [n, E, K] holds the columns `names`, in that order, unless `columns` says where they stand.
    `shares` [E]: how much each classifier counts at the start (default: all alike).
    """

    def __init__(
        self, task: Task, names: Sequence[str], n_classes: int = 2, shares: F64 | None = None
    ) -> None:
        self.task: Task = task
        self._mixer: Mixer = (
            BlendStacker(names) if task == "regression" else LogitStacker(names, n_classes, shares)
        )
        self._all = np.arange(len(names))

    @property
    def mixer(self) -> Mixer:
        """What does the work, for loops that are compiled around it (`prequential.py`)."""
        return self._mixer

    @property
    def names(self) -> tuple[str, ...]:
        """The experts it hears."""
        return self._mixer.names

    @property
    def weights(self) -> dict[str, float]:
        """How much each expert counts now; for display."""
        return self._mixer.weigh()

    def predict_many(self, said: F32, columns: I64 | None = None) -> Verdict:
        """What the version says; changes no state."""
        return self._mixer.predict_many(said, self._all if columns is None else columns)

    def learn_many(
        self, said: F32, members: F32 | None, y: Labels, columns: I64 | None = None
    ) -> None:
        """Learn events in order from what was said when they were predicted.

        `members` None: this version did not exist then; it learns from `said` alone.
        """
        self._mixer.learn_many(said, self._all if columns is None else columns, members, y)

    def fork(self, names: Sequence[str]) -> "Stacker":
        """A challenger that hears `names`: shared experts keep their weights, new ones start small."""
        child = Stacker(self.task, names, self._mixer.n_classes)
        child._mixer = self._mixer.fork(names)
        return child

    def grow(self, n_classes: int) -> None:
        """Classes appeared."""
        self._mixer.n_classes = n_classes

    def snapshot(self) -> State:
        """The whole state as plain arrays."""
        return self._mixer.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Continue, bit for bit, where the snapshot was taken."""
        self._mixer.restore(arrays)
