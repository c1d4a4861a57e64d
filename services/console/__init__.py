"""The page, the terminal and the summary: one view of the run, folded from the log.

Invariants: the board changes nothing and decides nothing; every figure on it can be recomputed from
the streams it reads; a page never sees a half-folded board; a step that no trusted key signed is not
shown as having happened. What an operator asks for becomes a record on `control`, so a replay repeats
it.
"""

from shared.messages.streams import (
    ALERTS,
    AUDITS,
    CONTROL,
    JOBS,
    LABEL_REQUESTS,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    REJECTED,
)
from shared.problem.spec import Problem
from shared.stage import Service, Stage, Tools


def _build(problem: Problem, tools: Tools) -> Stage:
    from services.console.core import Board  # brings compiled code, which others need not load

    return Board(problem, tools.trusted)


SERVICE = Service(
    name="console",
    reads=(REJECTED, PREDICTIONS, OUTCOMES, LABEL_REQUESTS, ALERTS, JOBS, MODELS, AUDITS, CONTROL),
    writes=(),
    scale="per-problem",
    place=120,
    build=_build,
)
