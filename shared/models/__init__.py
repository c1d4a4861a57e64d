"""The online learning pool: experts, anchors, stackers.

Pure: no clock, no global randomness, no outside. Read `port.py` first, then `pool.py`.
"""

from shared.models.anchors import anchor_from_sklearn
from shared.models.bank import Bank
from shared.models.codec import from_bytes, to_bytes
from shared.models.linear_anchor import LinearAnchor
from shared.models.pool import Pool
from shared.models.port import Anchor, Expert, Scored, Task, Verdict
from shared.models.stacker import Stacker
from shared.models.table import EXPERTS, default_experts
from shared.models.trees_anchor import TreesAnchor

__all__ = [
    "EXPERTS",
    "Anchor",
    "Bank",
    "Expert",
    "LinearAnchor",
    "Pool",
    "Scored",
    "Stacker",
    "Task",
    "TreesAnchor",
    "Verdict",
    "anchor_from_sklearn",
    "default_experts",
    "from_bytes",
    "to_bytes",
]
