"""Target encoding: against plain sums, and against looking ahead; through the pool's own stages."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models import targets as code
from shared.models.codec import from_bytes, to_bytes
from shared.models.pool import Pool
from shared.models.port import F64, Labels, Task
from shared.models.targets import MEMORY, PRIOR_MEMORY, Targets

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
K = {"binary": 2, "multiclass": 3, "regression": 2}


def faded(values: Sequence[float], memory: float) -> tuple[float, float]:
    """Labels and their mean, the slow way: every label's weight, one by one."""
    weights = np.ones(0)
    for n in range(1, len(values) + 1):
        part = 1 / min(n, memory)
        weights = np.append(weights * (1 - part), part)
    return min(len(values), memory), float(weights @ np.array(values)) if len(values) else 0.0


def by_hand(codes: F64, y: Labels, asked: float, task: Task, smoothing: float) -> list[float]:
    said = {"binary": [1], "multiclass": [0, 1, 2], "regression": [None]}[task]
    found = []
    for place in said:
        values = y.astype(float) if place is None else (y == place).astype(float)
        _, prior = faded(values.tolist(), PRIOR_MEMORY)
        n, mean = faded(values[codes == asked].tolist(), MEMORY)
        found.append((n * mean + smoothing * prior) / (n + smoothing))
    return found


@pytest.mark.parametrize("task", TASKS)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 99), n=st.integers(1, 60))
def test_it_is_the_smoothed_faded_mean(task: Task, seed: int, n: int) -> None:
    draw = np.random.default_rng(seed)
    codes = draw.choice([3.0, 5.0, np.nan], n)
    y = draw.normal(size=n) if task == "regression" else draw.integers(0, K[task], n)
    one = Targets(task, K[task], [4.0])
    one.learn_many(codes[:, None], y)
    for asked in (3.0, 5.0, 7.0):
        found = one.encode(np.array([[asked]]))[0]
        assert found == pytest.approx(by_hand(codes, y, asked, task, 4.0), abs=1e-12)
    assert np.isnan(one.encode(np.array([[np.nan]]))).all(), "a missing category is missing"


def test_old_labels_fade() -> None:
    one = Targets("binary", 2, [1.0])
    one.learn_many(np.ones((500, 1)), np.repeat([0, 1], [250, 250]))
    assert by_hand(np.ones(500), np.repeat([0, 1], [250, 250]), 1.0, "binary", 1.0) == (
        pytest.approx(one.encode(np.ones((1, 1)))[0])
    )
    assert one.encode(np.ones((1, 1)))[0, 0] > 0.7


def test_unknown_categories_and_no_label_at_all() -> None:
    one = Targets("regression", 2, [1.0, 1.0])
    assert np.isnan(one.encode(np.ones((1, 2)))).all(), "nothing is known before the first label"
    one.learn_many(np.array([[1.0, 2.0]]), np.array([6.0]))
    one.learn_many(np.array([[np.nan, np.nan]]), np.array([0.0]))
    assert one.encode(np.array([[9.0, 2.0]]))[0].tolist() == [3.0, 4.5]


def test_the_categories_that_were_silent_longest_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(code, "MOST", 3)
    one = Targets("regression", 2, [1.0])
    for category, label in ((1, 9), (2, 9), (3, 9), (1, 9), (4, 9)):
        one.learn_many(np.array([[float(category)]]), np.array([float(label)]))
    one.learn_many(np.array([[np.nan]]), np.array([0.0]))
    known = one.encode(np.array([[1.0], [2.0], [3.0], [4.0]]))[:, 0]
    assert (known > 7.5).tolist() == [True, False, True, True]


@pytest.mark.parametrize("task", TASKS)
def test_a_pool_takes_them_along(task: Task) -> None:
    draw = np.random.default_rng(1)
    codes, y = draw.integers(0, 50, (200, 2)) * 1.0, draw.integers(0, K[task], 200)
    one = Pool(task, 3, K[task], smoothing=[10.0, 2.0])
    assert one.targets is not None
    one.targets.learn_many(codes[:100], y[:100])
    two = from_bytes(to_bytes(one))
    for pool in (one, two):
        assert pool.targets is not None
        pool.targets.learn_many(codes[100:], y[100:])
    assert to_bytes(one) == to_bytes(two)
    assert two.targets is not None
    assert one.targets.encode(codes).tobytes() == two.targets.encode(codes).tobytes()
    assert one.memory_bound > Pool(task, 3, K[task]).memory_bound


def walked(codes: F64, y: Labels, delay: int, leaks: bool = False) -> F64:
    """What a pool says of each row, rows in blocks of 50, labels `delay` rows late; `leaks`: rows are
    encoded by all labels, their own and later ones too.
    """
    pool = Pool("binary", 1, 2, experts=("softmax", "counts"), smoothing=[10.0])
    targets, told, known = pool.targets, [], 0
    assert targets is not None
    if leaks:
        targets.learn_many(codes, y)
    seen = []
    for at in range(0, len(codes), 50):
        come = max(0, at - delay)
        for scored, x, start in [s for s in seen if known <= s[2] and s[2] + 50 <= come]:
            rows = slice(start, start + 50)
            pool.learn_many(
                x, y[rows], scored.said, {"1": scored.by_version["1"].members}, scored.arrival
            )
            if not leaks:
                targets.learn_many(codes[rows], y[rows])
            known = start + 50
        x = targets.encode(codes[at : at + 50])
        scored = pool.predict_many(x)
        seen.append((scored, x, at))
        told.append(scored.by_version["1"].mean)
    return np.concatenate(told)


@pytest.mark.parametrize("delay", [0, 170])
def test_random_labels_of_a_thousand_categories_score_at_chance(delay: int) -> None:
    """And a pool that looks ahead does not: such a test can fail."""
    draw, n = np.random.default_rng(2), 6_000
    codes, y = draw.integers(0, 1_000, (n, 1)) * 1.0, draw.integers(0, 2, n)
    said = walked(codes, y, delay)
    hits = said.argmax(axis=1) == y
    assert abs(hits.mean() - 0.5) < 4 * 0.5 / np.sqrt(n)
    assert -np.log(said[np.arange(n), y]).mean() > np.log(2) - 0.003
    leaked = walked(codes, y, delay, leaks=True)
    assert (leaked.argmax(axis=1) == y)[n // 2 :].mean() > 0.6


@pytest.mark.parametrize("delay", [0, 170])
def test_flipped_labels_change_nothing_before_they_come(delay: int) -> None:
    draw, n, k = np.random.default_rng(2), 1_000, 500
    codes, y = draw.integers(0, 40, (n, 1)) * 1.0, draw.integers(0, 2, n)
    flipped = np.concatenate([y[:k], 1 - y[k:]])
    one, two = walked(codes, y, delay), walked(codes, flipped, delay)
    assert one[: k + delay].tobytes() == two[: k + delay].tobytes()
    assert not np.array_equal(one[k + delay :], two[k + delay :])
