"""The offline comparison: coverage, autocorrelation, verdicts."""

import numpy as np
import pytest

from shared.evaluation.paired import compare_losses, inflation


def test_verdicts_follow_the_interval() -> None:
    r = np.random.default_rng(0)
    a, b = (r.random(4000) < 0.3) * 1.0, (r.random(4000) < 0.2) * 1.0
    better, worse, same = compare_losses(a, b), compare_losses(b, a), compare_losses(a, a)
    assert (better.verdict, worse.verdict, same.verdict) == ("better", "worse", "undecided")
    assert better.low < better.gain < better.high
    assert better.gain == pytest.approx((a - b).mean())
    assert compare_losses(a, b, least=0.2).verdict == "worse"


def test_runs_of_errors_widen_the_interval() -> None:
    r = np.random.default_rng(1)
    d = np.repeat((r.random(200) < 0.5) - 0.5, 20)
    plain, repeated = compare_losses(d[::20], np.zeros(200)), compare_losses(d, np.zeros(4000))
    assert 12 < repeated.kappa < 40  # the truth is 20
    assert repeated.high - repeated.low == pytest.approx(plain.high - plain.low, rel=0.5)


def test_the_interval_covers() -> None:
    r = np.random.default_rng(2)
    inside = 0
    for _ in range(200):
        x = r.normal(size=1000)
        for t in range(1, 1000):
            x[t] += 0.5 * x[t - 1]
        c = compare_losses(x, np.zeros(1000), 0.9)
        inside += c.low <= 0 <= c.high
    assert inside >= 165  # 90 % declared; the plain interval covers 65 %


def test_odd_inputs() -> None:
    assert compare_losses([], []).verdict == "undecided"
    assert compare_losses([1, np.nan, 1], [0, 0, np.inf]).rows == 1
    assert inflation(np.zeros(100)) == 1.0
    with pytest.raises(ValueError, match="same rows"):
        compare_losses([1, 2], [1])
