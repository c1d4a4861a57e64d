"""The rank e-detector against a slow oracle; its false alarms, its delays, odd data."""

import numpy as np
import pytest

from shared.drift.ranks import LOG_BETS, Ranks, uniform
from tests.unit.drift.alarms import alarms

MASK = (1 << 64) - 1


def slow_uniform(seed: int, series: int, counter: int) -> float:
    z = (seed * 0xD1342543DE82EF95 + series) & MASK
    z = (z * 0x2545F4914F6CDD1D + counter) & MASK
    z = (z * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return (z >> 11) / 2**53


def slow_evidence(x: np.ndarray, n_ref: int, seed: int = 1) -> np.ndarray:
    """One series, everything recomputed from the whole past at each value."""
    ref, out = x[:n_ref], np.zeros(len(x))
    edges = np.quantile(ref, np.arange(1, 64) / 64)
    bins = (x[:, None] > edges).sum(1)
    possible = np.r_[True, np.diff(edges) > 0, True] * 0.5

    def cdf(upto: int) -> np.ndarray:
        counts = np.bincount(bins[:upto], minlength=64) + possible
        return np.r_[0, np.cumsum(counts)] / counts.sum()

    start = cdf(n_ref)
    ranks = (start[bins[:n_ref]] + start[bins[:n_ref] + 1]) / 2
    kappa = 1.0
    for b in (8, 32, 128):
        k = n_ref // b
        if k >= 8 and ranks.var() > 0:
            means = ranks[: k * b].reshape(k, b).mean(1)
            kappa = max(kappa, b * means.var(ddof=1) / ranks.var())
    bets = np.zeros(12)
    for t in range(n_ref, len(x)):
        turned = (t - n_ref + 1) // 256  # how often the pool was renewed, at this value included
        pool = n_ref + max(0, 256 * (turned - 1) - 1) if turned > 1 else n_ref
        shares = cdf(pool)
        rank = shares[bins[t]] + slow_uniform(seed, 0, t - n_ref) * (
            shares[bins[t] + 1] - shares[bins[t]]
        )
        bets = (1 + bets) * np.exp(LOG_BETS[min(int(rank * 64), 63)] / kappa)
        out[t] = bets.mean()
    return out


@pytest.mark.parametrize("kind", ["normal", "discrete", "autocorrelated"])
def test_it_is_the_oracle(kind: str) -> None:
    r = np.random.default_rng(4)
    x = r.normal(size=1600)
    if kind == "discrete":
        x = np.round(x)
    if kind == "autocorrelated":
        for t in range(1, 1600):
            x[t] += 0.7 * x[t - 1]
    d = Ranks(1, n_ref=400)
    got = []
    for v in x:
        d.update(np.array([v]))
        got.append(d.evidence[0])
    assert np.array(got) == pytest.approx(slow_evidence(x, 400), rel=1e-6)


def test_uniforms_are_the_oracles_and_even() -> None:
    draws = [uniform(7, 3, i) for i in range(4000)]
    assert draws[:50] == [slow_uniform(7, 3, i) for i in range(50)]
    assert np.histogram(draws, 10, (0, 1))[0].min() > 330
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.05
    others = [uniform(7, 4, i) for i in range(4000)]
    assert abs(np.corrcoef(draws, others)[0, 1]) < 0.05


def test_every_bet_is_fair_on_uniform_ranks() -> None:
    assert np.exp(LOG_BETS).mean(0) == pytest.approx(np.ones(12))


def test_false_alarms_stay_near_the_budget() -> None:
    """400 series x 3,000 values after their reference: 120 expected at most at a budget of 10,000."""
    x = np.random.default_rng(0).normal(size=(4000, 400))
    count, _ = alarms(Ranks(x.shape[1], 1000), x, 10_000.0)
    assert count <= 150


@pytest.mark.parametrize(
    ("change", "most"), [("mean", 75), ("spread", 75), ("unit", 15), ("small mean", 230)]
)
def test_planted_changes_are_found(change: str, most: int) -> None:
    """Mean delays at a budget of 100,000 for one series; measured 37, 31, 3 and 104."""
    x = np.random.default_rng(1).normal(size=(4000, 40))
    x[2500:] = {
        "mean": x[2500:] + 1,
        "spread": x[2500:] * 2,
        "unit": x[2500:] * 1.8 + 32,
        "small mean": x[2500:] + 0.5,
    }[change]
    _, first = alarms(Ranks(x.shape[1], 1000), x, 100_000.0)
    assert (first >= 2500).mean() > 0.9
    assert (first[first >= 2500] - 2500).mean() < most


def test_autocorrelation_tempers() -> None:
    r = np.random.default_rng(2)
    x = r.normal(size=(5000, 60))
    for t in range(1, 5000):
        x[t] = 0.9 * x[t - 1] + np.sqrt(1 - 0.81) * x[t]
    count, _ = alarms(Ranks(x.shape[1], 2000), x, 10_000.0)
    assert count <= 60  # 18 in budget; without tempering each series alarms again and again
    d = Ranks(60, 2000)
    for row in x[:2001]:
        d.update(row)
    assert 8 < np.median(d.kappa) < 25  # the truth is 19


@pytest.mark.parametrize("kind", ["constant", "binary", "rare"])
def test_ties_do_not_alarm(kind: str) -> None:
    r = np.random.default_rng(3)
    x = {
        "constant": np.full((6000, 30), 3.0),
        "binary": (r.random((6000, 30)) < 0.3) * 1.0,
        "rare": (r.random((6000, 30)) < 0.001) * 1.0,
    }[kind]
    assert alarms(Ranks(x.shape[1], 1000), x, 100_000.0)[0] <= 4  # 1.5 expected


def test_the_reference_is_kept_for_the_unit_test() -> None:
    d = Ranks(2, n_ref=100)
    x = np.random.default_rng(5).normal(size=(150, 2))
    for row in x[:99]:
        d.update(row)
    assert d.reference(1) is None
    for row in x[99:]:
        d.update(row)
    assert d.reference(1) == pytest.approx(x[:100, 1])


def test_another_detectors_snapshot_is_refused() -> None:
    with pytest.raises(ValueError, match="other series"):
        Ranks(3).restore(Ranks(4).snapshot())
    with pytest.raises(ValueError, match="no array"):
        Ranks(3).restore({})
