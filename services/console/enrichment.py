"""How often lookups in references find something, and why not where they do not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from services.console.words import count, share
from shared.messages.types import Prediction
from shared.problem.spec import Problem


class Tried(msgspec.Struct):
    """Counts of one lookup over some predictions."""

    found: int = 0
    missing: int = 0
    too_old: int = 0

    @property
    def all(self) -> int:
        """How many predictions looked it up."""
        return self.found + self.missing + self.too_old

    def plus(self, other: "Tried") -> "Tried":
        """Both together."""
        return Tried(
            self.found + other.found, self.missing + other.missing, self.too_old + other.too_old
        )


class _Counts(msgspec.Struct):
    """All so far; the block of `window` predictions at hand, and the one before it."""

    whole: Tried = msgspec.field(default_factory=Tried)
    block: Tried = msgspec.field(default_factory=Tried)
    before: Tried = msgspec.field(default_factory=Tried)


class Enrichment:
    """Folds predictions."""

    def __init__(self, problem: Problem) -> None:
        self._window = problem.evaluation.window
        self._counts = {lookup.prefix: _Counts() for lookup in problem.lookups}
        self._changed = False

    def predicted(self, prediction: Prediction) -> None:
        """What its lookups found."""
        unfound = prediction.unfound or {}
        for name, counts in self._counts.items():
            self._changed = True
            result = unfound.get(name, "found")
            if counts.block.all >= self._window:
                counts.before, counts.block = counts.block, Tried()
            for tried in (counts.whole, counts.block):
                setattr(tried, result, getattr(tried, result) + 1)

    def all(self) -> dict[str, Tried]:
        """By lookup, over all predictions."""
        return {name: counts.whole for name, counts in self._counts.items()}

    def newest(self) -> dict[str, Tried]:
        """By lookup, over the newest predictions: one to two windows of them."""
        return {name: counts.before.plus(counts.block) for name, counts in self._counts.items()}

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One entry."""
        if self._changed:
            self._changed = False
            yield "enrichment", msgspec.msgpack.encode(self._counts)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        if "enrichment" in entries:
            kind = dict[str, _Counts]
            self._counts |= msgspec.msgpack.decode(entries["enrichment"], type=kind)

    def summary(self) -> dict[str, Any]:
        """What `run --json` prints of it."""
        newest = self.newest()
        found: dict[str, Any] = msgspec.to_builtins(
            {name: {"all": tried, "newest": newest[name]} for name, tried in self.all().items()}
        )
        return found


class LookupRow(msgspec.Struct, frozen=True):
    """A lookup in words; each text is a share with its counts."""

    name: str
    reference: str
    found: str
    missing: str
    too_old: str
    newest: str


def lookup_rows(enrichment: Enrichment, problem: Problem) -> Sequence[LookupRow]:
    """As declared."""
    whole, newest = enrichment.all(), enrichment.newest()
    return [
        _row(lookup.prefix, lookup.reference, whole[lookup.prefix], newest[lookup.prefix])
        for lookup in problem.lookups
    ]


def _row(name: str, reference: str, whole: Tried, newest: Tried) -> LookupRow:
    return LookupRow(
        name=name,
        reference=reference,
        found=_of(whole.found, whole.all),
        missing=_of(whole.missing, whole.all),
        too_old=_of(whole.too_old, whole.all),
        newest=_of(newest.found, newest.all),
    )


def _of(part: int, whole: int) -> str:
    return f"{share(part, whole)} ({count(part)} of {count(whole)})"
