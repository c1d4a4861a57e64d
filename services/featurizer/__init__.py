"""From valid events to the numbers that a model sees.

Invariants: exactly one features record per valid event, in order; every declared feature is in it, a
finite number or null; only the event and its key's past enter; what is remembered is bounded.
"""

from services.featurizer.core import Featurizer
from shared.messages.streams import FEATURES, VALID
from shared.stage import Service

SERVICE = Service(
    name="featurizer",
    reads=(VALID,),
    writes=(FEATURES,),
    scale="per-partition",
    place=20,
    build=lambda problem, tools: Featurizer(problem),
)
