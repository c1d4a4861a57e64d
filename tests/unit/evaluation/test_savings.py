"""What a champion saved, beside sums taken at leisure."""

from math import log, sqrt

import numpy as np
import pytest

from shared.evaluation.savings import Savings


def taken(before: list[float], now: list[float]) -> Savings:
    savings = Savings()
    for one, other in zip(before, now, strict=True):
        savings.add(one, other)
    return savings


def test_sums_and_interval_are_those_of_a_slow_reckoning() -> None:
    r = np.random.default_rng(0)
    before, now = r.exponential(3, 1_000), r.exponential(2, 1_000)
    found = taken(before.tolist(), now.tolist()).as_dict()
    d = before - now
    assert found["pairs"] == 1_000
    assert found["saved"] == pytest.approx(d.sum())
    assert found["lost_before"] - found["lost"] == pytest.approx(found["saved"])
    kappa = 1.0
    for size in (8, 32):  # at least 16 whole blocks
        means = d[: len(d) // size * size].reshape(-1, size).mean(1)
        kappa = max(kappa, size * means.var(ddof=1) / d.var())
    n, spare = 1_000 / kappa, -2 * log(0.1)
    s = n * (spare + log(1 + spare)) / 2_000 + 1
    half = sqrt(d.var() * 2 * s / (n * (s - 1)) * log(1 + sqrt(s) / 0.1))
    assert found["high"] - found["saved"] == pytest.approx(1_000 * half)
    assert found["saved"] - found["low"] == pytest.approx(1_000 * half)


def test_one_large_loss_counts_wholly() -> None:
    """Unlike in the test that promotes, nothing is clipped."""
    assert taken([1.0, 900.0], [1.0, 1.0]).as_dict()["saved"] == 899


def test_it_goes_on_after_a_restore_and_says_nothing_of_nothing() -> None:
    whole = taken([1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0])
    half = Savings.load(taken([1.0, 0.0], [0.0, 0.0]).dump())
    half.add(1.0, 1.0)
    half.add(1.0, 0.0)
    assert half.dump() == whole.dump()
    assert Savings().as_dict() == {"pairs": 0, "saved": None, "low": None, "high": None}
