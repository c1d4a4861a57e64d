"""Many series, few alarms: one budget for all of them together.

Alarm when the MEAN evidence over p series reaches B, "one false alarm per B events over all series".
An average of e-detectors is an e-detector, so no independence is needed. Which series moved is said
by e-BH (Dandapanthula & Ramdas, arXiv 2501.04130): the k largest with V_(k) >= p B / k; the rest of
those with at least 1 % of the largest are listed as "also moving".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.drift.port import F64

DEFAULT_BUDGET_EVENTS = 100_000.0
ALSO_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Alarm:
    """The combined evidence reached the budget; strongest first in both lists."""

    mean_evidence: float
    moved: tuple[tuple[str, float], ...]
    also_moving: tuple[tuple[str, float], ...]


def combine(
    names: Sequence[str], evidence: F64, budget_events: float = DEFAULT_BUDGET_EVENTS
) -> Alarm | None:
    """The alarm that `evidence` [p] of the series `names` makes, or None below the budget."""
    p = len(names)
    if p == 0 or not np.mean(evidence) >= budget_events:
        return None
    order = np.argsort(-evidence, kind="stable")
    ranked = [(names[i], float(evidence[i])) for i in order]
    passing = [k for k, (_, v) in enumerate(ranked, 1) if v >= p * budget_events / k]
    named = max(passing, default=1)
    least = ALSO_SHARE * ranked[0][1]
    return Alarm(
        mean_evidence=float(np.mean(evidence)),
        moved=tuple(ranked[:named]),
        also_moving=tuple((name, v) for name, v in ranked[named:] if v >= least),
    )
