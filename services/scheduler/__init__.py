"""Decides when to retrain.

Invariants: one request per trigger and window (the id is derived, so a second scheduler asks for the
same job); never two jobs under way; every request says why.
"""

from services.scheduler.core import Scheduler
from shared.messages.streams import ALERTS, CONTROL, JOBS, OUTCOMES
from shared.stage import Service

SERVICE = Service(
    name="scheduler",
    reads=(OUTCOMES, ALERTS, CONTROL),
    writes=(JOBS,),
    scale="per-problem",
    place=60,
    build=lambda problem, tools: Scheduler(problem),
)
