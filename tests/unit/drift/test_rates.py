"""The odds e-detector against a slow oracle; false alarms and delays; categories."""

import numpy as np
import pytest

from shared.drift.categories import Categories
from shared.drift.rates import ODDS, Rates
from tests.unit.drift.alarms import alarms


def slow_evidence(x: np.ndarray, n_ref: int, odds: tuple[float, ...]) -> np.ndarray:
    bets, out = np.zeros(len(odds)), np.zeros(len(x))
    for t in range(n_ref, len(x)):
        past = x[:t]
        q, rate = (past.sum() + 1) / (t + 4), past.mean()
        kappa = 1.0
        for b in (8, 32, 128):
            k = t // b
            if k >= 8 and rate * (1 - rate) > 0:
                means = past[: k * b].reshape(k, b).mean(1)
                kappa = max(kappa, b * means.var(ddof=1) / (rate * (1 - rate)))
        o = q / (1 - q) * np.array(odds)
        p1 = o / (1 + o)
        bets = (1 + bets) * (p1 / q if x[t] else (1 - p1) / (1 - q)) ** (1 / kappa)
        out[t] = bets.mean()
    return out


@pytest.mark.parametrize("two_sided", [False, True])
def test_it_is_the_oracle(two_sided: bool) -> None:
    x = (np.random.default_rng(0).random(1500) < 0.2) * 1.0
    x[700:1100] = np.repeat(x[700:800], 4)
    d, got = Rates(1, n_ref=200, two_sided=two_sided), []
    for v in x:
        d.update(np.array([v]))
        got.append(d.evidence[0])
    odds = ODDS + (tuple(1 / o for o in ODDS) if two_sided else ())
    assert np.array(got) == pytest.approx(slow_evidence(x, 200, odds), rel=1e-6)


def test_false_alarms_stay_near_the_budget() -> None:
    """300 series x 3,800 values: 114 expected at most at a budget of 10,000."""
    x = (np.random.default_rng(1).random((4000, 300)) < 0.2) * 1.0
    assert alarms(Rates(x.shape[1]), x, 10_000.0)[0] <= 140


@pytest.mark.parametrize(
    ("before", "after", "most"), [(0.1, 0.4, 90), (0.1, 0.2, 400), (0.01, 0.3, 45)]
)
def test_a_rise_is_found(before: float, after: float, most: int) -> None:
    u = np.random.default_rng(2).random((5000, 40))
    x = (u < np.where(np.arange(5000) < 3000, before, after)[:, None]) * 1.0
    _, first = alarms(Rates(x.shape[1]), x, 100_000.0)
    assert (first >= 3000).mean() > 0.9
    assert (first[first >= 3000] - 3000).mean() < most


def test_runs_of_errors_temper() -> None:
    x = np.repeat((np.random.default_rng(3).random((1000, 50)) < 0.2) * 1.0, 6, axis=0)
    d = Rates(50)
    for row in x:
        d.update(row)
    assert 4.5 < np.median(d.kappa) < 9  # the truth is 6
    assert alarms(Rates(x.shape[1]), x, 100_000.0)[0] <= 6  # 3 in budget


def test_rates_are_running_rates() -> None:
    d = Rates(2)
    for i in range(40):
        d.update(np.array([i % 2, 0.0]))
    assert d.rate == pytest.approx([21 / 44, 1 / 44])


def test_categories_see_a_new_mix_and_new_values() -> None:
    r = np.random.default_rng(4)
    c = Categories(("a", "b", "c"))
    for _ in range(3000):
        assert c.update(str(r.choice(["a", "b", "c"], p=[0.7, 0.2, 0.1]))) < 1e5
    worst = max(c.update(str(r.choice(["a", "b", "c"], p=[0.2, 0.7, 0.1]))) for _ in range(300))
    assert worst > 1e5
    c.reset()
    for _ in range(1200):
        c.update("a")
    assert max(c.update("z") for _ in range(30)) > 1e5
    assert max(c.named(), key=lambda k: c.named()[k]) in ("other", "a")
    again = Categories(("a", "b", "c"))
    again.restore(c.snapshot())
    assert again.update("z") == c.update("z")
