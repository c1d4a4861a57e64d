"""What every model must beat: majority (or mean), no change, online linear.

Each baseline answers when the model does, before the label is known, and learns when the label comes.
So with late labels "no change" says the newest label that was known, as a person would.
"""

import numpy as np
import numpy.typing as npt

from shared.evaluation.linear import replay_linear

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int64] | npt.NDArray[np.float64]


def replayed(x: F64, y: Labels, order: I64, due: I64, n_classes: int = 0) -> dict[str, F64]:
    """Baseline to its answers [n] over past rows `x` [n, d] (NaN: missing): class indices or numbers.

    `y` [n] holds class indices below `n_classes`, or numbers (`n_classes` 0). `order` [n] lists the
    rows as their labels came; the answer to row i knows the first `due[i]` of them, all of earlier
    rows (`due` never falls).
    """
    known, told = due[: len(x)], y[order]
    newest = told[np.maximum(known - 1, 0)]
    no_change = np.where(known > 0, newest, 0).astype(np.float64)
    target = y[:, None].astype(np.float64)
    if n_classes:
        classes = np.arange(1, 2) if n_classes == 2 else np.arange(n_classes)
        target = (target == classes).astype(np.float64)
    state = np.zeros((3 + target.shape[1], x.shape[1] + 1))
    linear = np.empty((len(x), target.shape[1]))
    replay_linear(x, target, order, known, state, n_classes > 0, linear)
    if not n_classes:
        return {"mean": _means(told, known), "no_change": no_change, "linear": linear[:, 0]}
    chosen = linear[:, 0] > 0.5 if n_classes == 2 else np.argmax(linear, axis=1)
    return {
        "majority": _majorities(told, known, n_classes),
        "no_change": no_change,
        "linear": chosen.astype(np.float64),
    }


def _means(told: Labels, known: I64) -> F64:
    """[n] mean of the first `known` labels; 0 of none."""
    sums = np.concatenate([np.zeros(1), np.cumsum(told)])
    return np.asarray(sums[known] / np.maximum(known, 1))


def _majorities(told: Labels, known: I64, n_classes: int) -> F64:
    """[n] most frequent of the first `known` labels, the lowest index of equals."""
    tally = np.zeros((len(told) + 1, n_classes), np.int32)
    np.cumsum(told[:, None] == np.arange(n_classes), axis=0, out=tally[1:])
    return np.asarray(np.argmax(tally, axis=1)[known], np.float64)
