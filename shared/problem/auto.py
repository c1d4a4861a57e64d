"""Features that are made up from the fields: primitives stacked over the schema, within a budget.

After Kanter and Veeramachaneni, "Deep feature synthesis" (2015). Each is an ordinary feature, kept up
event by event: what one depth makes, the next one looks back upon. Which of them are worth anything is
found at training (`retraining.false_discovery`).
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import combinations, islice
from typing import NamedTuple

from shared.problem.derived import Auto, Expression, Feature, Lags, Window
from shared.problem.inputs import FieldSpec

_LONGEST_NAME = 64


class _Column(NamedTuple):
    """A number, and the kind of primitive that made it: the next one is to be of another."""

    name: str
    kind: str


def made_up(auto: Auto, fields: dict[str, FieldSpec], known: Sequence[Feature]) -> list[Feature]:
    """The features of `auto` that are not `known`; known ones use up its budget as well, so that what
    was made up once is not made up again.
    """
    taken = set(fields) | {c for name, spec in fields.items() for c in spec.columns(name)}
    declared = {column for feature in known for column in feature.columns()}
    found: list[Feature] = []
    there, left = taken | declared, auto.budget
    for feature in _candidates(auto, fields, there):
        columns = set(feature.columns())
        if columns & taken or len(columns) > left:
            continue
        left -= len(columns)
        taken |= columns
        if not columns & declared:
            there |= columns
            found.append(feature)
    return found


def _candidates(auto: Auto, fields: dict[str, FieldSpec], there: set[str]) -> Iterator[Feature]:
    """Breadth first: a small budget serves every field alike. What looks back looks at what is `there`
    by then.
    """
    numbers = [
        name
        for name, spec in fields.items()
        if spec.type in ("number", "integer") and spec.feature
    ]
    level = [_Column(name, "") for name in numbers]
    for depth in range(auto.depth):
        made: list[_Column] = []
        for feature in _level(auto, level, numbers if depth == 0 else []):
            yield feature
            made += [_Column(name, feature.kind) for name in feature.columns()]
        level = [column for column in made if column.name in there]


def _level(auto: Auto, level: Sequence[_Column], pairs: Sequence[str]) -> Iterator[Feature]:
    for column in level:
        if column.kind != "lags":
            yield Lags(kind="lags", field=column.name, by=auto.lags, difference=True)
    for span in (span for span in auto.spans if span > timedelta(0)):
        for column in level:
            if column.kind != "window":
                yield Window(
                    kind="window", field=column.name, of=["mean", "std", "trend"], span=span
                )
    for a, b in islice(combinations(pairs, 2), auto.budget):
        for name, formula in ((f"{a}_minus_{b}", f"{a} - {b}"), (f"{a}_per_{b}", f"{a} / {b}")):
            if len(name) <= _LONGEST_NAME:
                yield Expression(kind="expression", name=name, formula=formula)
