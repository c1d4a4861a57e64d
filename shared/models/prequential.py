"""Test-then-train over recorded words, compiled: what a stacker would have said, row by row.

The stacker is the one that runs live (`logit_mix`, `blend`); only the loop around it is here. One row
costs about 5 us of CPU for 15 experts, a third of what it costs through `Stacker`.
"""

import math

import numpy as np
from numba import njit

from shared.models import blend, logit_mix
from shared.models.blend_stacker import BlendStacker
from shared.models.logit_stacker import LogitStacker, floor_of
from shared.models.port import F32, F64, FAST, I64, Labels, Task
from shared.models.stacker import Stacker

HALF_BITS = 11  # of a float16's fraction, the leading one included
HALF_LEAST = -13  # the exponent (of `frexp`) below which a float16 has fewer bits


@njit(cache=True)
def halved(value: float) -> float:
    """The nearest float16, as what members said travels in one (IEEE 754, ties to even)."""
    _, exponent = math.frexp(value)
    unit = math.ldexp(1.0, max(exponent, HALF_LEAST) - HALF_BITS)
    return float(np.rint(value / unit)) * unit


@njit(cache=True, fastmath=FAST)
def walk_logit(
    said: F32, columns: I64, floor: float, y: I64, order: I64, due: I64, first: int, end: int,
    w: F64, start: F64, squares: F64, gradient: F64, hessian: F64, loss: F64, clock: F64,
    members: F32, mean: F64,
) -> None:  # fmt: skip
    """`walk` of a `LogitStacker`, whose arrays are `w` to `clock`."""
    told = np.empty((1, members.shape[1], members.shape[2]))
    for i in range(first, end + 1):
        for place in range(due[i - 1] if i > first else due[first], due[i]):
            j = order[place]
            logit_mix.learn_block(
                said[j : j + 1], columns, floor, members[j : j + 1], y[j : j + 1],
                w, start, squares, gradient, hessian, loss, clock,
            )  # fmt: skip
        if i == end:
            break
        logit_mix.predict_block(
            said[i : i + 1], columns, floor, w, start, loss, told, mean[i : i + 1]
        )
        for r in range(members.shape[1]):
            for c in range(members.shape[2]):
                members[i, r, c] = halved(told[0, r, c])


@njit(cache=True, fastmath=FAST)
def walk_blend(
    said: F32, columns: I64, y: F64, order: I64, due: I64, first: int, end: int,
    w: F64, inverse: F64, error: F64, missed: F64, track: F64, seen: F64,
    members: F32, mean: F64,
) -> None:  # fmt: skip
    """`walk` of a `BlendStacker`, whose arrays are `w` to `seen`."""
    for i in range(first, end + 1):
        for place in range(due[i - 1] if i > first else due[first], due[i]):
            j = order[place]
            blend.learn_block(
                said[j : j + 1], columns, members[j : j + 1], y[j : j + 1],
                w, inverse, error, missed, track, seen,
            )  # fmt: skip
        if i == end:
            break
        blend.predict_block(
            said[i : i + 1], columns, w, error, missed, members[i : i + 1], mean[i : i + 1]
        )


def walk(
    stacker: Stacker, said: F32, y: Labels, order: I64, due: I64, first: int, end: int,
    members: F32, mean: F64,
) -> None:  # fmt: skip
    """Predict the rows `first` to `end` of `said` [n, E, K], learning each label when it came.

    `order` [n] lists the rows as their labels came; before row i is predicted, the first `due[i]` of
    them are learned, and `due[end]` at the end (`due` [n + 1] never falls). The first `due[first]` of
    them were learned before. `members` [n, R, K] and `mean` [n, K] are filled.
    """
    mixer, columns = stacker.mixer, np.arange(said.shape[1])
    if isinstance(mixer, LogitStacker):
        walk_logit(
            said, columns, floor_of(said.shape[2]), y, order, due, first, end,
            mixer.weights, mixer.start, mixer.squares, mixer.gradient, mixer.hessian, mixer.loss,
            mixer.clock, members, mean,
        )  # fmt: skip
    elif isinstance(mixer, BlendStacker):
        walk_blend(
            said, columns, y, order, due, first, end,
            mixer.weights, mixer.inverse, mixer.error, mixer.missed, mixer.track, mixer.seen,
            members, mean,
        )  # fmt: skip
    else:
        raise TypeError(f"there is no compiled walk for {type(mixer).__name__}")


def compile_walk(task: Task) -> None:
    """Compile the walk of a task's stackers (see `warm.py`)."""
    regression = task == "regression"
    said = np.full((2, 2, 1 if regression else 2), 0.5, np.float32)
    stacker = Stacker(task, ("a", "b"))
    members, mean = stacker.predict_many(said).members, np.zeros((2, said.shape[2]))
    y = np.zeros(2, np.float64 if regression else np.int64)
    walk(stacker, said, y, np.arange(2), np.array([0, 1, 1]), 0, 2, members, mean)
