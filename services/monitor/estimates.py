"""A canary or new champion against the version before it, by estimate: before any label comes."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from services.monitor.episodes import Found
from services.monitor.versions import Suspect, fault
from shared.evaluation.unlabelled import LEAST_BLOCKS, Estimate, Pair, answers_of
from shared.messages.types import Outcome, Prediction
from shared.problem.spec import Problem

MOST_PAIRS = 8
MISSING_EVENTS = 1_000
"""Predictions without both versions after which their pair is forgotten."""


class Watched(msgspec.Struct):
    """`newer` came to score beside `older`. `trial`: it answers now, as canary or champion."""

    newer: str
    older: str
    pair: Pair
    trial: bool = False
    missing: int = 0


class EstimatesMoment(msgspec.Struct):
    """The state."""

    newest: datetime | None = None
    watched: list[Watched] = []


class Estimates:
    """Learns in shadow what the answers of two versions are worth where they differ, and says so when
    the newer one, let on, is expected to lose more than the older one. It speaks only when blocks of
    matured events have shown how far off it is, and only beyond the farthest of these.
    """

    def __init__(self, problem: Problem) -> None:
        self.moment = EstimatesMoment()
        self._numbers = problem.task == "regression"
        self._declared = problem.promotion.estimated

    def predicted(self, prediction: Prediction, suspect: Suspect | None) -> Iterator[Found]:
        """One prediction; `suspect` is the version on trial, and the one it is held against."""
        moment = self.moment
        if moment.newest is None or prediction.time > moment.newest:
            moment.newest = prediction.time
        if prediction.shadow is None and not moment.watched:
            return
        answers = answers_of(prediction)
        self._meet(list(answers), prediction.champion or prediction.model)
        for watched in list(moment.watched):
            if watched.newer not in answers or watched.older not in answers:
                self._miss(watched)
                continue
            watched.missing = 0
            self._let_on(watched, suspect)
            found = watched.pair.predicted(answers[watched.newer], answers[watched.older])
            if found is not None and watched.trial:
                yield from self._look(watched, found, prediction.time)

    def labelled(self, outcome: Outcome) -> None:
        """A first label."""
        newest = self.moment.newest
        if newest is None or not self.moment.watched:
            return
        answers = answers_of(outcome)
        for watched in self.moment.watched:
            if watched.newer in answers and watched.older in answers:
                watched.pair.labelled(
                    answers[watched.newer],
                    answers[watched.older],
                    outcome.label,
                    outcome.time,
                    newest,
                )

    def _meet(self, versions: list[str], champion: str) -> None:
        """A pair for each version beside the champion."""
        known = {frozenset((w.newer, w.older)) for w in self.moment.watched}
        for version in versions:
            if version != champion and frozenset((version, champion)) not in known:
                pair = Pair.of(self._numbers, self._declared.events)
                watched = [*self.moment.watched, Watched(version, champion, pair)]
                self.moment.watched = watched[-MOST_PAIRS:]

    def _miss(self, watched: Watched) -> None:
        watched.missing += 1
        if watched.missing == MISSING_EVENTS:
            self.moment.watched.remove(watched)

    def _let_on(self, watched: Watched, suspect: Suspect | None) -> None:
        """A block holds events of the trial only."""
        pair = (watched.newer, watched.older)
        trial = suspect is not None and (suspect.version, suspect.judge) == pair
        if trial != watched.trial:
            watched.trial = trial
            watched.pair.restart()

    def _look(self, watched: Watched, found: Estimate, time: datetime) -> Iterator[Found]:
        least = found.loss - found.half
        if found.blocks < LEAST_BLOCKS or least <= self._declared.tolerance:
            return
        unit = "the mean absolute error" if self._numbers else "the error rate"
        evidence = {
            "model": watched.newer,
            "against": watched.older,
            "estimated_loss": found.loss,
            "give_or_take": found.half,
            "events": found.n,
            "checked_blocks": found.blocks,
            "off_by": found.off_by,
        }
        text = (
            f"before labels came, {unit} of {watched.newer} on {found.n:,} events is estimated "
            f"{found.loss:.3g} (± {found.half:.2g}) above that of {watched.older}; "
            f"where labels came, such estimates were off by {found.off_by:.2g} on average "
            f"({found.blocks} blocks)"
        )
        series = f"model {watched.newer}, estimated"
        yield fault("estimated_regression", series, evidence, text, time)
