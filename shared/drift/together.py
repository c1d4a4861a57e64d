"""Detectors over the same row in one kernel: a call costs more than what it does with a row."""

from typing import Any

import numpy as np
from numba import njit

from shared.drift.port import F64
from shared.drift.ranks import Ranks, update_ranks
from shared.drift.rates import Rates, update_rates
from shared.drift.source import Constancy, update_constancy


@njit(cache=True)
def _update(
    row: F64, out: F64, constancy: Any, log_budget: float, found: Any, missing: Any, odds: F64,
    n_missing: int, ranks: Any, logs: F64, seed: int,
) -> bool:  # fmt: skip
    broken = update_constancy(row, constancy, log_budget, found) > 0
    out[0] = update_rates(np.isnan(row).astype(np.float64), missing, odds, n_missing)
    if not broken:
        out[1] = update_ranks(row, ranks, logs, seed)
    return broken


class Together:
    """`constancy`, `missing` (of the row's NaN) and `ranks`, fed one row at a time.

    The detectors stay their owner's: what is reset or restored there is so here.
    """

    def __init__(self, constancy: Constancy, missing: Rates, ranks: Ranks) -> None:
        self._arguments = (*constancy.arguments, *missing.arguments, *ranks.arguments)
        self._evidence = np.zeros(2)

    def update(self, row: F64) -> tuple[bool, float, float]:
        """Take `row` [p]: whether a source broke, mean evidence of missing values, and of ranks.

        Where a source broke the ranks have not taken the row: reset what is concerned, then update
        them.
        """
        broken = _update(row, self._evidence, *self._arguments)
        missing, ranks = self._evidence.tolist()
        return broken, missing, ranks
