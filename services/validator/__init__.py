"""Decides which events can be used, and says of the others why not.

Invariants: every event gives exactly one record, valid or rejected, never an exception; a rejected
event leaves no trace in the state (its id may come again); what is remembered is bounded.
"""

from services.validator.core import Validator
from shared.messages.streams import EVENTS, REJECTED, VALID
from shared.stage import Service

SERVICE = Service(
    name="validator",
    reads=(EVENTS,),
    writes=(VALID, REJECTED),
    scale="per-partition",
    place=10,
    build=lambda problem, tools: Validator(problem),
)
