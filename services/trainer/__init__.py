"""Turns requested jobs into challengers, or into reasons why there is none.

Invariants: a job's result is a pure function of its committed record and the log; it takes effect at
one place in the stream, the same in every replay; a candidate is accepted only if it beats the
champion's published predictions and every baseline on rows it has not seen; whatever happens in a fit
ends as a `failed` job and never touches the champion.
"""

from services.trainer.core import Trainer
from shared.messages.streams import CONTROL, JOBS, MODELS, OUTCOMES
from shared.stage import Service

SERVICE = Service(
    name="trainer",
    reads=(OUTCOMES, JOBS, CONTROL),
    writes=(JOBS, MODELS),
    scale="per-problem",
    place=70,
    build=Trainer,
)
