"""Outcomes become matrices, in event order, split by time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.trainer.selection import kept
from shared.errors import Reject
from shared.messages.labels import class_key
from shared.messages.types import Outcome, Value
from shared.models.arrival import unpack_arrival, view_width
from shared.models.rows import matrix
from shared.models.said import Said, unpack_many
from shared.problem.spec import Selection

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int64] | npt.NDArray[np.float64]

WINDOW = Selection()


@dataclass(frozen=True)
class Shape:
    """What the rows are read against: `classes` empty is a regression; pool columns and members."""

    features: tuple[str, ...]
    classes: tuple[Value, ...]
    n_base: int
    n_members: int
    false_discovery: float | None = None
    """The share of irrelevant features among those that a candidate is given; None: it is given all."""

    @property
    def regression(self) -> bool:
        """Whether numbers are predicted."""
        return not self.classes

    @property
    def width(self) -> int:
        """K: values per expert."""
        return 1 if self.regression else max(2, len(self.classes))


@dataclass(frozen=True)
class Dataset:
    """n rows in event order.

    `x` [n, d]; `view` [n, W]: how the events looked when they came (`shared/models/arrival.py`); `y`
    class indices or numbers; `said` [n, E, K] what the base experts and `anchors` said then;
    `published` [n, K] the champion's probabilities or [n, 1] its number; `answered` [n] the class index
    that it published (-1: none). `at`/`known_at` seconds: event time, label arrival.
    `left_out`: why rows are missing, with counts.
    """

    x: F64
    view: F64
    y: Labels
    said: F32
    anchors: tuple[str, ...]
    published: F64
    answered: I64
    at: F64
    known_at: F64
    rows: list[Outcome]
    left_out: dict[str, int]

    @property
    def digest(self) -> str:
        """SHA-256 of the content: which rows, what was known of them, what was said of them."""
        digest = sha256("\n".join(row.id for row in self.rows).encode())
        for part in (self.x, self.view, self.y, self.said, self.published, self.at, self.known_at):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Split:
    """Row numbers: `train` was labelled before the first `held` event; what lies between is neither."""

    train: I64
    embargo: I64
    held: I64


def classes_of(outcomes: Sequence[Outcome], declared: Sequence[Value]) -> tuple[Value, ...]:
    """The classes in the pool's column order: declared first, then as the learner met them.

    Undeclared ones are read off the newest probabilities (their keys are in column order), then off
    later labels.
    """
    seen = {class_key(value): value for value in declared}
    values = {class_key(o.label): o.label for o in outcomes if o.label is not None}
    if outcomes and outcomes[-1].probabilities:
        for key in outcomes[-1].probabilities:
            if key in values:
                seen.setdefault(key, values[key])
    for key, value in values.items():
        seen.setdefault(key, value)
    return tuple(seen.values())


def build(
    outcomes: Sequence[Outcome],
    shape: Shape,
    most_rows: int,
    selection: Selection = WINDOW,
    seed: int = 0,
) -> Dataset:
    """At most `most_rows` usable rows, by `selection`; the last correction of a label counts."""
    rows, left_out = _usable(outcomes, shape)
    left_out["beyond the row budget"] = max(0, len(rows) - most_rows)
    rows = [rows[i] for i in kept(rows, most_rows, selection, seed, shape.regression)]
    at = np.array([_seconds(row.time) for row in rows])
    order = np.argsort(at, kind="stable")
    blocks = list(_read([rows[i] for i in order], shape))
    places = np.sort(np.concatenate([np.zeros(0, np.int64), *(block.places for block in blocks)]))
    left_out["unreadable expert answers"] = len(rows) - len(places)
    rows, at = [rows[i] for i in order[places]], at[order[places]]
    labelled = np.array([_seconds(row.labelled_at or row.time) for row in rows])
    anchors = next((b.said.anchors for b in blocks if b.places[-1] == places[-1]), ())
    published, answered = _published(rows, shape)
    return Dataset(
        x=matrix([row.features for row in rows], shape.features),
        view=_views(blocks, places, shape),
        y=_targets(rows, shape),
        said=_experts(blocks, places, anchors, shape),
        anchors=anchors,
        published=published,
        answered=answered,
        at=at,
        known_at=np.maximum(labelled, at),
        rows=rows,
        left_out={why: count for why, count in left_out.items() if count},
    )


def labels_of(y: Labels, shape: Shape) -> dict[str, float]:
    """How many rows have each class; of numbers the extremes and the quartiles."""
    if shape.regression:
        names = ("lowest", "quarter", "median", "three quarters", "highest")
        cuts = np.quantile(y, [0, 0.25, 0.5, 0.75, 1]).tolist()
        return {name: round(cut, 6) for name, cut in zip(names, cuts, strict=True)}
    counts = np.bincount(y.astype(np.int64), minlength=len(shape.classes)).tolist()
    return {class_key(value): n for value, n in zip(shape.classes, counts, strict=True)}


def split(at: F64, known_at: F64, share: float) -> Split:
    """Hold back the newest `share` of the rows: train on what was labelled before them."""
    held_rows = max(1, round(len(at) * share))
    return _apart(at, known_at, np.arange(len(at) - held_rows), np.arange(len(at))[-held_rows:])


def rolling(at: F64, known_at: F64, rows: I64, folds: int) -> list[Split]:
    """Rolling-origin validation: `folds` blocks of the newest of `rows`, each behind its own training.

    A block is 1 / (folds + 3) of the rows (one fold: the newest quarter); what was not labelled before
    a block begins is its embargo.
    """
    block = max(1, round(len(rows) / (folds + 3)))
    ends = [len(rows) - block * later for later in reversed(range(folds))]
    return [_apart(at, known_at, rows[: end - block], rows[end - block : end]) for end in ends]


def _apart(at: F64, known_at: F64, early: I64, held: I64) -> Split:
    ready = known_at[early] <= at[held[0]]
    return Split(early[ready], early[~ready], held)


def _usable(outcomes: Sequence[Outcome], shape: Shape) -> tuple[list[Outcome], dict[str, int]]:
    """First labels in their order, with the newest correction; the newest feature set only."""
    newest = {outcome.id: outcome for outcome in outcomes}
    first = {outcome.id: outcome for outcome in reversed(outcomes)}
    current = outcomes[-1].feature_set if outcomes else ""
    rows: list[Outcome] = []
    left_out = {"no label": 0, "another feature set": 0, "corrections of earlier rows": 0}
    left_out["corrections of earlier rows"] = len(outcomes) - len(newest)
    keys = {class_key(value) for value in shape.classes}
    for outcome in outcomes:
        if first[outcome.id] is not outcome:
            continue
        last = newest[outcome.id]
        if last.label is None or not (shape.regression or class_key(last.label) in keys):
            left_out["no label"] += 1
        elif outcome.feature_set != current:
            left_out["another feature set"] += 1
        else:
            rows.append(outcome if last is outcome else _corrected(outcome, last))
    return rows, left_out


def _corrected(first: Outcome, last: Outcome) -> Outcome:
    """The first outcome with the newest label; it counts as known when it was corrected."""
    fields = {name: getattr(first, name) for name in first.__struct_fields__}
    return Outcome(**{**fields, "label": last.label, "labelled_at": last.labelled_at})


class _Block(NamedTuple):
    """What was carried with some rows (their numbers), which list the same anchors and versions."""

    places: I64
    said: Said
    view: F32


def _read(rows: Sequence[Outcome], shape: Shape) -> Iterator[_Block]:
    """What can be read. A block that cannot be read as one is read row by row."""
    alike: dict[tuple[str, int], list[int]] = {}
    for i, row in enumerate(rows):
        text = row.said or ""
        alike.setdefault((text.partition("|")[0], len(text)), []).append(i)
    for places in alike.values():
        try:
            yield _unpacked(rows, places, shape)
        except Reject:
            for i in places if len(places) > 1 else ():
                with suppress(Reject):
                    yield _unpacked(rows, [i], shape)


def _unpacked(rows: Sequence[Outcome], places: Sequence[int], shape: Shape) -> _Block:
    texts = [rows[i].said or "" for i in places]
    said = unpack_many(texts, shape.n_base, shape.n_members, half=not shape.regression)
    if said.experts.shape[2] > shape.width:
        raise Reject("`said` holds more classes than there are", "said", "said")
    carried = [rows[i].arrival or "" for i in places]
    arrival = unpack_arrival(carried, view_width(len(shape.features)))
    return _Block(np.array(places), said, arrival.view)


def _views(blocks: Sequence[_Block], places: I64, shape: Shape) -> F64:
    out = np.empty((len(places), view_width(len(shape.features))))
    for block in blocks:
        out[np.searchsorted(places, block.places)] = block.view
    return out


def _experts(blocks: Sequence[_Block], places: I64, anchors: tuple[str, ...], shape: Shape) -> F32:
    """[n, E, K]. An anchor that did not exist yet says nothing (all classes alike, or the experts'
    mean), a class that was unknown then has probability 0: as in `Pool.learn_many`.
    """
    k = shape.width
    out = np.zeros((len(places), shape.n_base + len(anchors), k), np.float32)
    for held, said, _ in blocks:
        rows, experts = np.searchsorted(places, held), said.experts
        base, known = experts[:, : shape.n_base], experts.shape[2]
        out[rows, : shape.n_base, :known] = base
        for j, name in enumerate(anchors, shape.n_base):
            if name in said.anchors:
                out[rows, j, :known] = experts[:, shape.n_base + said.anchors.index(name)]
            else:
                out[rows, j] = base.mean(axis=(1, 2))[:, None] if shape.regression else 1 / k
    return out


def _targets(rows: Sequence[Outcome], shape: Shape) -> Labels:
    if shape.regression:
        return np.array([row.label for row in rows], np.float64)
    index = _index(shape)
    return np.array([index[class_key(row.label)] for row in rows], np.int64)


def _published(rows: Sequence[Outcome], shape: Shape) -> tuple[F64, I64]:
    if shape.regression:
        numbers = np.array([_number(row.prediction) for row in rows]).reshape(-1, 1)
        return numbers, np.full(len(rows), -1)
    index = _index(shape)
    chances = np.zeros((len(rows), shape.width))
    answered = np.full(len(rows), -1)
    for i, row in enumerate(rows):
        answered[i] = index.get(class_key(row.prediction), -1)
        _fill(chances[i], row.probabilities or {}, index)
    return chances, answered


def _fill(chances: F64, probabilities: Mapping[str, float], index: Mapping[str, int]) -> None:
    for key, p in probabilities.items():
        if key in index:
            chances[index[key]] = p


def _index(shape: Shape) -> dict[str, int]:
    return {class_key(value): i for i, value in enumerate(shape.classes)}


def _number(value: Value | None) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
