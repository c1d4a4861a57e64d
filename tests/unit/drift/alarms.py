"""How often the detectors of single series raise an alarm, and when first."""

import numpy as np

from shared.drift.ranks import Ranks
from shared.drift.rates import Rates


def alarms(d: Ranks | Rates, x: np.ndarray, budget: float) -> tuple[int, np.ndarray]:
    """Alarms of each series alone at `budget`, each with a new start; and the first of each (or -1)."""
    count, first = 0, np.full(x.shape[1], -1)
    for t, row in enumerate(x):
        d.update(row)
        hit = d.evidence >= budget
        if hit.any():
            count += int(hit.sum())
            first[hit & (first < 0)] = t
            d.reset(hit)
    return count, first
