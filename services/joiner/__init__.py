"""Joins labels to predictions by id: the label ledger.

Invariants: one first outcome per prediction at most, corrections carry `revision` 1, 2, …; a label
that nothing can be done with is rejected, never dropped; what is remembered is bounded.
"""

from services.joiner.core import Joiner
from shared.messages.streams import (
    CONTROL,
    LABEL_REQUESTS,
    LABELS,
    OUTCOMES,
    PREDICTIONS,
    REJECTED,
)
from shared.stage import Service

SERVICE = Service(
    name="joiner",
    reads=(PREDICTIONS, LABELS, CONTROL),
    writes=(OUTCOMES, REJECTED, LABEL_REQUESTS),
    scale="per-problem",
    place=40,
    build=lambda problem, tools: Joiner(problem),
)
