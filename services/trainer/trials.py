"""Fitting candidates, choosing among them on later rows, turning the chosen one into an anchor."""

import warnings
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from services.trainer.candidates import CANDIDATES, Estimator
from services.trainer.dataset import Dataset, Labels, Shape, split
from services.trainer.losses import Answers, Metric
from shared.models.anchors import anchor_from_sklearn
from shared.models.port import Anchor

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

VALIDATION = 0.25
"""Share of the training rows, the newest, on which candidates are compared."""
PARITY = 1e-6
"""Largest difference between the served form and the library's own numbers."""
PARITY_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate: losses per row on the newest it was fitted on and on the later rows; or why not.

    `late` are the numbers of those later rows, `words` [late, K] what it said of them, `joined_loss`
    [late] is that of the champion's experts together with it.
    """

    name: str
    seed: int
    fit_rows: int = 0
    train_loss: F64 | None = None
    validation_loss: F64 | None = None
    late: I64 | None = None
    words: F64 | None = None
    joined_loss: F64 | None = None
    problem: str = ""

    @property
    def score(self) -> float:
        """Mean loss on the later rows beside the champion's experts, since that is how it would serve;
        infinite if it could not be fitted.
        """
        return float("inf") if self.joined_loss is None else float(self.joined_loss.mean())


class Unfit(ValueError):
    """This candidate cannot be used; the text says why."""


def seed_of(*parts: str) -> int:
    """A seed that depends on the names alone."""
    return int.from_bytes(sha256("/".join(parts).encode()).digest()[:4], "big") >> 1


def try_out(
    name: str, seed: int, data: Dataset, train: I64, shape: Shape, metric: Metric
) -> Trial:
    """Fit on the earlier training rows, score on the later ones (labels that late are left out)."""
    plan = split(data.at[train], data.known_at[train], VALIDATION)
    early, late = train[plan.train], train[plan.held]
    try:
        estimator = fitted(name, seed, data.x[early], data.y[early], shape)
    except Unfit as why:
        return Trial(name, seed, len(early), problem=str(why))
    fresh = early[-len(late) :]  # as many rows tell the gap to the later ones
    then, later = (library_answers(estimator, data.x[rows], shape) for rows in (fresh, late))
    seen, unseen = metric.loss(then, data.y[fresh]), metric.loss(later, data.y[late])
    return Trial(name, seed, len(early), seen, unseen, late, later.mean)


def fitted(name: str, seed: int, x: F64, y: Labels, shape: Shape) -> Estimator:
    """The candidate `name`, fitted.

    Raises:
        Unfit: there is no such candidate, or the library refuses these rows.
    """
    candidate = CANDIDATES.get(name)
    if candidate is None:
        raise Unfit(f"there is no candidate `{name}`; known are: {', '.join(CANDIDATES)}")
    if len(y) == 0 or (not shape.regression and len(np.unique(y)) < 2):
        raise Unfit(f"{len(y)} rows of one class teach nothing")
    estimator = candidate.make(shape.regression, seed, shape.width)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return estimator.fit(x, y)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise Unfit(f"scikit-learn refused the rows: {_first_line(error)}") from error


def library_answers(estimator: Estimator, x: F64, shape: Shape) -> Answers:
    """What the library's own object says, in the columns of the pool."""
    if shape.regression:
        return Answers.of(np.asarray(estimator.predict(x), np.float64).reshape(-1, 1))
    mean = np.zeros((len(x), shape.width))
    mean[:, np.asarray(estimator.classes_, np.int64)] = estimator.predict_proba(x)
    return Answers.of(mean)


def served(estimator: Estimator, x: F64, shape: Shape) -> Anchor:
    """The served form, checked against the library on the newest rows of `x`, some with holes.

    Raises:
        Unfit: it cannot be carried over, or says something else.
    """
    try:
        anchor = anchor_from_sklearn(estimator, () if shape.regression else range(shape.width))
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
