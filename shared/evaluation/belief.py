"""What a version's stated doubt is worth: its expected loss, from its own probabilities or widths.

For classes the stated probability of the answer is recalibrated on matured labels (logistic in its
log odds; what NannyML calls confidence-based performance estimation, CBPE). For numbers the expected
absolute error is the half width of the stated interval times what widths were worth. Both see a shift
of the inputs only as far as the version is less sure there; neither can see that the labels' meaning
changed (P(y|x)) before labels come.
"""

from datetime import datetime
from math import exp, log
from typing import NamedTuple

import msgspec

MEMORY = 3_000
"""Labels after which one counts for 1/e."""
REFIT = 128
MOST_FITS = 16
"""Fits that are kept, so that a late label meets the one in force when its event was scored."""
LEAST_STATED = 0.001
"""Nobody is believed to be surer than this."""
BINS = 64
SPAN = 8.0
"""Log odds are cut into bins from -SPAN to SPAN."""
ROUNDS = 16
LARGEST_STEP, SETTLED = 1.0, 1e-6
"""In a, and in b four times as far from nought: Newton's method overshoots where all is sure."""
RIDGE_OFFSET, RIDGE_SLOPE = 2.0, 30.0
"""Pull towards a = 0, b = 1: the stated probabilities as they are."""


class Fit(msgspec.Struct, array_like=True, frozen=True):
    """In force for events after `since`. Classes: P(right) = s(a + b logit). Numbers: E|error| = b h,
    with variance `noise` h^2. `var_a`, `cov`, `var_b`: how sure a and b are.
    """

    since: datetime
    a: float
    b: float
    var_a: float
    cov: float
    var_b: float
    noise: float = 0.0


class Expected(NamedTuple):
    """The expected loss of one answer, its variance, and how it moves with a and b."""

    loss: float
    variance: float
    by_a: float
    by_b: float


class Belief(msgspec.Struct):
    """Folds (score, loss) pairs in label order; the loss of classes is 0 or 1. `score`: for classes log
    odds, for numbers the half width of the interval. State: 128 numbers and 16 fits.
    """

    numbers: bool
    refit: int = REFIT
    seen: list[float] = []
    good: list[float] = []
    labels: int = 0
    fits: list[Fit] = []

    def learn(self, score: float, loss: float, now: datetime) -> None:
        """One label; `now` is the time of the newest event that was scored."""
        if not self.seen:
            width = 3 if self.numbers else BINS
            self.seen, self.good = [0.0] * width, [0.0] * width
        if self.numbers:
            for i, x in enumerate((score, score * score, score * loss)):
                self.seen[i] += x
            self.good[0] += loss
            self.good[1] += loss * loss
        else:
            place = _bin(score)
            self.seen[place] += 1.0
            self.good[place] += 1.0 - loss
        self.labels += 1
        if self.labels % self.refit == 0:
            self.fits = [*self.fits[1 - MOST_FITS :], self._fit(now)]
            keep = exp(-self.refit / MEMORY)
            self.seen = [x * keep for x in self.seen]
            self.good = [x * keep for x in self.good]

    def at(self, time: datetime) -> Fit | None:
        """The fit in force for an event of this time; None: none yet, or none any more."""
        return next((fit for fit in reversed(self.fits) if fit.since < time), None)

    @property
    def newest(self) -> Fit | None:
        """The fit by all labels so far."""
        return self.fits[-1] if self.fits else None

    def _fit(self, now: datetime) -> Fit:
        return self._widths(now) if self.numbers else self._chances(now)

    def _widths(self, now: datetime) -> Fit:
        sum_h, sum_hh, sum_hl = self.seen
        b = self.good[0] / sum_h
        noise = max(self.good[1] - 2 * b * sum_hl + b * b * sum_hh, 0.0) / sum_hh
        return Fit(now, 0.0, b, 0.0, 0.0, noise * sum_hh / (sum_h * sum_h), noise)

    def _chances(self, now: datetime) -> Fit:
        """Newton's method on the binned log odds."""
        last = self.newest
        a, b = (0.0, 1.0) if last is None else (last.a, last.b)
        filled = [
            (_middle(i), n, k)
            for i, (n, k) in enumerate(zip(self.seen, self.good, strict=True))
            if n > 0
        ]
        for _ in range(ROUNDS):
            ga, gb = -RIDGE_OFFSET * a, RIDGE_SLOPE * (1.0 - b)
            haa, hab, hbb = RIDGE_OFFSET, 0.0, RIDGE_SLOPE
            for x, n, k in filled:
                p = _logistic(a + b * x)
                ga += k - n * p
                gb += (k - n * p) * x
                w = n * p * (1.0 - p)
                haa, hab, hbb = haa + w, hab + w * x, hbb + w * x * x
            det = haa * hbb - hab * hab
            da, db = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
            short = min(1.0, LARGEST_STEP / max(abs(da), 4 * abs(db), LARGEST_STEP))
            a, b = a + short * da, b + short * db
            if abs(da) + abs(db) < SETTLED:
                break
        return Fit(now, a, b, hbb / det, -hab / det, haa / det)

    def expected(self, score: float, fit: Fit) -> Expected:
        """Of an answer with this score."""
        if self.numbers:
            return Expected(fit.b * score, fit.noise * score * score, 0.0, score)
        x = _middle(_bin(score))
        p = _logistic(fit.a + fit.b * x)
        w = p * (1.0 - p)
        return Expected(1.0 - p, w, -w, -w * x)


def log_odds(stated: float) -> float:
    """Of a stated probability."""
    p = min(max(stated, LEAST_STATED), 1.0 - LEAST_STATED)
    return log(p / (1.0 - p))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + exp(-min(max(x, -30.0), 30.0)))


def _bin(score: float) -> int:
    return min(max(int((score + SPAN) / (2 * SPAN) * BINS), 0), BINS - 1)


def _middle(place: int) -> float:
    return (place + 0.5) * (2 * SPAN / BINS) - SPAN
