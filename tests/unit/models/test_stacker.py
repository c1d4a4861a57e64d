"""The stackers against slow, obvious versions, and what they are for."""

import math

import numpy as np
import pytest

from shared.models import blend, logit_mix
from shared.models.logit_stacker import floor_of
from shared.models.port import F32, F64, Labels
from shared.models.stacker import Stacker

E, K = 3, 3
NAMES = ("good", "bad", "dull")


def opinions(n: int, seed: int = 0) -> tuple[F32, Labels]:
    """An expert that is right 4 times of 5, one that is wrong as often, one that says nothing."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, K, n)
    said = np.full((n, E, K), 1 / K)
    right = np.where(rng.random(n) < 0.8, y, (y + 1) % K)
    wrong = np.where(rng.random(n) < 0.8, (y + 1) % K, y)
    said[:, 0] = 0.1 + 0.7 * np.eye(K)[right]
    said[:, 1] = 0.1 + 0.7 * np.eye(K)[wrong]
    return said.astype(np.float16).astype(np.float32), y


class SlowLogit:
    """`logit_mix` in plain numpy, one event at a time."""

    def __init__(self, shares: F64) -> None:
        self.start = 1.5 * shares
        self.w = np.tile(self.start, (7, 1))
        self.squares, self.g = np.zeros((4, E)), np.zeros((3, E))
        self.h = np.zeros((3, E, E))
        self.loss, self.n, self.since = np.zeros(8), 0, 0

    def predict(self, said: F64) -> tuple[F64, F64]:
        lp = np.log(np.clip(said, floor_of(K), 1.0))
        scores = np.vstack([self.w, self.start / 3]) @ lp
        members = np.exp(scores - scores.max(1, keepdims=True))
        members /= members.sum(1, keepdims=True)
        share = np.exp(-20 * (self.loss - self.loss.min()))
        return share @ members / share.sum(), members

    def learn(self, said: F64, members: F64, y: int) -> None:
        self.n += 1
        self.since += 1
        missed = -np.log(0.998 * members[:, y] + 0.002 / K)
        self.loss += (missed - self.loss) / min(self.n, 300)
        lp = np.log(np.clip(said, floor_of(K), 1.0))
        now = self.predict(said)[1]
        for r, step in enumerate(logit_mix.STEPS):
            g = lp @ (now[r] - np.eye(K)[y])
            self.squares[r] = 0.999 * self.squares[r] + g * g
            self.w[r] -= step * g / np.sqrt(self.squares[r] + 1)
        for a, keep in enumerate(logit_mix.FORGET):
            p = now[4 + a]
            mu = lp @ p
            self.g[a] = keep * self.g[a] + mu - lp[:, y]
            self.h[a] = keep * self.h[a] + (lp * p) @ lp.T - np.outer(mu, mu)
        if self.since >= 64 or (self.n < 64 and self.since >= 16):
            for a, keep in enumerate(logit_mix.FORGET):
                pull = 20 * (1 - keep**self.since) * (self.w[4 + a] - self.start)
                self.w[4 + a] -= np.linalg.solve(self.h[a] + 20 * np.eye(E), self.g[a] + pull)
                self.g[a] = 0
            self.since = 0


@pytest.mark.parametrize("late_by", [0, 30])
@pytest.mark.parametrize("shares", [None, np.array([0.5, 0.25, 0.25])])
def test_the_logit_stacker_is_its_slow_version(late_by: int, shares: F64 | None) -> None:
    said, y = opinions(300)
    fast = Stacker("multiclass", NAMES, K, shares)
    slow = SlowLogit(np.full(E, 1 / E) if shares is None else shares)
    told = []
    for i in range(len(y)):
        verdict = fast.predict_many(said[i : i + 1])
        mean, members = slow.predict(said[i].astype(float))
        np.testing.assert_allclose(verdict.mean[0], mean, atol=1e-7)
        np.testing.assert_allclose(verdict.members[0], members, atol=1e-3)
        told.append(verdict.members)
        j = i - late_by
        if j >= 0:
            fast.learn_many(said[j : j + 1], told[j], y[j : j + 1])
            slow.learn(said[j].astype(float), told[j][0].astype(float), int(y[j]))


def test_weights_follow_the_good_expert() -> None:
    said, y = opinions(600)
    stacker = Stacker("multiclass", NAMES, K)
    stacker.learn_many(said, stacker.predict_many(said).members, y)
    assert stacker.weights["good"] > stacker.weights["dull"] > stacker.weights["bad"]
    hits = stacker.predict_many(said).mean.argmax(1) == y
    assert hits.mean() > 0.78


def test_a_fork_keeps_shared_weights_and_starts_new_ones_small() -> None:
    said, y = opinions(600)
    parent = Stacker("multiclass", NAMES, K)
    parent.learn_many(said, parent.predict_many(said).members, y)
    child = parent.fork(("bad", "good", "new"))
    assert child.weights["good"] == pytest.approx(parent.weights["good"], abs=0.05)
    assert child.weights["bad"] == pytest.approx(parent.weights["bad"], abs=0.05)
    assert 0 < child.weights["new"] < 0.3
    same = parent.fork(NAMES)
    np.testing.assert_array_equal(same.predict_many(said).mean, parent.predict_many(said).mean)
    before = parent.weights
    same.learn_many(said, None, y)
    assert parent.weights == before, "a fork shares no state with its parent"


def test_cholesky_solves() -> None:
    rng = np.random.default_rng(4)
    for n in (1, 2, 9):
        a = rng.normal(size=(n, n))
        matrix, b = a @ a.T + np.eye(n), rng.normal(size=n)
        expected = np.linalg.solve(matrix, b)
        logit_mix.solve(matrix, b)
        np.testing.assert_allclose(b, expected, atol=1e-9)


def regressors(n: int, seed: int = 0, scale: float = 1.0) -> tuple[F32, F64]:
    rng = np.random.default_rng(seed)
    y = 100.0 + np.cumsum(rng.normal(size=n))
    said = np.stack([y + rng.normal(size=n), y + 5 * rng.normal(size=n), y + 3], 1)
    return (scale * said[:, :, None]).astype(np.float32), scale * y


class SlowBlend:
    """`blend` in plain numpy, one event at a time; least squares by its inverse covariance."""

    def __init__(self) -> None:
        self.w, self.inv = np.zeros((2, E)), np.array([np.eye(E)] * 2)
        self.error, self.missed, self.n, self.judged = np.zeros(E), np.zeros(3), 0, 0
        self.width = blend.FIRST_WIDTH

    def basis(self, said: F64) -> tuple[float, F64, float]:
        u = np.exp(-4 * np.minimum(100, self.error / (self.error.min() + 1e-300) - 1))
        base = float(u @ said / u.sum())
        unit = math.sqrt(self.error.min()) + 1e-150
        return base, np.clip((said - base) / unit, -5, 5), unit

    def predict(self, said: F64) -> F64:
        base, f, unit = self.basis(said)
        members = np.r_[base + self.w @ f * unit, base]
        v = np.exp(-20 * np.minimum(100, self.missed / (self.missed.min() + 1e-300) - 1))
        share = np.exp(-4 * np.minimum(100, self.error / (self.error.min() + 1e-300) - 1))
        spread = share / share.sum() @ (said - base) ** 2
        scale = np.sqrt(unit**2 + spread) + 1e-6 * abs(base)
        return np.asarray(np.r_[members, v @ members / v.sum(), scale])

    def learn(self, said: F64, members: F64, y: float) -> None:
        self.judged += 1
        self.missed += ((members[:3] - y) ** 2 - self.missed) / min(300, self.judged)
        if members[4] > 0:
            missed = abs(members[3] - y) > self.width * members[4]
            self.width *= np.exp(max(0.02, 1 / np.sqrt(self.judged)) * (missed - 0.1))
            self.width = np.clip(self.width, 1e-3, 1e6)
        if self.n:
            base, f, unit = self.basis(said)
            target = np.clip((y - base) / unit, -6, 6)
            for r, forget in enumerate(blend.FORGET):
                info = forget * np.linalg.inv(self.inv[r]) + np.outer(f, f)
                gain = np.linalg.solve(info, f)
                self.w[r] += gain * (target - self.w[r] @ f)
                info[self.n % E, self.n % E] += 0.1 * E * (1 - forget)
                self.inv[r] = np.linalg.inv(info)
        self.n += 1
        self.error += ((said - y) ** 2 - self.error) / min(100, self.n)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_blend_stacker_is_its_slow_version(scale: float) -> None:
    said, y = regressors(200, scale=scale)
    fast, slow = Stacker("regression", NAMES), SlowBlend()
    for i in range(len(y)):
        verdict = fast.predict_many(said[i : i + 1])
        expected = slow.predict(said[i, :, 0].astype(float))
        np.testing.assert_allclose(verdict.members[0, :, 0] / scale, expected / scale, atol=2e-3)
        np.testing.assert_allclose(verdict.mean[0, 0] / scale, expected[3] / scale, atol=2e-3)
        fast.learn_many(said[i : i + 1], verdict.members, y[i : i + 1])
        slow.learn(said[i, :, 0].astype(float), verdict.members[0, :, 0].astype(float), y[i])


def test_the_interval_covers_nine_in_ten_also_after_the_noise_grows() -> None:
    said, y = regressors(6000)
    late = slice(3000, None)
    said[late] = (y[late, None] + 10 * (said[late, :, 0] - y[late, None]))[:, :, None]
    stacker = Stacker("regression", NAMES)
    covered, widths = [], []
    for i in range(len(y)):
        verdict = stacker.predict_many(said[i : i + 1])
        assert (verdict.interval is None) == (i < blend.CALIBRATED)
        if verdict.interval is not None:
            low, high = verdict.interval[0]
            assert low <= verdict.mean[0, 0] <= high
            covered.append(low <= y[i] <= high)
            widths.append(high - low)
        stacker.learn_many(said[i : i + 1], verdict.members, y[i : i + 1])
    assert 0.88 < np.mean(covered[:2900]) < 0.92
    assert 0.87 < np.mean(covered[3300:]) < 0.93
    assert np.mean(widths[-1000:]) > 5 * np.mean(widths[1000:2000])


@pytest.mark.parametrize("stream", ["wild", "adversary", "constant"])
def test_the_share_of_misses_keeps_its_promise_on_any_stream(stream: str) -> None:
    """The bound of the docstring, for what was published."""
    n, rng = 4000, np.random.default_rng(3)
    said, y = regressors(n)
    if stream == "wild":
        y = y + rng.standard_cauchy(n) * np.where(np.arange(n) % 1000 < 500, 1, 50)
    elif stream == "constant":
        said, y = np.full_like(said, 7.0), np.full(n, 7.0)
    stacker, missed = Stacker("regression", NAMES), 0
    for i in range(n):
        verdict = stacker.predict_many(said[i : i + 1])
        answer = verdict.mean[0, 0]
        half = 0.0 if verdict.interval is None else verdict.interval[0, 1] - answer
        if stream == "adversary" and i % 7 == 0 and half < 100:
            y[i] = answer + 1.01 * half  # just outside
        missed += abs(answer - y[i]) > half
        stacker.learn_many(said[i : i + 1], verdict.members, y[i : i + 1])
    width = stacker.snapshot()["track"][blend.WIDTH]
    assert width < blend.WIDEST
    bound = np.log(blend.WIDEST / blend.NARROWEST) / (blend.LEAST_STEP * n)
    assert missed / n <= blend.MISS + bound + blend.CALIBRATED / n
    if stream == "wild":
        assert abs(missed / n - blend.MISS) < 0.02


@pytest.mark.parametrize("late_by", [0, 40, 512])
def test_late_labels_neither_widen_nor_narrow_the_interval(late_by: int) -> None:
    said, y = regressors(4000)
    stacker, told, held, widths = Stacker("regression", NAMES), [], [], []
    for i in range(len(y)):
        told.append(stacker.predict_many(said[i : i + 1]))
        interval = told[i].interval
        if interval is not None and i > 1500:
            low, high = interval[0]
            held.append(low <= y[i] <= high)
            widths.append(high - low)
        if i >= late_by:
            j = i - late_by
            stacker.learn_many(said[j : j + 1], told[j].members, y[j : j + 1])
    assert abs(np.mean(held) - 0.9) < 0.025
    assert 2.5 < np.mean(widths) < 5  # the best expert's error has the deviation 1: 3.3 at best


def test_a_target_of_any_size_breaks_nothing() -> None:
    said, y = regressors(300)
    y[[50, 51, 52, 150]] = [1e200, -1e308, 1e308, 1e-308]
    stacker = Stacker("regression", NAMES)
    for i in range(len(y)):
        verdict = stacker.predict_many(said[i : i + 1])
        assert np.isfinite(verdict.mean).all() and not np.isnan(verdict.members).any()
        stacker.learn_many(said[i : i + 1], verdict.members, y[i : i + 1])
    assert all(np.isfinite(array).all() for array in stacker.snapshot().values())


def test_the_interval_is_wider_where_the_experts_disagree() -> None:
    rng = np.random.default_rng(1)
    n = 3000
    hard = rng.random(n) < 0.3
    y = rng.normal(size=n)
    noise = np.where(hard, 5.0, 0.2)[:, None] * rng.normal(size=(n, E))
    said = (y[:, None] + noise).astype(np.float32)[:, :, None]
    stacker = Stacker("regression", NAMES)
    widths, held = np.zeros(n), np.zeros(n)
    for i in range(n):
        verdict = stacker.predict_many(said[i : i + 1])
        if verdict.interval is not None:
            low, high = verdict.interval[0]
            widths[i], held[i] = high - low, low <= y[i] <= high
        stacker.learn_many(said[i : i + 1], verdict.members, y[i : i + 1])
    late = np.arange(n) > 500
    assert widths[late & hard].mean() > 1.4 * widths[late & ~hard].mean()
    assert abs(held[late].mean() - 0.9) < 0.02


def test_a_regression_fork_answers_like_its_parent_until_it_learns() -> None:
    said, y = regressors(500)
    parent = Stacker("regression", NAMES)
    parent.learn_many(said, parent.predict_many(said).members, y)
    child = parent.fork(NAMES)
    np.testing.assert_array_equal(child.predict_many(said).mean, parent.predict_many(said).mean)
    assert sum(parent.weights.values()) == pytest.approx(1.0, abs=1e-6)
    assert set(parent.fork((*NAMES, "new")).weights) == {*NAMES, "new"}
