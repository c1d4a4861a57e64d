"""What a pool is made of: experts that learn, anchors that are frozen, and what they say.

Shapes: n rows, d features, E experts, K values per expert (K classes; 1 in regression), R members.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

Task = Literal["binary", "multiclass", "regression"]
F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Labels = npt.NDArray[Any]  # int64 class indices, or float64 targets
Arrays = Mapping[str, npt.NDArray[np.generic]]
State = dict[str, npt.NDArray[np.generic]]

COVERAGE = 0.9
"""The share of labels that prediction intervals are to hold."""

# Sums may be reordered and contracted; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "arcp", "nsz"}


class Arrival(NamedTuple):
    """How n events in a row looked when they came (`arrival.py`): `place` [n], counted from 0; `view`
    [n, W], every value a float16.
    """

    place: I64
    view: F32

    def of(self, rows: slice) -> "Arrival":
        """Some of the events."""
        return Arrival(self.place[rows], self.view[rows])


class Rows(NamedTuple):
    """Rows as experts see them: `x` cleaned, in the feature's own unit; `z` scaled and cut, the first
    part of the `view` [n, W]; `place` [n]. View and place are those of when the event came.
    """

    x: F64
    z: F64
    view: F64
    place: I64


class Expert:
    """One family of incremental models: one or more columns of what the bank says.

    A subclass lists its state in `arrays` (attribute names), so that snapshots are plain arrays. One
    of some `cost_us` (CPU an event, about) sleeps where it adds too little for it (`naps.py`).
    Learning goes event by event in order; no result may depend on where a block ends.
    """

    arrays: ClassVar[tuple[str, ...]] = ()
    cost_us: float = 0.0
    names: tuple[str, ...]

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """Write to `out[:, first + j, :]` what column j says of each row; changes no state."""
        raise NotImplementedError

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Learn the rows with their labels, in order."""
        raise NotImplementedError

    def grow(self, n_classes: int) -> None:
        """Make room for `n_classes` classes."""

    @property
    def memory_bound(self) -> int:
        """Bytes it holds, however long the stream: every array is made at its full size."""
        held = [part for value in vars(self).values() for part in _parts(value)]
        return sum(part.nbytes for part in held if isinstance(part, np.ndarray))

    def snapshot(self) -> State:
        """Copies of the state."""
        return {name: getattr(self, name).copy() for name in self.arrays}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        for name in self.arrays:
            setattr(self, name, np.array(arrays[name], order="C"))


def _parts(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


class Anchor(Protocol):
    """A frozen, batch-trained model; its classes are the pool's first classes, in order."""

    kind: ClassVar[str]

    def predict_many(self, x: F64) -> F64:
        """Probabilities or predictions, [n, K]; `x` is raw: NaN is missing."""
        ...

    def snapshot(self) -> State:
        """The whole model as plain arrays."""
        ...

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """The model of a snapshot."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one model version says.

    `mean` [n, K]: probabilities, or the prediction. `members` [n, R, K]: what the members of its
    stacker said, to be handed back when the label comes. `interval` [n, 2]: regression, once
    calibrated.
    """

    mean: F64
    members: F32
    interval: F64 | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What a pool says: `said` [n, E, K] by its experts, whose columns `layout` names."""

    said: F32
    by_version: dict[str, Verdict]
    layout: int
    arrival: Arrival


def widen(array: npt.NDArray[Any], axes: tuple[int, ...], size: int, fill: float) -> Any:
    """A copy of `array` whose `axes` have length `size`, the new places holding `fill`."""
    shape = [size if axis in axes else length for axis, length in enumerate(array.shape)]
    wide = np.full(shape, fill, array.dtype)
    wide[tuple(slice(length) for length in array.shape)] = array
    return wide
