"""One call for several detectors gives what one call each gives."""

import numpy as np

from shared.drift import Constancy, Ranks, Rates, Together
from shared.drift.port import F64


def rows(n: int) -> F64:
    """Three series: one with gaps, one that freezes, one that is constant and goes live."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(n, 3))
    x[rng.random(n) < 0.05, 0] = np.nan
    x[n // 2 : n // 2 + 60, 1] = 0.5
    x[:600, 2] = 1.0
    return x


def test_together_is_one_after_the_other() -> None:
    together = Constancy(3, 1e3), Rates(3), Ranks(3, 200)
    apart = Constancy(3, 1e3), Rates(3), Ranks(3, 200)
    at_once, breaks = Together(*together), 0
    for row in rows(2000):
        broken, missing, ranks = at_once.update(row)
        constancy, rates, ranking = apart
        assert constancy.update(row) == broken
        assert rates.update(np.isnan(row).astype(float)) == missing
        if broken:
            breaks += 1
            for each in (together, apart):
                each[2].reset(each[0].found > 0)
            ranks = together[2].update(row)
        assert ranking.update(row) == ranks
    assert breaks >= 2
    for mine, theirs in zip(together, apart, strict=True):
        for name, array in mine.snapshot().items():
            np.testing.assert_array_equal(array, theirs.snapshot()[name])


def test_many_zeros_are_zeros_one_by_one() -> None:
    many, single = Rates(1), Rates(1)
    for times in (1, 250, 37):
        many.zeros(times)
        many.update(np.ones(1))
        for _ in range(times):
            single.update(np.zeros(1))
        single.update(np.ones(1))
        for name, array in many.snapshot().items():
            np.testing.assert_array_equal(array, single.snapshot()[name])
