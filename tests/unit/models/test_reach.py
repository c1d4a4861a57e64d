"""No regressor's answer leaves the reach of the targets seen, whatever an expert says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.models.pool import Pool
from shared.models.reach import Reach

FINITE = st.floats(-1e6, 1e6)


@given(st.lists(FINITE, min_size=1, max_size=20), st.lists(FINITE, min_size=1, max_size=20))
def test_cut_to_twice_the_range_and_restored(targets: list[float], answers: list[float]) -> None:
    reach = Reach()
    reach.learn_many(np.array(targets))
    again = Reach()
    again.restore(reach.snapshot())
    said, expected = np.array(answers, np.float32), []
    least, largest = min(targets), max(targets)
    for answer in said.tolist():
        slack = largest - least
        expected.append(np.float32(min(max(answer, least - slack), largest + slack)))
    again.cut(said)
    assert np.allclose(said, expected, rtol=1e-6)


def test_before_the_first_target_nothing_is_cut() -> None:
    said = np.array([1e30, -1e30], np.float32)
    Reach().cut(said)
    assert said.tolist() == [np.float32(1e30), np.float32(-1e30)]


def test_features_of_a_large_scale_after_one_target() -> None:
    """River's tree said 126,479,600 here, and the pool 12,648,188, where targets are about 260."""
    r = np.random.default_rng(0)
    x = np.c_[r.normal(5_000, 1_000, 60), r.uniform(0, 1, 60), np.arange(60.0)]
    y = 247 + 0.01 * (x[:, 0] - 5_000) + 30 * x[:, 1]
    pool = Pool("regression", 3)
    for i in range(60):
        scored = pool.predict_many(x[i : i + 1])
        if i:
            answer, seen = scored.by_version[pool.champion].mean[0, 0], y[:i]
            slack = seen.max() - seen.min() + 1.0
            assert seen.min() - slack <= answer <= seen.max() + slack
        members = {version: verdict.members for version, verdict in scored.by_version.items()}
        pool.learn_many(x[i : i + 1], y[i : i + 1], scored.said, members, scored.arrival)


def test_a_river_model_that_overflows_says_a_number() -> None:
    """Its weights grow beyond single precision where features and targets are 1e15 large."""
    pool = Pool("regression", 1, experts=("river-tree",))
    for i in range(60):
        x, y = np.array([[1e15 * (-1) ** i]]), np.array([1e15 * (-1) ** (i // 2)])
        scored = pool.predict_many(x)
        assert np.isfinite(scored.said).all()
        members = {version: verdict.members for version, verdict in scored.by_version.items()}
        pool.learn_many(x, y, scored.said, members, scored.arrival)
