"""The page, the terminal and the summary: one view of the run, folded from the log.

Invariants: the board changes nothing and decides nothing; every figure on it can be recomputed from
the streams it reads; a page never sees a half-folded board. What an operator asks for becomes a record
on `control`, so a replay repeats it.
"""

from services.console.core import Board
from shared.messages.streams import (
    ALERTS,
    CONTROL,
    JOBS,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    REJECTED,
)
from shared.stage import Service

SERVICE = Service(
    name="console",
    reads=(REJECTED, PREDICTIONS, OUTCOMES, ALERTS, JOBS, MODELS, CONTROL),
    writes=(),
    scale="per-problem",
    place=120,
    build=lambda problem, tools: Board(problem),
)
