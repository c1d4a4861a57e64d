"""Learns every live model from outcomes, and hands the fresh model to the scorer.

Invariants: the model changes only after every F-th outcome (`model.freshness`); each first outcome
is learned exactly once, corrections are not; only verified artefacts join the pool, each version once;
a snapshot is signed like an artefact.
"""

from services.learner.core import Learner
from shared.messages.streams import MODELS, OUTCOMES, REJECTED
from shared.stage import Service

SERVICE = Service(
    name="learner",
    reads=(OUTCOMES, MODELS),
    writes=(MODELS, REJECTED),
    scale="per-problem",
    place=90,
    build=Learner,
)
