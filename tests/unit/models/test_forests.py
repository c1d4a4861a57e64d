"""The tree experts: their parts against slow versions, their invariants, and that they learn."""

import math
from typing import Any

import numpy as np
import pytest

from shared.models import forest_kernels, mondrian, mondrian_kernels, regression_forest
from shared.models.draws import below, exponential, poisson, poisson_chances, seeded, uniform
from shared.models.forest import N_TREES, Forest
from shared.models.mondrian import MondrianForest
from shared.models.port import F64, Expert
from shared.models.regression_forest import RegressionForest
from tests.unit.models.streams import rows_of


def squares_stream(n: int, seed: int = 0) -> tuple[F64, Any]:
    """Two features; the class is the quadrant's parity, so no single feature helps."""
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 2))
    return x, ((x[:, 0] > 0) ^ (x[:, 1] > 0.3)).astype(np.int64)


def predictions(expert: Expert, x: F64, n_values: int) -> F64:
    out = np.empty((len(x), len(expert.names), n_values), np.float32)
    expert.predict_into(rows_of(x), out, 0)
    return out.astype(float)


def learn(expert: Expert, x: F64, y: Any) -> None:
    expert.learn_many(rows_of(x), y)


def test_draws_have_their_distributions_and_their_state_is_one_number() -> None:
    state = seeded(7)
    u = np.array([uniform(state) for _ in range(20000)])
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.01
    p = np.array([poisson(state, poisson_chances(6.0)) for _ in range(20000)])
    assert abs(p.mean() - 6) < 0.1 and abs(p.var() - 6) < 0.3
    assert abs(np.mean([exponential(state, 4.0) for _ in range(20000)]) - 0.25) < 0.01
    assert {below(state, 3) for _ in range(100)} == {0, 1, 2}
    twin = state.copy()
    assert [uniform(state) for _ in range(5)] == [uniform(twin) for _ in range(5)]


def entropy(counts: Any) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def test_gain_is_the_fall_of_entropy() -> None:
    rng = np.random.default_rng(0)
    for most in [30] * 50 + [5000] * 50:  # small counts are looked up
        everything = rng.integers(2, most, 4).astype(np.float32)
        left = np.floor(everything * rng.random(4)).astype(np.float32)
        parts = np.stack([left, everything])
        right, n = everything - left, everything.sum()
        expected = 0.0
        if left.sum() >= 2 and right.sum() >= 2:
            expected = entropy(everything)
            expected -= (left.sum() * entropy(left) + right.sum() * entropy(right)) / n
        assert forest_kernels.gain(parts) == pytest.approx(expected, abs=1e-6)


def test_a_tree_of_the_forest_says_the_smoothed_counts_of_its_path() -> None:
    x, y = squares_stream(600)
    forest = Forest(2, 2, 1)
    learn(forest, x, y)
    trees, p = forest.trees, np.empty(2)
    for t in range(N_TREES):
        for row in x[:10]:
            j, slow = 0, np.full(2, 0.5)
            while True:
                slow = (trees.cnt[t, j] + slow) / (trees.cnt[t, j].sum() + 1.0)
                if trees.feat[t, j] < 0:
                    break
                j = trees.kid[t, j] + int(row[trees.feat[t, j]] > trees.thr[t, j])
            forest_kernels.proba(trees, t, row, p)
            np.testing.assert_allclose(p, slow, atol=1e-6)


def test_the_forest_learns_what_no_single_feature_tells_and_relearns_after_drift() -> None:
    x, y = squares_stream(6000)
    y[3000:] = 1 - y[3000:]
    forest = Forest(2, 2, 1)
    learn(forest, x[:2500], y[:2500])
    assert (predictions(forest, x[2500:3000], 2)[:, 0].argmax(1) == y[2500:3000]).mean() > 0.9
    learn(forest, x[2500:3400], y[2500:3400])
    assert forest.judged[:, 3].min() < 400, "some tree was replaced by its background tree"
    twin = Forest(2, 2, 1)
    twin.restore(forest.snapshot())  # with background trees under way
    learn(forest, x[3400:5500], y[3400:5500])
    learn(twin, x[3400:5500], y[3400:5500])
    later = predictions(forest, x[5500:], 2)
    np.testing.assert_array_equal(later, predictions(twin, x[5500:], 2))
    assert (later[:, 0].argmax(1) == y[5500:]).mean() > 0.88


def test_a_full_forest_stays_within_its_nodes() -> None:
    rng = np.random.default_rng(0)
    forest = Forest(3, 40, 1)  # many classes: few nodes
    nodes = forest.trees.feat.shape[1]
    x = rng.normal(size=(4000, 3))
    learn(forest, x, (np.abs(x[:, 0] * 20) % 40).astype(np.int64))
    assert forest.trees.size.max() <= nodes
    assert np.isfinite(predictions(forest, x[:50], 40)).all()


def reduction(left: F64, right: F64) -> float:
    both = np.r_[left, right]
    return float(1 - (len(left) * left.var() + len(right) * right.var()) / both.var() / len(both))


def test_reduction_is_the_share_of_variance_taken_away() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        left, right = rng.normal(size=9), rng.normal(size=14) + 1
        sums = np.array([[len(v), v.sum(), (v * v).sum()] for v in (left, right)])
        assert regression_forest._reduction(sums) == pytest.approx(reduction(left, right))
    assert regression_forest._reduction(np.array([[4.0, 1, 1], [9.0, 1, 1]])) == 0.0


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e9, -1e12), (1e-9, 0.0)])
def test_the_regression_forest_learns_on_any_scale(scale: float, shift: float) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (5000, 2))
    y = scale * np.where(x[:, 0] > 0, 1 + x[:, 1], -2.0) + shift
    expert = RegressionForest(2, 1, 1)
    learn(expert, x[:4500], y[:4500])
    missed = predictions(expert, x[4500:], 1)[:, 0, 0] - y[4500:]
    assert 1 - (missed**2).mean() / y[4500:].var() > 0.98


def test_a_leaf_adds_its_linear_model_where_that_is_closer() -> None:
    """The lines of leaves, event by event, in plain numpy."""
    x = np.random.default_rng(0).uniform(-1, 1, (300, 3))
    y = x @ np.array([2.0, -1.0, 0.5])
    expert = RegressionForest(3, 1, 1)
    learn(expert, x, y)
    trees, t, rows = expert.trees, 0, np.random.default_rng(1).uniform(-1, 1, (50, 3))
    used = 0
    for row in rows:
        j, mean = regression_forest._leaf(trees, t, row)
        line, off = trees.line[t, j].astype(float), trees.off[t, j].copy()
        along = float(np.clip(line @ np.r_[row, 1.0], -4.0, 4.0))
        said = regression_forest._say(trees, t, row, row)
        assert said == pytest.approx(mean + (along if off[1] < off[0] else 0.0))
        used += off[1] < off[0]
        target = float(row[0])
        regression_forest._learn_line(trees, t, row, row, target)
        missed = target - mean - along
        step = regression_forest.STEP / (1 + regression_forest.STEP * (1 + row @ row))
        np.testing.assert_allclose(
            trees.line[t, j], line + step * missed * np.r_[row, 1.0], atol=1e-5
        )
        judged = np.array([target - mean, missed]) ** 2
        np.testing.assert_allclose(trees.off[t, j], off + (judged - off) / 200)
    assert used > 10, "the lines are worth something here"


def subtree(trees: Any, t: int, j: int) -> float:
    """The aggregated log weight of a subtree, by its definition."""
    if trees.feat[t, j] < 0:
        return float(trees.log_w[t, j])
    child = trees.left[t, j]
    below_it = subtree(trees, t, child) + subtree(trees, t, child + 1)
    return math.log(0.5 * math.exp(trees.log_w[t, j]) + 0.5 * math.exp(below_it))


def prunings(trees: Any, t: int, j: int, row: F64, prior: float) -> F64:
    """What the subtree at `j` says: half its own counts, half its children's, by their evidence."""
    own = (trees.cnt[t, j] + prior) / (trees.n[t, j] + 2 * prior)
    if trees.feat[t, j] < 0:
        return np.asarray(own, float)
    share = 0.5 * math.exp(trees.log_w[t, j] - trees.log_sub[t, j])
    child = trees.left[t, j] + int(row[trees.feat[t, j]] > trees.thr[t, j])
    return np.asarray(share * own + (1 - share) * prunings(trees, t, child, row, prior))


def test_the_mondrian_trees_aggregate_all_their_prunings() -> None:
    x, y = squares_stream(300)
    expert = MondrianForest(2, 2, 1)
    learn(expert, x, y)
    trees, p, path = expert.trees, np.empty(2), np.empty(256, np.int64)
    t = 0  # the tree of the first slot, which never starts over here
    assert trees.size[t] > 20
    assert trees.log_sub[t, 0] == pytest.approx(subtree(trees, t, 0))
    for row in (x[:40] * expert.scale).astype(np.float32):
        mondrian_kernels.proba(trees, t, row, 0.5, path, p)
        np.testing.assert_allclose(p, prunings(trees, t, 0, row, 0.5), atol=1e-9)


def test_mondrian_boxes_hold_their_children_and_counts_add_up() -> None:
    x, y = squares_stream(500)
    expert = MondrianForest(2, 2, 1)
    learn(expert, x, y)
    trees = expert.trees
    assert trees.n[0, 0] == 500 - 64
    for j in range(trees.size[0]):
        assert trees.cnt[0, j].sum() == trees.n[0, j]
        if trees.feat[0, j] >= 0:
            pair = [trees.left[0, j], trees.left[0, j] + 1]
            assert trees.n[0, pair].sum() == trees.n[0, j]
            assert (trees.low[0, pair].min(0) == trees.low[0, j]).all()
            assert (trees.high[0, pair].max(0) == trees.high[0, j]).all()
            f, thr = trees.feat[0, j], trees.thr[0, j]
            assert trees.high[0, pair[0], f] <= thr < trees.low[0, pair[1], f]


def test_a_full_mondrian_tree_is_followed_by_one_that_knows_the_newer_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mondrian, "MAX_NODES", 512)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (4000, 2))
    y = ((x[:, 0] > 0) ^ (rng.random(4000) < 0.2)).astype(np.int64)  # noise fills trees
    y[2000:] = 1 - y[2000:]
    expert, served = MondrianForest(2, 2, 1), set()
    for at in range(0, 3600, 100):
        learn(expert, x[at : at + 100], y[at : at + 100])
        served.add(int(expert.trees.serving[0]))
        assert expert.trees.size.max() <= 512
    assert served == {0, 1}
    newest = predictions(expert, x[3600:], 2)[:, 0].argmax(1)
    assert (newest == y[3600:]).mean() > 0.65, "it forgot the older events"


@pytest.mark.parametrize("kind", [Forest, RegressionForest, MondrianForest])
def test_equal_states_give_equal_snapshots_wherever_they_were_restored(kind: Any) -> None:
    x, y = squares_stream(4000)
    y = np.where(np.arange(4000) // 800 % 2, 1 - y, y)  # each turn has trees replaced
    y = y.astype(float) if kind is RegressionForest else y
    whole, parts = kind(2, 2, 1), kind(2, 2, 1)
    for at in range(0, 4000, 200):
        learn(whole, x[at : at + 200], y[at : at + 200])
        learn(parts, x[at : at + 200], y[at : at + 200])
        state = parts.snapshot()
        parts = kind(2, 2, 1)
        parts.restore(state)
    one, other = whole.snapshot(), parts.snapshot()
    assert [name for name in one if not np.array_equal(one[name], other[name])] == []
