"""Classes and declared slices: how many labels each has, and a figure only where that is enough.

Of a class the figure is its recall, of a slice the accuracy (for numbers the mean absolute error); all
by the labels as they stand now.
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import msgspec

from services.console.scores import as_number, said_class
from services.console.words import number, share
from shared.messages.labels import class_key
from shared.messages.types import Outcome, Prediction, Value
from shared.problem.expression import Formula
from shared.problem.spec import FormulaKind, Problem

MOST_CLASSES = 200
"""Classes that are counted where the problem file declares none; later ones are left out."""
_ONE = 1 << 40
"""The unit of summed errors: whole numbers, so that the order of labels does not matter."""


class Group(msgspec.Struct):
    """Counts of a class (predictions that said it, labels that are it) or a slice. `good`: right
    answers, or the summed absolute error in fixed point.
    """

    predictions: int = 0
    labels: int = 0
    good: int = 0


class Covered(msgspec.Struct):
    """All that is kept. `whole`: every prediction, and the labels that stand; `least`: the declared
    `minimum_support`.
    """

    classes: dict[str, Group]
    slices: dict[str, Group]
    whole: Group = msgspec.field(default_factory=Group)
    least: int = 0


class Coverage:
    """Folds predictions and outcomes."""

    def __init__(self, problem: Problem) -> None:
        self.regression = problem.task == "regression"
        self.least = problem.evaluation.minimum_support
        kinds: dict[str, FormulaKind] = dict.fromkeys(problem.feature_names, "number")
        declared = problem.evaluation.slices
        self._inside = {part.name: Formula(part.expression, kinds) for part in declared}
        known = () if self.regression else problem.label.classes or ()
        self.classes = {class_key(value): Group() for value in known}
        self.slices = {name: Group() for name in self._inside}
        self.whole = Group()
        self._changed = False

    def predicted(self, prediction: Prediction) -> None:
        """One answer."""
        self._changed = True
        said = None if self.regression else said_class(prediction.prediction)
        if said is not None and (group := self._class(said)) is not None:
            group.predictions += 1
        for group in (self.whole, *self._around(prediction)):
            group.predictions += 1

    def labelled(self, outcome: Outcome) -> None:
        """A label, a correction, a revocation."""
        self._changed = True
        groups = [self.whole, *self._around(outcome)]
        for label, sign in ((outcome.replaced, -1), (outcome.label, 1)):
            if label is None:
                continue
            good = self._good(outcome, label)
            if good is None:
                continue
            own = None if self.regression else self._class(class_key(label))
            for group in (*groups, *([own] if own is not None else [])):
                group.labels += sign
                group.good += sign * good

    def _good(self, outcome: Outcome, label: Value) -> int | None:
        if not self.regression:
            return int(said_class(outcome.prediction) == class_key(label))
        error = abs(as_number(label) - as_number(outcome.prediction))
        return round(error * _ONE) if isfinite(error) else None

    def _around(self, prediction: Prediction) -> Iterator[Group]:
        for name, formula in self._inside.items():
            if formula(prediction.features):
                yield self.slices[name]

    def _class(self, name: str) -> Group | None:
        if name not in self.classes and len(self.classes) < MOST_CLASSES:
            self.classes[name] = Group()
        return self.classes.get(name)

    def figure(self, group: Group) -> float | None:
        """Recall, accuracy or mean absolute error; None: fewer labels than the declared least."""
        if group.labels < max(1, self.least):
            return None
        return group.good / group.labels / (_ONE if self.regression else 1)

    def covered(self) -> Covered:
        """All that is kept, as it is now."""
        return Covered(self.classes, self.slices, self.whole, self.least)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One entry."""
        if self._changed:
            self._changed = False
            yield "coverage", msgspec.msgpack.encode(self.covered())

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        if "coverage" in entries:
            saved = msgspec.msgpack.decode(entries["coverage"], type=Covered)
            self.classes, self.slices, self.whole = saved.classes, saved.slices, saved.whole

    def summary(self) -> dict[str, Any]:
        """What `run --json` prints of it."""
        name = "mae" if self.regression else "accuracy"
        return {
            "minimum_support": self.least,
            "classes": {c: self._told(group, "recall") for c, group in self.classes.items()},
            "slices": {s: self._told(group, name) for s, group in self.slices.items()},
        }

    def _told(self, group: Group, name: str) -> dict[str, Any]:
        found = self.figure(group)
        counts = {"predictions": group.predictions, "labels": group.labels}
        return {**counts, "enough": found is not None, name: found}


class CoverageRow(msgspec.Struct, frozen=True):
    """A class or a slice in words."""

    kind: str
    name: str
    predictions: int
    labels: int
    share: str
    figure: str
    enough: bool


def coverage_rows(coverage: Coverage) -> list[CoverageRow]:
    """Classes, then slices, as declared. The share is of all labels, or of the slice's predictions."""
    labels = sum(group.labels for group in coverage.classes.values())
    rows = [_row("class", name, g, labels, coverage) for name, g in coverage.classes.items()]
    slices = coverage.slices.items()
    return rows + [_row("slice", name, g, g.predictions, coverage) for name, g in slices]


def _row(kind: str, name: str, group: Group, of: int, coverage: Coverage) -> CoverageRow:
    found = coverage.figure(group)
    if found is None:
        text = f"fewer than {coverage.least} labels"
    else:
        text = number(found) if coverage.regression else f"{100 * found:.1f} %"
    part = share(group.labels, of)
    return CoverageRow(kind, name, group.predictions, group.labels, part, text, found is not None)
