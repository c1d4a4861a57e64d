"""Accuracy on events whose labels have not come: estimated, with how far it may be off.

Each estimate is checked when labels come: blocks of matured events are estimated with the fit that was
in force when they were scored (`belief.py`), and compared with what was true. An interval is as wide as
the formula says times what these blocks showed to be needed, so an estimate that is often far off says
so by its width. Drift of P(y|x) is not seen before labels come: then the interval does not hold.
"""

from collections.abc import Mapping
from datetime import datetime
from math import ceil, sqrt
from typing import Any, NamedTuple

import msgspec

from shared.evaluation.belief import Belief, Fit, log_odds
from shared.evaluation.loss import loss
from shared.messages.labels import class_key
from shared.messages.types import Prediction

BLOCK = 500
"""Events of a block, and most unlabelled events that an estimate is about."""
MOST_BLOCKS = 40
LEAST_BLOCKS = 4
"""With fewer checked blocks the interval is wider, and no decision rests on it."""
SOONER = 32
"""Labels on which two versions differed until they are believed anew: these are few."""
FORGET = 1 / 1_024
"""Weight of the newest in the share of differences in which one of two is right."""
USUAL, CAUTIOUS = 1.96, 2.94
COVERAGE = 0.95

Answer = Mapping[str, Any]


def answers_of(prediction: Prediction) -> dict[str, Answer]:
    """What each version said of the event, by version."""
    mine = {
        "prediction": prediction.prediction,
        "probabilities": prediction.probabilities,
        "interval": prediction.interval,
    }
    return {prediction.model: mine, **(prediction.shadow or {})}


def score_of(answer: Answer) -> float | None:
    """How sure an answer is: log odds of its stated probability, or the half width of its interval
    (numbers); None: nothing was stated.
    """
    said, chances, interval = (answer.get(k) for k in ("prediction", "probabilities", "interval"))
    if said is None:
        return None
    if chances is not None:
        p = chances.get(class_key(said))
        return None if p is None else log_odds(float(p))
    half = (interval[1] - interval[0]) / 2 if interval is not None else 0.0
    return float(half) if half > 0 else None


def lost(answer: Answer, label: Any, numbers: bool) -> float | None:
    """1 for a wrong class, the absolute error of a number."""
    return loss("mae" if numbers else "accuracy", label, answer.get("prediction"), None)


class Sum(msgspec.Struct):
    """Expected losses, added up."""

    n: int = 0
    loss: float = 0.0
    variance: float = 0.0
    by: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """How the sum moves with a and b of one belief, then of the other."""

    def add(self, loss: float, variance: float, *by: float) -> None:
        """One event; `by` of one belief, of both, or of none."""
        self.n += 1
        self.loss += loss
        self.variance += variance
        ka, kb, ma, mb = self.by
        da, db, ea, eb = (*by, 0.0, 0.0, 0.0, 0.0)[:4]
        self.by = (ka + da, kb + db, ma + ea, mb + eb)

    def sd(self, *fits: Fit) -> float:
        """Of the mean: of what will be, and of a and b (`fits`, one for each pair in `by`)."""
        total = self.variance
        for place, fit in enumerate(fits):
            da, db = self.by[2 * place : 2 * place + 2]
            total += da * da * fit.var_a + 2 * da * db * fit.cov + db * db * fit.var_b
        return sqrt(max(total, 0.0)) / self.n if self.n else 0.0


class Check(msgspec.Struct):
    """Matured events in blocks: what was expected of them, and what came. Newest 40 blocks."""

    block: int = BLOCK
    open: Sum = msgspec.field(default_factory=Sum)
    true: float = 0.0
    off: list[float] = []
    """True less expected mean loss, by block."""
    z: list[float] = []
    """The same, in standard deviations as they were expected."""

    def take(self, actual: float, *fits: Fit) -> None:
        """The loss of the event that was just added to `open`."""
        self.true += actual
        if self.open.n < self.block:
            return
        off = (self.true - self.open.loss) / self.open.n
        sd = self.open.sd(*fits)
        self.off = [*self.off[1 - MOST_BLOCKS :], off]
        self.z = [*self.z[1 - MOST_BLOCKS :], abs(off) / sd if sd > 0 else 0.0]
        self.open, self.true = Sum(), 0.0

    @property
    def blocks(self) -> int:
        """Checked so far, the newest 40."""
        return len(self.z)

    @property
    def off_by(self) -> float | None:
        """Mean distance of estimate and truth over the checked blocks."""
        return sum(map(abs, self.off)) / len(self.off) if self.off else None

    @property
    def factor(self) -> float:
        """Standard deviations that hold 95 % of the checked blocks (split conformal), at least 1.96."""
        k = len(self.z)
        if k < LEAST_BLOCKS:
            return max([CAUTIOUS, *self.z])
        place = min(ceil(COVERAGE * (k + 1)), k)
        return max(USUAL, sorted(self.z)[place - 1])


class Estimate(NamedTuple):
    """Mean expected loss of `n` events, give or take `half` (95 %)."""

    n: int
    loss: float
    half: float
    blocks: int
    off_by: float | None


class Track(msgspec.Struct):
    """One version: what its stated doubt is worth, and how good that was."""

    belief: Belief
    check: Check = msgspec.field(default_factory=Check)

    @classmethod
    def of(cls, numbers: bool) -> "Track":
        """Nothing known yet."""
        return cls(Belief(numbers))

    def labelled(self, answer: Answer, label: Any, time: datetime, now: datetime) -> None:
        """A first label of an event of `time`; `now`: the time of the newest event scored."""
        said, actual = score_of(answer), lost(answer, label, self.belief.numbers)
        if said is None or actual is None:
            return
        fit = self.belief.at(time)
        if fit is not None:
            self.check.open.add(*self.belief.expected(said, fit))
            self.check.take(actual, fit)
        self.belief.learn(said, actual, now)

    def estimate(self, said: list[float]) -> Estimate | None:
        """Of events whose stated numbers are `said`; None: too few labels, or no event."""
        fit = self.belief.newest
        if fit is None or not said:
            return None
        total = Sum()
        for one in said:
            total.add(*self.belief.expected(one, fit))
        half = self.check.factor * total.sd(fit)
        return Estimate(total.n, total.loss / total.n, half, self.check.blocks, self.check.off_by)


class Pair(msgspec.Struct):
    """Two versions on the same events: how much more the newer one is expected to lose.

    Classes: where both say the same nothing is lost. Where they differ and one is right (`decided` of
    `differed`), which one it is goes by the difference of their log odds: as stated, if both are honest
    and err independently. Numbers: each by its own width, at most the distance of the two.
    """

    beliefs: list[Belief]
    check: Check
    open: Sum = msgspec.field(default_factory=Sum)
    decided: float = 0.0
    differed: float = 0.0

    @classmethod
    def of(cls, numbers: bool, block: int) -> "Pair":
        """Nothing known yet."""
        beliefs = [Belief(numbers, refit=SOONER) for _ in range(1 + numbers)]
        return cls(beliefs, Check(block))

    def predicted(self, newer: Answer, older: Answer) -> Estimate | None:
        """One event that both answered; an estimate at the end of each block."""
        fits = [belief.newest for belief in self.beliefs]
        if not self._add(self.open, newer, older, fits) or self.open.n < self.check.block:
            return None
        done, self.open = self.open, Sum()
        half = max([CAUTIOUS, *self.check.z]) * done.sd(*_known(fits))
        return Estimate(done.n, done.loss / done.n, half, self.check.blocks, self.check.off_by)

    def restart(self) -> None:
        """A new block of predictions; what was learned from labels stays."""
        self.open = Sum()

    def labelled(
        self, newer: Answer, older: Answer, label: Any, time: datetime, now: datetime
    ) -> None:
        """A first label of an event that both answered."""
        numbers = self.beliefs[0].numbers
        first, second = (lost(answer, label, numbers) for answer in (newer, older))
        scores = score_of(newer), score_of(older)
        if first is None or second is None or scores[0] is None or scores[1] is None:
            return
        fits = [belief.at(time) for belief in self.beliefs]
        if self._add(self.check.open, newer, older, fits):
            self.check.take(first - second, *_known(fits))
        if numbers:
            self.beliefs[0].learn(scores[0], first, now)
            self.beliefs[1].learn(scores[1], second, now)
        elif _differ(newer, older):
            self.differed += FORGET * (1 - self.differed)
            self.decided += FORGET * (float(first != second) - self.decided)
            if first != second:
                self.beliefs[0].learn(scores[0] - scores[1], first, now)

    def _add(self, total: Sum, newer: Answer, older: Answer, fits: list[Fit | None]) -> bool:
        """Whether anything can be said of the event."""
        mine, theirs, known = score_of(newer), score_of(older), _known(fits)
        if mine is None or theirs is None or len(known) < len(fits):
            return False
        if self.beliefs[0].numbers:
            a = self.beliefs[0].expected(mine, known[0])
            b = self.beliefs[1].expected(theirs, known[1])
            apart = abs(float(newer["prediction"]) - float(older["prediction"]))
            more = min(max(a.loss - b.loss, -apart), apart)
            total.add(more, apart * apart, a.by_a, a.by_b, -b.by_a, -b.by_b)
        elif _differ(newer, older):
            share = self.decided / self.differed
            wrong = self.beliefs[0].expected(mine - theirs, known[0])
            more = share * (2 * wrong.loss - 1)
            by = 2 * share * wrong.by_a, 2 * share * wrong.by_b
            total.add(more, max(share - more * more, 0.0), *by)
        else:
            total.add(0.0, 0.0)
        return True


def _known(fits: list[Fit | None]) -> list[Fit]:
    return [fit for fit in fits if fit is not None]


def _differ(newer: Answer, older: Answer) -> bool:
    return class_key(newer["prediction"]) != class_key(older["prediction"])
