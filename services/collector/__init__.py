"""The way in: files are replayed, producers post over HTTP; everything ends on the log.

Invariants: bytes are passed on as they came (garbage too: the validator rejects it, with the
reason); a replay is the same sequence of arrivals each time, at any speed, so it resumes by skipping
what is on the log; over HTTP nothing is acknowledged before it is committed, and what does not fit
is refused aloud (429), never dropped.
"""

from shared.messages.streams import CONTROL, EVENTS, LABELS, REFERENCES
from shared.stage import Service

SERVICE = Service(
    name="collector",
    reads=(),
    writes=(EVENTS, LABELS, REFERENCES, CONTROL),
    scale="per-partition",
    place=0,
)
