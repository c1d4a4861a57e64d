"""A candidate may have seen only some of the pool's classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.models.port import F64, I64


def class_places(seen: Sequence[Any], classes: Sequence[Any]) -> I64:
    """Where the classes `seen` by a candidate stand among the pool's.

    Raises:
        ValueError: it has seen a class that the pool does not know.
    """
    known = {label: place for place, label in enumerate(classes)}
    try:
        return np.array([known[label] for label in seen], np.int64)
    except KeyError as error:
        raise ValueError(
            f"the model knows class {error.args[0]!r}, the pool only {list(classes)}: "
            "let the pool grow first, or pass the pool's own labels"
        ) from error


def spread(p: F64, places: I64, n_classes: int) -> F64:
    """Columns of `p` at their places among `n_classes`; 0 elsewhere."""
    wide = np.zeros((len(p), n_classes))
    wide[:, places] = p
    return wide
