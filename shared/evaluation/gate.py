"""The promotion gate: is the challenger better? Looked at after every pair, wrong at most alpha often.

Pairs are losses of champion and challenger on the same labelled event; d = champion - challenger,
clipped to [-1, 1]. Four bets give `K = mean_j exp(sum log(1 + lam_j (d - m)) / kappa)`, a mixture
betting e-process (Waudby-Smith & Ramdas, arXiv 2010.09686) whose log evidence is divided by `kappa`,
the variance inflation of block means: paired losses come in runs, and the untempered process promotes
five times too often on real streams. If E[d | past] <= m at every pair, P(ever K >= 1 / alpha) <= alpha
for any dependence and any number of looks (kappa >= 1 only makes K smaller). If only the long-run mean
is <= m this holds nearly, for dependence shorter than some 512 pairs. It does NOT hold against a
challenger that is better for thousands of events and worse later: raise `least_pairs` to 8 times the
longest regime (day, week). It is 2,048 because equal learners on real streams differ for a thousand
events on end: from 512 pairs on, up to 8.7 % of such contests end falsely (docs/DECISIONS.md).

A restart (the world has changed: what was seen before says little) forgets the pairs but not the debts:
the bets go on from min(1, K), which is throwing wealth away, so ONE alpha covers the contest whatever
the number of restarts and whoever asks for them.

Futility is the same process on -d against "the gain is at least delta". The interval shown is the
asymptotic confidence sequence (Waudby-Smith et al., arXiv 2103.06476) with the long-run variance; it
does not decide.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import exp, inf, isfinite, log, log1p, sqrt
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shared.evaluation.tally import Tally

BETS = (0.02, 0.06, 0.18, 0.54)
EVERY = 32
SCALE_PAIRS = 256
SCALE_QUANTILE = 0.95
TIGHTEST_AT = 2_000
"""Pairs at which the interval is tightest."""
LOG_CAP = 60.0

Decision = Literal["promote", "reject", "continue"]
VERDICTS: tuple[tuple[Decision, str], ...] = (
    ("continue", ""),
    ("promote", "better"),
    ("reject", "worse"),
    ("reject", "futility"),
    ("reject", "most_pairs"),
)
"""Every decision with its reason."""


@dataclass(frozen=True, slots=True)
class GateRule:
    """Thresholds. `scaled`: losses are no 0/1 errors (a number's error, a log loss): d is divided by
    the 95 % quantile of |d| over the first 256 pairs, which are then not used as evidence; delta and
    margin are in that unit. Without it a bet on differences of a hundredth could never grow.
    """

    alpha: float = 0.05
    beta: float = 0.05
    delta: float = 0.01
    margin: float = 0.0
    least_pairs: int = 2_048
    most_pairs: int = 20_000
    scaled: bool = False


@dataclass(frozen=True, slots=True)
class GateState:
    """The decision and everything it rests on; `as_dict` is what goes on the record."""

    decision: Decision
    reason: str
    pairs: int
    mean_gain: float
    low: float
    high: float
    e_value: float
    e_futility: float
    kappa: float
    scale: float
    rule: GateRule
    restarts: int = 0
    pairs_before: int = 0
    """Pairs that restarts have forgotten; they count towards `most_pairs` only."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; an interval that is not known yet is null."""
        out = asdict(self)
        for name in ("low", "high"):
            if not isfinite(out[name]):
                out[name] = None
        return out


class Gate:
    """One challenger against one champion. State: 40 numbers, and 256 until the scale is known.

    The decision changes at every 32nd pair only and, once not `continue`, is final.
    """

    def __init__(self, rule: GateRule | None = None) -> None:
        self.rule = rule or GateRule()
        self._restarts = 0
        self._before = 0
        self._begin(0.0, 0.0)
        self._scale = 0.0 if self.rule.scaled else 1.0
        self._first: list[float] = []
        self.state = self._look()

    def _begin(self, log_for: float, log_against: float) -> None:
        self._pairs = Tally()
        self._for = [log_for] * len(BETS)
        self._against = [log_against] * len(BETS)

    def restart(self) -> GateState:
        """Pairs from here on are another world's. Nothing happens before the first or after the end.

        `least_pairs` counts anew, `most_pairs` goes on counting.
        """
        if self._pairs.n and self.state.decision == "continue":
            self._restarts += 1
            self._before += self._pairs.n
            self._begin(debt(self._for), debt(self._against))
            self.state = self._look()
        return self.state

    def update(self, champion_loss: float, challenger_loss: float) -> GateState:
        """One pair, in event order; pairs that are not finite are left out. Returns the state."""
        d = champion_loss - challenger_loss
        if not isfinite(d) or self.state.decision != "continue":
            return self.state
        if self._scale == 0.0:
            self._find_scale(d)
            return self.state
        self._take(min(max(d / self._scale, -1.0), 1.0))
        if self._pairs.n % EVERY == 0:
            self.state = self._look()
        return self.state

    def _find_scale(self, d: float) -> None:
        self._first.append(d)
        if len(self._first) == SCALE_PAIRS:
            largest = float(np.quantile(np.abs(self._first), SCALE_QUANTILE))
            self._scale = largest if largest > 0 else 1.0
            self._first = []

    def _take(self, d: float) -> None:
        self._pairs.add(d)
        gain, loss = d - self.rule.margin, self.rule.delta - d
        for i, bet in enumerate(BETS):
            self._for[i] += log1p(bet * gain)
            self._against[i] += log1p(bet * loss)

    def _look(self) -> GateState:
        n, rule = self._pairs.n, self.rule
        past = (self._restarts, self._before)
        if n == 0:
            k, futile = evidence(self._for, 1.0), evidence(self._against, 1.0)
            return GateState(
                "continue", "", 0, 0.0, -inf, inf, k, futile, 1.0, self._scale, rule, *past
            )
        kappa, mean = self._pairs.kappa, self._pairs.mean
        half = half_width(n / kappa, self._pairs.variance, rule.alpha)
        k, futile = evidence(self._for, kappa), evidence(self._against, kappa)
        decision, reason = self._decide(k, futile, mean + half)
        low, high, unit = mean - half, mean + half, self._scale
        return GateState(
            decision, reason, n, mean * unit, low * unit, high * unit, k, futile, kappa, unit, rule,
            *past,
        )  # fmt: skip

    def _decide(self, k: float, futile: float, high: float) -> tuple[Decision, str]:
        rule = self.rule
        if k >= 1 / rule.alpha and self._pairs.n >= rule.least_pairs:
            return VERDICTS[1]
        if futile >= 1 / rule.beta and self._pairs.n >= rule.least_pairs:
            return VERDICTS[2] if high < 0 else VERDICTS[3]
        return VERDICTS[4] if self._before + self._pairs.n >= rule.most_pairs else VERDICTS[0]

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """The state as arrays; the rule is not in them."""
        total, squares, *blocks = self._pairs.numbers()
        numbers = [total, squares, self._scale, *self._for, *self._against, *blocks]
        s = self.state
        look = [s.mean_gain, s.low, s.high, s.e_value, s.e_futility, s.kappa, s.scale]
        verdict = VERDICTS.index((s.decision, s.reason))
        return {
            "counts": np.array(
                [self._pairs.n, s.pairs, verdict, self._restarts, self._before], np.int64
            ),
            "numbers": np.array(numbers),
            "look": np.array(look),
            "first": np.array(self._first, np.float64),
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Continue exactly; the rule must be the one that the snapshot was made under."""
        counts: list[int] = arrays["counts"].astype(np.int64).tolist()
        n, pairs, verdict, self._restarts, self._before = [*counts, 0, 0][:5]
        numbers: list[float] = arrays["numbers"].astype(np.float64).tolist()
        total, squares, self._scale, *rest = numbers
        k = len(BETS)
        self._for, self._against, blocks = rest[:k], rest[k : 2 * k], rest[2 * k :]
        self._pairs = Tally.of(n, [total, squares, *blocks])
        self._first = arrays["first"].astype(np.float64).tolist()
        decision, reason = VERDICTS[verdict]
        mean, low, high, k, futile, kappa, scale = arrays["look"].astype(np.float64).tolist()
        self.state = GateState(
            decision, reason, pairs, mean, low, high, k, futile, kappa, scale, self.rule,
            self._restarts, self._before,
        )  # fmt: skip


def evidence(logs: list[float], kappa: float) -> float:
    """Mean over the bets of exp(log evidence / kappa), each capped at e^60."""
    return sum(exp(min(value / kappa, LOG_CAP)) for value in logs) / len(logs)


def debt(logs: list[float]) -> float:
    """log min(1, K) of untempered bets: what a restart starts from."""
    top = max(logs)
    return min(0.0, top + log(sum(exp(value - top) for value in logs) / len(logs)))


def half_width(effective: float, variance: float, alpha: float) -> float:
    """Half width of the asymptotic confidence sequence at `effective` = n / kappa pairs.

    One-sided alpha each way, tightest near 2,000 pairs (arXiv 2103.06476, Robbins' normal mixture).
    """
    r2 = (-2 * log(2 * alpha) + log(1 - 2 * log(2 * alpha))) / TIGHTEST_AT
    s = effective * r2 + 1
    return sqrt(variance * 2 * s / (effective**2 * r2) * log(1 + sqrt(s) / (2 * alpha)))
