"""Compares every shadow with the champion on the same labelled events; promotes, rejects, rolls back.

Invariants: a decision is a record with its evidence; a shadow is promoted only by a test that stays
valid however often it is looked at, or by an operator; a page of drift starts the pairs anew, under
the same alpha; a version that is proved worse in a guard metric does not pass; the replaced champion
stays in shadow under the same test with the roles swapped, so one command, or the test, undoes a
promotion. Every decision is a signed record. What a retraining really gained is one, too: exactly one
`settled` record a job, whichever of verdict and steps comes first.
A record on `models`, or a verdict on a job, that no trusted key signed is refused.
"""

from services.judge.core import Judge
from shared.messages.streams import ALERTS, CONTROL, JOBS, MODELS, OUTCOMES, REJECTED
from shared.stage import Service

SERVICE = Service(
    name="judge",
    reads=(OUTCOMES, MODELS, JOBS, ALERTS, CONTROL),
    writes=(MODELS, JOBS, REJECTED),
    scale="per-problem",
    place=80,
    build=Judge,
)
