"""Labels that were asked for and have not come: what the labelling page shows."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from services.console.words import moment, number
from shared.messages.labels import class_key
from shared.messages.types import LabelRequest, Outcome
from shared.problem.spec import Problem
from shared.table import Table

MOST_OPEN = 500
"""Requests shown at the same time; beyond it the oldest is left out (it stays on the stream)."""
MOST_SHOWN = 50


class _Counts(msgspec.Struct):
    asked: int = 0
    answered: int = 0


class Wanted:
    """Folds requests and outcomes."""

    def __init__(self) -> None:
        self.open: Table[LabelRequest] = Table("wanted", MOST_OPEN, LabelRequest)
        self.counts = _Counts()
        self._changed = False

    def asked(self, request: LabelRequest) -> None:
        """A label is wanted."""
        self.open.put(request.id, request)
        self.counts.asked += 1
        self._changed = True

    def labelled(self, outcome: Outcome) -> None:
        """A label has come, or the default was taken: nothing to ask for any more."""
        if self.open.pop(outcome.id) is not None:
            self.counts.answered += not outcome.default
            self._changed = True

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One entry a request, and the counts."""
        yield from self.open.changes()
        if self._changed:
            self._changed = False
            yield "wanted_counts", msgspec.msgpack.encode(self.counts)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        self.open.restore(entries)
        if "wanted_counts" in entries:
            self.counts = msgspec.msgpack.decode(entries["wanted_counts"], type=_Counts)

    def summary(self) -> dict[str, int]:
        """What `run --json` prints of it."""
        found = {"asked": self.counts.asked, "answered": self.counts.answered}
        return found | {"open": len(self.open)}


class WantedCard(msgspec.Struct, frozen=True):
    """One request in words. `answers`: text and JSON of each class; none: the answer is typed in."""

    id: str
    place: str
    says: str
    unsure: str
    features: list[tuple[str, str]]
    answers: list[tuple[str, str]]


def wanted_cards(wanted: Wanted, problem: Problem) -> list[WantedCard]:
    """The newest window first, in it the most informative first."""
    requests = [request for _, request in wanted.open.items()]
    requests.sort(key=lambda request: request.rank)
    requests.sort(key=lambda request: request.start, reverse=True)
    return [_card(request, problem) for request in requests[:MOST_SHOWN]]


def _card(request: LabelRequest, problem: Problem) -> WantedCard:
    where = f"{request.key}, {moment(request.time)}" if request.key else moment(request.time)
    spec = problem.label.requests
    by = "interval width" if request.interval or spec is None else spec.by.replace("_", " ")
    return WantedCard(
        id=request.id,
        place=where,
        says=_said(request),
        unsure=f"rank {request.rank} of its window; uncertainty {number(request.uncertainty)} ({by})",
        features=[(name, number(value)) for name, value in request.features.items()],
        answers=[] if problem.task == "regression" else _classes(request, problem),
    )


def _said(request: LabelRequest) -> str:
    if request.prediction is None:
        return f"{request.model} knew no class yet"
    text = f"{request.model} said {class_key(request.prediction)}"
    if request.interval is not None:
        return f"{text}, between {number(request.interval[0])} and {number(request.interval[1])}"
    odds = sorted((request.probabilities or {}).items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {100 * p:.1f} %" for name, p in odds[:5])
    return f"{text} ({shown})" if shown else text


def _classes(request: LabelRequest, problem: Problem) -> list[tuple[str, str]]:
    declared: list[Any] = list(problem.label.classes or request.probabilities or ())
    return [(class_key(value), msgspec.json.encode(value).decode()) for value in declared]
