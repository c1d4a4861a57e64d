"""Fitting candidates, choosing among them on later rows, turning the chosen one into an anchor."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from services.trainer.dataset import Dataset, Labels, Shape, Split
from services.trainer.losses import Answers, Metric
from services.trainer.relevance import given_only, relevant
from services.trainer.search import Ask, Setup
from shared.models.anchors import anchor_from_sklearn
from shared.models.candidates import CANDIDATES, Estimator
from shared.models.packed import pack, unpack
from shared.models.port import Anchor

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

PARITY = 1e-6
"""Largest difference between the served form and the library's own numbers."""
PARITY_ROWS = 1_000
_KEPT = ("train_loss", "validation_loss", "late", "words")


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate: losses per row on the newest it was fitted on and on the later rows; or why not.

    `late` are the numbers of those later rows (of all folds), `words` [late, K] what it said of them,
    `joined_loss` [late] is that of the champion's experts together with it. `share` of the rows was
    fitted, in the last fold `fit_rows`.
    """

    setup: Setup
    seed: int
    share: float = 1.0
    fit_rows: int = 0
    train_loss: F64 | None = None
    validation_loss: F64 | None = None
    late: I64 | None = None
    words: F64 | None = None
    joined_loss: F64 | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """The family with its settings."""
        return self.setup.name

    @property
    def score(self) -> float:
        """Mean loss on the later rows beside the champion's experts, since that is how it would serve;
        infinite if it could not be fitted.
        """
        return float("inf") if self.joined_loss is None else float(self.joined_loss.mean())

    def to_bytes(self) -> bytes:
        """What was fitted, for a journal."""
        named = {name: getattr(self, name) for name in _KEPT}
        arrays = {name: array for name, array in named.items() if array is not None}
        return pack({**arrays, "fit_rows": np.array([self.fit_rows])})

    def restored(self, data: bytes) -> "Trial":
        """This trial as it was written down.

        Raises:
            UntrustedArtefact: not such bytes.
        """
        arrays: dict[str, Any] = {**unpack(data)}
        fit_rows = int(arrays.pop("fit_rows")[0])
        return replace(self, fit_rows=fit_rows, **arrays)


class Unfit(ValueError):
    """This candidate cannot be used; the text says why."""


def seed_of(*parts: str) -> int:
    """A seed that depends on the names alone."""
    return int.from_bytes(sha256("/".join(parts).encode()).digest()[:4], "big") >> 1


def try_out(
    ask: Ask, seed: int, data: Dataset, folds: Sequence[Split], shape: Shape, metric: Metric
) -> Trial:
    """Fit on the earlier rows of each fold, score on its later ones (labels that late are left out)."""
    blank = Trial(ask.setup, seed, ask.share)
    seen, unseen, words, early = [], [], [], np.zeros(0, np.int64)
    x = given(ask.setup, data)
    try:
        for fold in folds:
            early = fold.train[len(fold.train) - math.ceil(len(fold.train) * ask.share) :]
            estimator = fitted(ask.setup, seed, x[early], data.y[early], shape)
            fresh = early[-len(fold.held) :]  # as many rows tell the gap to the later ones
            then, later = (library_answers(estimator, x[r], shape) for r in (fresh, fold.held))
            seen.append(metric.loss(then, data.y[fresh]))
            unseen.append(metric.loss(later, data.y[fold.held]))
            words.append(later.mean)
    except Unfit as why:
        return replace(blank, fit_rows=len(early), problem=str(why))
    return replace(
        blank, fit_rows=len(early), train_loss=np.concatenate(seen),
        validation_loss=np.concatenate(unseen), late=np.concatenate([f.held for f in folds]),
        words=np.concatenate(words),
    )  # fmt: skip


def given(setup: Setup, data: Dataset) -> F64:
    """What the candidate sees of the rows: their features, or their view."""
    candidate = CANDIDATES.get(setup.family)
    return data.view if candidate is not None and candidate.on_view else data.x


def fitted(setup: Setup, seed: int, x: F64, y: Labels, shape: Shape) -> Estimator:
    """The candidate `setup`, fitted on what it is `given` of some rows.

    Raises:
        Unfit: there is no such candidate, or the library refuses these rows or settings.
    """
    candidate = CANDIDATES.get(setup.family)
    if candidate is None:
        known = ", ".join(CANDIDATES)
        raise Unfit(f"there is no candidate `{setup.family}`; known are: {known}")
    if len(y) == 0 or (not shape.regression and len(np.unique(y)) < 2):
        raise Unfit(f"{len(y)} rows of one class teach nothing")
    try:
        estimator = candidate.make(shape.regression, seed, shape.width, **dict(setup.settings))
        if shape.false_discovery is not None:
            estimator = given_only(relevant(x, y, shape), estimator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(x, y)
            library_answers(estimator, x[:1], shape)
    except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise Unfit(f"scikit-learn refused it: {_first_line(error)}") from error
    return estimator


def library_answers(estimator: Estimator, x: F64, shape: Shape) -> Answers:
    """What the library's own object says, in the columns of the pool."""
    if shape.regression:
        return Answers.of(np.asarray(estimator.predict(x), np.float64).reshape(-1, 1))
    mean = np.zeros((len(x), shape.width))
    mean[:, np.asarray(estimator.classes_, np.int64)] = estimator.predict_proba(x)
    return Answers.of(mean)


def served(setup: Setup, estimator: Estimator, x: F64, shape: Shape) -> Anchor:
    """The served form, checked against the library on the newest rows of `x`, some with holes.

    Raises:
        Unfit: it cannot be carried over, or says something else.
    """
    try:
        on_view = CANDIDATES[setup.family].on_view
        classes = () if shape.regression else range(shape.width)
        anchor = anchor_from_sklearn(estimator, classes, on_view)
    except ValueError as error:
        raise Unfit(f"it cannot be served: {error}") from error
    rows = x[-PARITY_ROWS:].copy()
    rows[::7, :: max(1, rows.shape[1] // 3)] = np.nan
    theirs = library_answers(estimator, rows, shape).mean
    apart = np.abs(anchor.predict_many(rows) - theirs) / np.maximum(1.0, np.abs(theirs))
    if not float(apart.max(initial=0.0)) <= PARITY:
        raise Unfit(f"its served form differs from scikit-learn's numbers by {apart.max():.2g}")
    return anchor


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
