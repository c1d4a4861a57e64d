"""The cause class of what was seen, by the first rule that applies.

1. a source break or a stop of labels; 2. errors rose: an input that is known to move is named, else
it is concept drift; 3. only inputs moved: input drift, harmless so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Cause = Literal["source_break", "input_drift", "concept_drift", "label_delay"]
Kind = Literal[
    "went_live", "frozen", "missing", "unseen", "unit", "labels_stopped", "errors", "inputs"
]
SOURCE_KINDS: frozenset[Kind] = frozenset({"went_live", "frozen", "missing", "unseen", "unit"})
INPUT_SHARE = 1 / 20
"""With an error alarm already there, an input counts as moving from this share of its own bar."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing seen at event number `at`; `evidence` in units of the bar that it had to reach."""

    kind: Kind
    feature: str
    at: int
    evidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The cause, the kind of finding that decided, what it names (strongest first), and since when."""

    cause: Cause
    kind: Kind
    features: tuple[Finding, ...]
    since: int


def _ranked(found: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda f: (-f.evidence, f.at, f.feature)))


def name_cause(found: Sequence[Finding]) -> Verdict | None:
    """The verdict on everything found in one episode; None when nothing was.

    Findings of kind `inputs` may be given below their bar (from `INPUT_SHARE` of it): they count only
    beside an error alarm.
    """
    broken = [f for f in found if f.kind in SOURCE_KINDS]
    if broken:
        first = min(broken, key=lambda f: f.at)
        return Verdict("source_break", first.kind, _ranked(broken), first.at)
    stopped = [f for f in found if f.kind == "labels_stopped"]
    if stopped:
        return Verdict("label_delay", "labels_stopped", (), stopped[0].at)
    moving = [f for f in found if f.kind == "inputs" and f.evidence >= INPUT_SHARE]
    errors = [f for f in found if f.kind == "errors"]
    if errors:
        since = min(f.at for f in errors)
        if moving:
            return Verdict("input_drift", "errors", _ranked(moving), since)
        return Verdict("concept_drift", "errors", (), since)
    alarmed = [f for f in moving if f.evidence >= 1.0]
    if not alarmed:
        return None
    return Verdict("input_drift", "inputs", _ranked(alarmed), min(f.at for f in alarmed))
