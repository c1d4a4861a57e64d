"""Features as rows of numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def matrix(
    features: Sequence[Mapping[str, float | None]], names: Sequence[str]
) -> NDArray[np.float64]:
    """One row per mapping, one column per name; missing (None or absent) is NaN."""
    rows = [list(map(row.get, names)) for row in features]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
