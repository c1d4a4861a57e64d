"""Many contests of champion and challenger at once, each under a rule that decides who serves.

A contest is a row of differences d = loss(champion) - loss(challenger) of 0/1 losses: -1, 0 or 1. A
rule gives the number of pairs after which it promotes, 0 where it never does. `by_gate` is `Gate` for
three values: all that it looks at are counts, so a thousand contests cost what one costs pair by pair
(tests/unit/bench/test_contests.py holds the two to each other).
"""

from collections.abc import Callable, Mapping
from functools import partial
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from shared.evaluation.gate import BETS, EVERY, LOG_CAP, GateRule
from shared.evaluation.tally import BLOCKS, MIN_BLOCKS
from shared.models.port import F64

I64 = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int8]
"""[contests, pairs] of -1, 0, 1."""
Rule = Callable[[Pairs], I64]

CHUNK = 100
"""Contests in memory at a time."""
ALPHA = 0.05
FIXED_PAIRS = 10_000
PEEK_EVERY = 100
_Z = NormalDist().inv_cdf(1 - ALPHA)
_TINY = 1e-9


def by_gate(d: Pairs, rule: GateRule | None = None, tempered: bool = True) -> I64:
    """The product's own rule (`shared/evaluation/gate.py`); untempered: kappa is 1."""
    at, promoted = verdicts(d, rule or GateRule(), tempered)
    return np.where(promoted, at, 0)


def verdicts(d: Pairs, rule: GateRule, tempered: bool = True) -> tuple[I64, npt.NDArray[np.bool_]]:
    """Pairs at the decision (0: none by the end), and whether it was to promote."""
    up, down = (_counts(d == sign, EVERY) for sign in (1, -1))
    n = EVERY * np.arange(1, up.shape[1] + 1)
    kappa = _kappa(d, up - down, up + down, n) if tempered else np.ones_like(up, np.float64)
    k = _evidence(up, down, n, kappa, rule.margin, 1.0)
    futile = _evidence(up, down, n, kappa, rule.delta, -1.0)
    ready = n >= rule.least_pairs
    better = (k >= 1 / rule.alpha) & ready
    over = (futile >= 1 / rule.beta) & ready | (n >= rule.most_pairs)
    first = (better | over).argmax(axis=1)
    rows = np.arange(len(d))
    return np.where((better | over).any(axis=1), n[first], 0), better[rows, first]


def fixed(d: Pairs, pairs: int = FIXED_PAIRS) -> I64:
    """A z test, looked at once."""
    pairs = min(pairs, d.shape[1])
    return np.where(_z(d, pairs)[:, 0] > _Z, pairs, 0)


def peeked(d: Pairs, every: int = PEEK_EVERY) -> I64:
    """The same test, looked at over and over: what operators do, and what no table of it allows."""
    passed = _z(d, every) > _Z
    return np.where(passed.any(axis=1), every * (passed.argmax(axis=1) + 1), 0)


OURS = "headrace"
RULES: Mapping[str, Rule] = {
    OURS: by_gate,
    "the same from 512 pairs on": partial(by_gate, rule=GateRule(least_pairs=512)),
    "the same, not tempered": partial(by_gate, tempered=False),
    f"fixed test at {FIXED_PAIRS:,}": fixed,
    f"the test at every {PEEK_EVERY}th pair": peeked,
}


def decided(rule: Rule, d: Pairs) -> I64:
    """`rule` over all contests, a hundred at a time."""
    parts = [rule(d[start : start + CHUNK]) for start in range(0, len(d), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _counts(which: npt.NDArray[np.bool_], size: int) -> I64:
    """How many so far, at every `size`-th pair: [contests, pairs // size]."""
    k = which.shape[1] // size
    blocks = which[:, : k * size].reshape(len(which), k, size)
    counts: I64 = blocks.sum(axis=2, dtype=np.int64).cumsum(axis=1)
    return counts


def _evidence(up: I64, down: I64, n: I64, kappa: F64, least: float, sign: float) -> F64:
    """Mean over the bets of exp(sum log(1 + bet * sign * (d - least)) / kappa)."""
    total = np.zeros(kappa.shape)
    for bet in BETS:
        won, lost, drawn = (np.log1p(bet * sign * (value - least)) for value in (1, -1, 0))
        logs = up * won + down * lost + (n - up - down) * drawn
        total += np.exp(np.minimum(logs / kappa, LOG_CAP))
    return total / len(BETS)


def _kappa(d: Pairs, total: I64, squares: I64, n: I64) -> F64:
    """Variance inflation at every look, from the block means so far."""
    variance = np.maximum(squares / n - (total / n) ** 2, _TINY)
    worst = np.ones_like(variance)
    for size in BLOCKS:
        whole = d.shape[1] // size
        if whole < MIN_BLOCKS:
            continue
        means = d[:, : whole * size].reshape(len(d), whole, size).mean(axis=2, dtype=np.float64)
        k = np.arange(1, whole + 1)
        between = np.cumsum(means**2, axis=1) - np.cumsum(means, axis=1) ** 2 / k
        blocks = n // size
        there = blocks >= MIN_BLOCKS
        spread = between[:, blocks[there] - 1] / (blocks[there] - 1)
        worst[:, there] = np.maximum(worst[:, there], size * spread / variance[:, there])
    return worst


def _z(d: Pairs, every: int) -> F64:
    """The statistic at every `every`-th pair."""
    up, down = (_counts(d == sign, every) for sign in (1, -1))
    n = every * np.arange(1, up.shape[1] + 1)
    total = up - down
    z: F64 = total / np.sqrt(np.maximum(up + down - total**2 / n, _TINY))
    return z
