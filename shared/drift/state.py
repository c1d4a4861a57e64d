"""State as a named tuple of arrays, views of one structured array: a kernel takes that as one argument.

Unpacking eleven arrays an event costs more than what a kernel does with them.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from shared.drift.port import Arrays

State = TypeVar("State", bound=NamedTuple)


def packed(state: State) -> tuple[State, Any]:
    """`state` as views of one array of p records, and that array; in a kernel both read the same."""
    fields = state._asdict()
    kinds = [(name, array.dtype, array.shape[1:]) for name, array in fields.items()]
    block = np.zeros(len(state[0]), np.dtype(kinds, align=True))
    for name, array in fields.items():
        block[name] = array
    return state._replace(**{name: block[name] for name in fields}), block


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
