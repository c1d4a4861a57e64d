"""Everyone who answered, scored on the same outcomes: what was published, baselines, shadows."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from services.console.baselines import (
    F64,
    ClassBaselines,
    Contestants,
    NumberBaselines,
    Rule,
    Said,
    vector,
)
from services.console.scores import Score, as_number, finite, said_class, surprise
from services.console.timeline import Sums
from shared.messages.labels import class_key
from shared.messages.types import Outcome, Prediction
from shared.problem.spec import Problem
from shared.table import Table

PUBLISHED = "published"
MOST_WAITING = 100_000
"""Predictions whose baseline answers wait for a label; beyond it the oldest are not scored."""
MOST_VECTORS = 1_000
"""Feature vectors kept between prediction and label: a cache, the outcome brings the same numbers."""
MOST_SHADOWS = 8
"""Shadows (and versions that published) whose scores are kept, the newest ones."""


class _State(msgspec.Struct):
    published: Score
    baselines: list[Score]
    shadows: dict[str, Score]
    by_model: dict[str, Score]


class Contest:
    """Prequential scores; only an outcome's first label counts.

    A baseline answers when the model does and learns when the label comes, so it never knows more
    than the model knew.
    """

    def __init__(self, problem: Problem, features: tuple[str, ...], rules: Mapping[str, Rule]):
        self.regression = problem.task == "regression"
        classes = [class_key(value) for value in problem.label.classes or ()]
        self._classes = None if self.regression else ClassBaselines(len(features), classes, rules)
        self._baselines: Contestants = self._classes or NumberBaselines(len(features), rules)
        self._features = features
        self._vectors: dict[str, F64] = {}
        self._waiting: Table[Said] = Table("said", MOST_WAITING, Said)
        self._published = Score()
        self._scores = [Score() for _ in self._baselines.names]
        self._shadows: dict[str, Score] = {}
        self._by_model: dict[str, Score] = {}
        self._dirty = False

    @property
    def waiting(self) -> int:
        """Predictions that wait for a label."""
        return len(self._waiting)

    def predicted(self, prediction: Prediction, place: int) -> None:
        """Let the baselines answer the `place`-th prediction's event."""
        rates = [(s.n - s.loss + 1) / (s.n + 2) for s in self._scores]
        x = vector(prediction.features, self._features)
        if len(self._vectors) >= MOST_VECTORS:
            self._vectors.clear()
        self._vectors[prediction.id] = x
        self._waiting.put(
            prediction.id, self._baselines.answer(prediction.features, x, place, rates)
        )

    def labelled(self, outcome: Outcome) -> int | None:
        """Score a first label; the ordinal of its prediction, if that is remembered."""
        said = self._waiting.pop(outcome.id)
        x = self._vectors.pop(outcome.id, None)
        if x is None:
            x = vector(outcome.features, self._features)
        self._dirty = True
        if self._classes is None:
            self._numbers(outcome, said, x)
        else:
            self._answers(outcome, said, x, self._classes)
        return None if said is None else said.place

    def _answers(
        self, outcome: Outcome, said: Said | None, x: F64, baselines: ClassBaselines
    ) -> None:
        label = class_key(outcome.label)
        mine = said_class(outcome.prediction)
        given = outcome.probabilities
        missed = None if given is None else surprise(given.get(label, 0.0))
        loss = self._published.take_class(label, mine, missed)
        self._of(self._by_model, outcome.model).take_class(label, mine, missed)
        if given is not None:
            self._published.take_chances(label, mine, given)
        for version, beside in _challengers(outcome):
            probabilities = beside.get("probabilities")
            missed = None if probabilities is None else surprise(probabilities.get(label, 0.0))
            score = self._of(self._shadows, version)
            said_so = said_class(beside.get("prediction"))
            score.gain += score.take_class(label, said_so, missed) - loss
            if probabilities is not None:
                score.take_chances(label, said_so, probabilities)
        if said is not None:
            chances = baselines.chances(said, label)
            for score, answer, p in zip(self._scores, said.answers, chances, strict=True):
                if answer is not None:
                    score.gain += score.take_class(label, cast(str, answer), surprise(p)) - loss
        baselines.learn(x, label)

    def _numbers(self, outcome: Outcome, said: Said | None, x: F64) -> None:
        label, mine = as_number(outcome.label), as_number(outcome.prediction)
        if not (finite(label) and finite(mine)):
            return
        loss = self._published.take_number(label, mine)
        self._published.take_interval(label, outcome.interval)
        self._of(self._by_model, outcome.model).take_number(label, mine)
        for version, beside in _challengers(outcome):
            theirs = as_number(beside.get("prediction"))
            if finite(theirs):
                score = self._of(self._shadows, version)
                score.gain += score.take_number(label, theirs) - loss
        if said is not None:
            for score, answer in zip(self._scores, said.answers, strict=True):
                if answer is not None:
                    score.gain += score.take_number(label, float(answer)) - loss
        self._baselines.learn(x, label)

    def _of(self, scores: dict[str, Score], version: str) -> Score:
        score = scores.get(version)
        if score is None:
            if len(scores) >= MOST_SHADOWS:
                del scores[next(iter(scores))]
            score = scores[version] = Score()
        return score

    def scores(self) -> dict[str, Score]:
        """Series to score: `published`, the baselines, `shadow:<version>`. Not copies."""
        named = dict(zip(self._baselines.names, self._scores, strict=True))
        shadows = {f"shadow:{version}": score for version, score in self._shadows.items()}
        return {PUBLISHED: self._published, **named, **shadows}

    def sums(self) -> dict[str, Sums]:
        """Series to cumulative sums, for the time line."""
        return {name: (s.n, s.loss, s.gain) for name, s in self.scores().items()}

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the baselines."""
        return self._baselines.names

    def figures(self) -> dict[str, dict[str, float]]:
        """Series to figures by their names on the wire."""
        return {name: score.figures(self.regression) for name, score in self.scores().items()}

    def by_model(self) -> dict[str, tuple[int, dict[str, float]]]:
        """Version to (outcomes, figures) of what it published as champion."""
        return {v: (s.n, s.figures(self.regression)) for v, s in self._by_model.items()}

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Answers that wait, one entry each; scores and baselines in two small ones."""
        yield from self._waiting.changes()
        if self._dirty:
            state = _State(self._published, self._scores, self._shadows, self._by_model)
            yield "scores", msgspec.msgpack.encode(state)
            yield "baselines", self._baselines.dump()
            self._dirty = False

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        self._waiting.restore(entries)
        if "scores" in entries:
            state = msgspec.msgpack.decode(entries["scores"], type=_State)
            self._published, self._scores = state.published, state.baselines
            self._shadows, self._by_model = state.shadows, state.by_model
            self._baselines.load(entries["baselines"])


def _challengers(outcome: Outcome) -> list[tuple[str, dict[str, Any]]]:
    """Versions that answered beside what was published; not the champion where another spoke for it."""
    answers = (outcome.shadow or {}).items()
    return [(version, answer) for version, answer in answers if version != outcome.champion]
