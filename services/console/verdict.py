"""Whether a stream needs a model at all: one sentence, alike in terminal, `--json` and page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from services.console.contest import PUBLISHED
from services.console.timeline import Point, half_width
from services.console.words import counted, number

if TYPE_CHECKING:
    from services.console.core import Board

_ANSWERS = 0.99
"""Share of the labels that a rule has to have answered: one that is often silent replaces nothing."""
_UNLEARNED = {
    "majority": "saying the most frequent class so far",
    "mean": "saying the mean label so far",
    "no_change": "saying the newest known label again",
}


class Verdict(msgspec.Struct, frozen=True):
    """`needed`: whether a model is; None: it cannot be told yet. `enough`: the baseline that does
    better than what was published. `ahead_by`: how far published is ahead of the baseline `against`, in
    accuracy or mean absolute error on the same labels (negative: behind); `sure`: half of its 95 %
    interval.
    """

    needed: bool | None
    enough: str | None
    against: str | None
    ahead_by: float | None
    sure: float | None
    labels: int
    text: str


class _Rival(NamedTuple):
    name: str
    n: int
    value: float
    ahead_by: float
    sure: float | None

    @property
    def is_behind(self) -> bool:
        """Published is ahead of it, beyond chance."""
        return self.sure is not None and self.ahead_by > self.sure

    @property
    def is_ahead(self) -> bool:
        """It is ahead of what was published, beyond chance."""
        return self.sure is not None and -self.ahead_by > self.sure


def verdict_of(board: "Board") -> Verdict:
    """The verdict now: against the best baseline; where that is not told apart, against the best of
    those that learn nothing.
    """
    points = board.line() or [board.point()]
    labels = points[-1].sums[PUBLISHED][0]
    rivals = _rivals(board, points)
    if not labels or not rivals:
        return Verdict(None, None, None, None, None, labels, "No label yet, so no verdict.")
    best = min(rivals, key=lambda rival: rival.ahead_by)
    plain = min((r for r in rivals if r.name != "linear"), key=lambda r: r.ahead_by, default=best)
    if not (best.is_ahead or plain.is_behind):
        best = plain
    said = _said(board, best)
    gap = _gap(board, abs(best.ahead_by))
    on = f"on {counted(best.n, 'label')}"
    if best.is_behind:
        needed, text = (
            True,
            f"The model pays: it is {gap}{_sure(board, best)} ahead of {said}, {on}.",
        )
    elif best.is_ahead and best.name != "linear":
        has = _value(board, best.value)
        text = f"A model is not needed: {said}, which learns nothing, has {has}, {gap}"
        needed, text = False, f"{text}{_sure(board, best)} better than what was published, {on}."
    elif best.is_ahead:
        text = f"A simple model would do: {said} is {gap}{_sure(board, best)} ahead"
        needed, text = True, f"{text} of what was published, {on}."
    else:
        text = f"Whether a model is needed cannot be told yet: {said} and what was published are {gap}"
        needed, text = None, f"{text}{_sure(board, best)} apart, {on}."
    enough = best.name if best.is_ahead else None
    return Verdict(needed, enough, best.name, best.ahead_by, best.sure, best.n, text)


def _rivals(board: "Board", points: Sequence[Point]) -> list[_Rival]:
    last = points[-1].sums
    least = max(1.0, _ANSWERS * last[PUBLISHED][0])
    rivals = []
    for name in board.contest.baselines:
        n, loss, gain = last[name]
        if n >= least:
            sure = half_width(points, name, 2)
            value = loss / n if board.contest.regression else 1 - loss / n
            rivals.append(_Rival(name, n, value, gain / n, sure and sure[0]))
    return rivals


def _said(board: "Board", rival: _Rival) -> str:
    if rival.name == "linear":
        return "the online linear model"
    if rival.name in _UNLEARNED:
        return _UNLEARNED[rival.name]
    rule = next(rule for rule in board.problem.evaluation.rules if rule.name == rival.name)
    return f"the rule `{rule.name}` ({rule.expression})"


def _value(board: "Board", value: float) -> str:
    if board.contest.regression:
        return f"a mean absolute error of {number(value)}"
    return f"{100 * value:.2f} % right"


def _gap(board: "Board", value: float) -> str:
    return number(value) if board.contest.regression else f"{100 * value:.2f} points"


def _sure(board: "Board", rival: _Rival) -> str:
    if rival.sure is None:
        return " (too few labels to say how sure)"
    return f" (± {_gap(board, rival.sure).removesuffix(' points')})"
