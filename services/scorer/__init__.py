"""Scores features with the champion, and with every shadow beside it.

Invariants: every feature record gives exactly one prediction; it names the model version that made
it; it holds everything needed to learn from its label later (`said`); a snapshot that is not what the
learner signed, or older than the one at hand, is rejected and the one at hand goes on.
"""

from services.scorer.core import Scorer
from shared.messages.streams import FEATURES, MODELS, PREDICTIONS, REJECTED
from shared.stage import Service

SERVICE = Service(
    name="scorer",
    reads=(FEATURES, MODELS),
    writes=(PREDICTIONS, REJECTED),
    scale="per-partition",
    place=30,
    build=Scorer,
)
