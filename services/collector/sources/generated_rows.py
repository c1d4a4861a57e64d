"""Made-up events: a block at a time, each block from its own seed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from services.collector.sources.row import Row
from shared.problem.generated import Generate, Gradual, LabelNoise, Recurring, SchemaBreak
from shared.problem.spec import Problem

F64 = npt.NDArray[np.float64]
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
"""Event time of the first event."""
BLOCK_ROWS = 1_000
_SCALED, _CONSTANT = 1_000.0, 0.5
_DIGITS = 6
_HEIGHT = 10.0  # of a regression's plane, so that the usual noise is small beside it


class Stretch(NamedTuple):
    """From the event `at` on the concept `after` holds; up to `full`, some events follow `before`."""

    at: int
    full: int
    before: int
    after: int


def stretches(generate: Generate) -> list[Stretch]:
    """Which concept holds where; concepts are counted from 0."""
    found, now, newest = [Stretch(0, 0, 0, 0)], 0, 0
    for change in generate.concepts():
        if isinstance(change, Recurring):
            after = 0
        else:
            newest += 1
            after = newest
        full = change.at + change.over if isinstance(change, Gradual) else change.at
        found.append(Stretch(change.at, full, now, after))
        now = after
    return found


def planes(generate: Generate, found: list[Stretch], classes: int) -> F64:
    """[concepts, classes, fields] unit vectors, each orthogonal to that of the concept which it
    follows, so that a change leaves as little as possible of what was learned.
    """
    count = 1 + max(stretch.after for stretch in found)
    drawn = np.random.default_rng([generate.seed, 1]).normal(
        size=(count, classes, generate.fields)
    )
    follows = {stretch.after: stretch.before for stretch in found if stretch.after}
    for concept in range(count):
        if concept in follows:
            before = drawn[follows[concept]]
            drawn[concept] -= (drawn[concept] * before).sum(1, keepdims=True) * before
        drawn[concept] /= np.linalg.norm(drawn[concept], axis=1, keepdims=True)
    return drawn


def generated_rows(problem: Problem, generate: Generate) -> Iterator[Row]:
    """The events that `generate` declares, the same at each call.

    An event has the fields `x0`, ..., and its id (`e0`, `e1`, ...) and time under the names that the
    problem file maps. `generate.changes` says what happens where.
    """
    labels = problem.label.classes or (None if problem.task == "regression" else [0, 1])
    found = stretches(generate)
    count = 1 if labels is None or len(labels) == 2 else len(labels)
    concepts = planes(generate, found, count)
    for first in range(0, generate.rows, BLOCK_ROWS):
        n = np.arange(first, min(first + BLOCK_ROWS, generate.rows))
        draw = np.random.default_rng([generate.seed, 0, first // BLOCK_ROWS])
        x = draw.random((BLOCK_ROWS, generate.fields)).round(_DIGITS)[: len(n)]
        turn, luck = draw.random((2, BLOCK_ROWS))[:, : len(n)]
        blind = draw.random(BLOCK_ROWS)[: len(n)]
        height = np.einsum("nf,ncf->nc", x - 0.5, concepts[_concept(n, turn, found)])
        noisy = luck < _noise(n, generate, 0.0 if labels is None else generate.noise)
        if labels is None:
            spread = draw.normal(size=BLOCK_ROWS)[: len(n)] * generate.noise
            numbers = np.where(noisy, blind - 0.5, height[:, 0]) * _HEIGHT + spread
            said: list[Any] = numbers.round(_DIGITS).tolist()
        else:
            best = (height[:, 0] > 0).astype(int) if count == 1 else height.argmax(1)
            best = np.where(noisy, (blind * len(labels)).astype(int), best)
            said = [labels[place] for place in best]
        yield from _rows(problem, generate, n, x, said)


def _concept(n: npt.NDArray[np.int64], turn: F64, found: list[Stretch]) -> npt.NDArray[np.int64]:
    """The concept that each event follows."""
    concept = np.zeros(len(n), np.int64)
    for stretch in found:
        share = (n - stretch.at + 1) / max(stretch.full - stretch.at, 1)
        gone_over = np.where(turn < share, stretch.after, stretch.before)
        concept = np.where(n >= stretch.at, gone_over, concept)
    return concept


def _noise(n: npt.NDArray[np.int64], generate: Generate, usual: float) -> F64:
    """Each event's chance of a label that is drawn blindly."""
    share = np.full(len(n), usual)
    for change in generate.changes:
        if isinstance(change, LabelNoise):
            end = generate.rows if change.until is None else change.until
            share[(n >= change.at) & (n < end)] = change.share
    return share


def _rows(
    problem: Problem, generate: Generate, n: npt.NDArray[np.int64], x: F64, labels: list[Any]
) -> Iterator[Row]:
    breaks = [change for change in generate.changes if isinstance(change, SchemaBreak)]
    events, encode, names = problem.events, msgspec.json.Encoder().encode, generate.names
    for number, values, label in zip(n.tolist(), x.tolist(), labels, strict=True):
        name, time = f"e{number}", BEGINNING + number * generate.every
        event: dict[str, Any] = dict(zip(names, values, strict=True))
        for change in breaks:
            if number >= change.at and (change.until is None or number < change.until):
                _broken(event, change)
        if events.id:
            event[events.id] = name
        if events.time:
            event[events.time] = time
        yield Row(encode(event), label, name if events.id else None, time if events.time else None)


def _broken(event: dict[str, Any], change: SchemaBreak) -> None:
    value = event[change.field]
    if change.becomes == "missing":
        del event[change.field]
    elif change.becomes == "constant":
        event[change.field] = _CONSTANT
    elif change.becomes == "scaled":
        event[change.field] = value * _SCALED
    else:
        event[change.field] = f"{value} units"
