"""Several labellers of one event: what each says, and which label that makes.

Of each labeller only the newest statement counts (a last-writer-wins register each; Shapiro et al.,
"Conflict-free replicated data types", 2011), and the verdict is a function of the set of statements.
So the ledger ends the same in whatever order labels, corrections and revocations arrive, and however
often.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from shared.errors import Reject
from shared.messages.labels import class_key
from shared.messages.types import Label, Value
from shared.problem.times import microseconds

MOST_LABELLERS = 64
"""Of one event; more are rejected."""


class Statement(msgspec.Struct, frozen=True):
    """What one labeller says, at `at_us` microseconds since 1970; `label` None: it is revoked."""

    source: str
    at_us: int
    label: Value | None

    @property
    def order(self) -> tuple[int, bool, str]:
        """By this the newest is found, also of two of the same time."""
        return self.at_us, self.label is None, class_key(self.label)


def merged(said: Sequence[Statement], new: Statement) -> list[Statement] | None:
    """`said` with `new` in it, by source; None: `new` is there already, or older than what is there."""
    same = next((old for old in said if old.source == new.source), None)
    if same is not None and new.order <= same.order:
        return None
    return sorted([*(old for old in said if old is not same), new], key=lambda s: s.source)


def label_time(label: Label, arrived_ms: int) -> datetime:
    """When it was said: the label's own time, else that of its arrival."""
    return label.time or datetime.fromtimestamp(arrived_ms / 1000, UTC)


def statement_of(label: Label, arrived_ms: int) -> Statement:
    """A label as what its labeller says."""
    value = None if label.revoked else label.label
    return Statement(label.source or "", microseconds(label_time(label, arrived_ms)), value)


def told(said: Sequence[Statement], label: Label, arrived_ms: int) -> list[Statement]:
    """What was said with this label in it.

    Raises:
        Reject: it adds nothing, or more labellers than are taken.
    """
    statement = statement_of(label, arrived_ms)
    found = merged(said, statement)
    who = f" by {statement.source}" if statement.source else ""
    if found is None:
        text = f"the label of {label.id}{who} came twice, or a newer one was there before"
        raise Reject(text, "label_twice")
    if len(found) > MOST_LABELLERS:
        text = f"{label.id} has the labels of {MOST_LABELLERS} labellers already"
        raise Reject(text, "label_sources", "source")
    return found


def verdict(said: Sequence[Statement], rule: str, labellers: Sequence[str]) -> Statement | None:
    """The statement that stands for all of them; None: there is none that is not revoked."""
    live = [statement for statement in said if statement.label is not None]
    return _RULES[rule](live, labellers) if live else None


def _newest(live: Sequence[Statement], labellers: Sequence[str]) -> Statement:
    return max(live, key=lambda s: (s.at_us, -_place(s, labellers), *_last(s)))


def _priority(live: Sequence[Statement], labellers: Sequence[str]) -> Statement:
    return max(live, key=lambda s: (-_place(s, labellers), s.at_us, *_last(s)))


def _majority(live: Sequence[Statement], labellers: Sequence[str]) -> Statement:
    """Ties go to the labeller that is named first, then to the newest statement."""
    votes = Counter(class_key(s.label) for s in live)
    most = max(votes.values())
    return _priority([s for s in live if votes[class_key(s.label)] == most], labellers)


def _median(live: Sequence[Statement], labellers: Sequence[str]) -> Statement:
    """The lower one of two in the middle: a number that somebody said."""
    ranked = sorted(live, key=lambda s: (s.label, s.at_us, s.source))
    return ranked[(len(ranked) - 1) // 2]


def _place(statement: Statement, labellers: Sequence[str]) -> int:
    source = statement.source
    return labellers.index(source) if source in labellers else len(labellers)


def _last(statement: Statement) -> tuple[str, str]:
    return class_key(statement.label), statement.source


_RULES: dict[str, Callable[[Sequence[Statement], Sequence[str]], Statement]] = {
    "newest": _newest,
    "priority": _priority,
    "majority": _majority,
    "median": _median,
}
