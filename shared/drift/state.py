"""State as a named tuple of arrays: numba takes it as one argument, a snapshot is a copy of it."""

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from shared.drift.port import Arrays

State = TypeVar("State", bound=NamedTuple)


def copied(state: NamedTuple) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of `state` by name, copied."""
    return {name: array.copy() for name, array in state._asdict().items()}


def loaded(state: State, arrays: Arrays, what: str) -> None:
    """Overwrite the arrays of `state` in place.

    Raises:
        ValueError: a name is missing, or a shape or type differs.
    """
    for name, mine in state._asdict().items():
        given = arrays.get(name)
        if given is None:
            raise ValueError(
                f"{what}: the snapshot has no array {name!r}; it is not this detector's"
            )
        if given.shape != mine.shape or given.dtype != mine.dtype:
            raise ValueError(
                f"{what}: array {name!r} is {given.dtype}{given.shape}, expected "
                f"{mine.dtype}{mine.shape}; was it made with other series or settings?"
            )
        mine[...] = given
