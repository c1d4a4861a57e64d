"""Recomputes a sample of the served features from raw events; they must be equal.

Invariants: it reads the producers' bytes by a reading and a fold of its own, and shares no state with
what it audits; a difference of one bit counts; every compared prediction is in exactly one window; what
is remembered is bounded.
"""

from services.auditor.core import Auditor
from shared.messages.streams import AUDITS, CONTROL, EVENTS, PREDICTIONS, REFERENCES, REJECTED
from shared.stage import Service

SERVICE = Service(
    name="auditor",
    reads=(EVENTS, REFERENCES, PREDICTIONS, REJECTED, CONTROL),
    writes=(AUDITS,),
    scale="per-problem",
    place=45,
    build=lambda problem, tools: Auditor(problem),
)
