"""From valid events to the numbers that a model sees.

Invariants: exactly one features record per valid event, in order; every declared feature is in it, a
finite number or null; only the event, its key's past and the references read before it enter; what is
remembered is bounded. A reference that cannot be used is rejected, for what it says alone.
"""

from services.featurizer.core import Featurizer
from shared.messages.streams import FEATURES, REFERENCES, REJECTED, VALID
from shared.stage import Service

SERVICE = Service(
    name="featurizer",
    reads=(VALID, REFERENCES),
    writes=(FEATURES, REJECTED),
    scale="per-partition",
    place=20,
    build=lambda problem, tools: Featurizer(problem),
)
