"""Keeps history as Parquet: what was predicted, and how it came out.

Invariants: only committed records are written, in ranges of offsets that depend on nothing but their
number; where it goes on is read off the files themselves; the same records give the same bytes.
"""

from shared.messages.streams import OUTCOMES, PREDICTIONS
from shared.stage import Service

SERVICE = Service(
    name="archiver",
    reads=(PREDICTIONS, OUTCOMES),
    writes=(),
    scale="per-problem",
    place=110,
)
