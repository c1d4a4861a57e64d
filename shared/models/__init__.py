"""The online learning pool: experts, anchors, stackers.

Pure: no clock, no global randomness, no outside. Read `port.py` first, then `pool.py`.
"""

from shared.models.bank import Bank
from shared.models.codec import from_bytes, to_bytes
from shared.models.pool import Pool
from shared.models.port import Anchor, Expert, Scored, Task, Verdict
from shared.models.stacker import Stacker
from shared.models.table import DEFAULT, EXPERTS

__all__ = [
    "DEFAULT",
    "EXPERTS",
    "Anchor",
    "Bank",
    "Expert",
    "Pool",
    "Scored",
    "Stacker",
    "Task",
    "Verdict",
    "from_bytes",
    "to_bytes",
]
