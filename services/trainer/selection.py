"""Which of the past rows a job learns from, where there are more than its budget allows.

The newest half of the budget is always taken whole: validation and the hold-back part lie there, and
are what the model will meet. A policy chooses the other half among what lies before.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.messages.labels import class_key
from shared.messages.types import Outcome
from shared.problem.spec import Selection

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

STRATA = 4
"""Parts of equal size that numbers are cut into."""


def kept(rows: Sequence[Outcome], most: int, how: Selection, seed: int, regression: bool) -> I64:
    """The places of at most `most` of `rows` (oldest first), ascending; equal for equal seeds."""
    n = len(rows)
    if n <= most or how.policy in ("window", "all"):
        return np.arange(max(0, n - most), n)
    newest = most - most // 2
    older = n - newest
    rng = np.random.default_rng(seed)
    if how.policy == "recency":
        chosen = _weighted(np.arange(older) - older, how.half_life, most // 2, rng)
    else:
        chosen = _stratified(_strata(rows[:older], regression), most // 2, rng)
    return np.concatenate([np.sort(chosen), np.arange(older, n)])


def _weighted(place: I64, half_life: int, size: int, rng: np.random.Generator) -> I64:
    """Without replacement, a row `half_life` rows older half as likely: the largest of log weight plus
    Gumbel noise (Efraimidis and Spirakis 2006, in logarithms).
    """
    keys = place * (np.log(2) / half_life) + rng.gumbel(size=len(place))
    return np.asarray(np.argsort(-keys, kind="stable")[:size])


def _stratified(strata: I64, size: int, rng: np.random.Generator) -> I64:
    """As many of each stratum as there is room for, at random within it: rare ones are taken whole."""
    order = rng.permutation(len(strata))
    members = [order[strata[order] == stratum] for stratum in np.unique(strata)]
    turn = np.concatenate([np.arange(len(part)) for part in members])
    return np.asarray(np.concatenate(members)[np.argsort(turn, kind="stable")[:size]])


def _strata(rows: Sequence[Outcome], regression: bool) -> I64:
    """[n] the number of each row's class, or of the quarter that its number lies in."""
    if not regression:
        keys = [class_key(row.label) for row in rows]
        return np.unique(keys, return_inverse=True)[1].astype(np.int64)
    numbers = np.array([row.label for row in rows], np.float64)
    cuts = np.quantile(numbers, np.arange(1, STRATA) / STRATA)
    return np.searchsorted(cuts, numbers, side="right")
