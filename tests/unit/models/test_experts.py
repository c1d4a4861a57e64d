"""Each fast expert against a slow, obvious version of itself, and what robust means."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models import fourier, neighbours, seasons, softmax
from shared.models.bank import Bank
from shared.models.counts import Counts
from shared.models.fourier import Fourier, cosine
from shared.models.fourier_regression import FourierRegression
from shared.models.gaps import Gaps
from shared.models.neighbours import Neighbours
from shared.models.persistence import Persistence
from shared.models.port import F64, Expert, Labels, Task
from shared.models.rls import LeastSquares
from shared.models.seasons import Seasons
from shared.models.softmax import Softmax
from shared.models.table import EXPERTS
from tests.unit.models.streams import noisy_stream, rows_of

K = 3


def said_by(expert: Expert, x: F64, z: F64, y: Labels, n_values: int, late_by: int = 0) -> F64:
    """Test, then train `late_by` events later."""
    out = np.empty((len(x), len(expert.names), n_values), np.float32)
    for i in range(len(x)):
        expert.predict_into(rows_of(x[i : i + 1], z[i : i + 1], i), out[i : i + 1], 0)
        j = i - late_by
        if j >= 0:
            expert.learn_many(rows_of(x[j : j + 1], z[j : j + 1], j), y[j : j + 1])
    return out.astype(float)


def plain_stream(task: Task, n: int = 150) -> tuple[F64, Labels]:
    x, y = noisy_stream(task, n)
    return np.nan_to_num(x) / [1.0, 1e6, 1.0, 10.0], y


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)


def test_gaps_are_filled_with_the_running_mean() -> None:
    x, _ = noisy_stream("binary", 200)
    gaps = Gaps(4)
    filled = gaps.filled(x, learn=True)
    mean, var, seen = np.zeros(4), np.zeros(4), np.zeros(4)
    for i, row in enumerate(x):
        for j in range(4):
            close(filled[i, j], mean[j] if math.isnan(row[j]) else row[j], 1e-9)
            if not math.isnan(row[j]):
                a, off = max(1 / 500, 1 / (seen[j] + 1)), row[j] - mean[j]
                if seen[j] >= 30 and var[j] > 0:
                    off = np.clip(off, -100 * math.sqrt(var[j]), 100 * math.sqrt(var[j]))
                mean[j] += a * off
                var[j] += a * (off * off - var[j])
                seen[j] += 1
    before = gaps.snapshot()
    np.testing.assert_array_equal(gaps.filled(np.full((1, 4), np.nan), learn=False)[0], gaps.mean)
    gaps.filled(x, learn=False)
    assert all((before[name] == array).all() for name, array in gaps.snapshot().items())


def softmax_of(scores: F64) -> F64:
    e = np.exp(scores - scores.max())
    return np.asarray(e / e.sum())


def test_softmax_is_plain_gradient_descent() -> None:
    x, y = plain_stream("multiclass")
    fast = said_by(Softmax(4, K, 1), x, x, y, K)
    for r, step in enumerate(softmax.STEPS):
        w = np.zeros((K, 5))
        for i in range(len(x)):
            f = np.r_[x[i], 1.0]
            p = softmax_of(w @ f)
            close(fast[i, r], p)
            w -= step * np.outer(p - np.eye(K)[y[i]], f)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_fourier_is_adagrad_on_cosines(n_classes: int) -> None:
    x, y = plain_stream("multiclass" if n_classes > 2 else "binary")
    expert = Fourier(4, n_classes, 1)
    directions, phases = expert.directions.copy(), expert.phases.copy()
    fast = said_by(expert, x, x, y, n_classes)
    for r, step in enumerate(fourier.STEPS):
        w, squares = np.zeros((n_classes, 201)), np.full((n_classes, 201), 1e-2)
        for i in range(len(x)):
            f = np.r_[math.sqrt(2) * np.cos(x[i] @ directions + phases), 1.0]
            p = softmax_of(w @ f)
            close(fast[i, r], p, 2e-5)
            g = np.outer(p - np.eye(n_classes)[y[i]], f)
            squares = 0.9995 * squares + g * g
            w -= step * g / np.sqrt(squares)


def test_fourier_of_two_classes_goes_on_with_three() -> None:
    x, y = plain_stream("multiclass")
    two, three = Fourier(4, 2, 1), Fourier(4, 3, 1)
    for expert in (two, three):
        expert.learn_many(rows_of(x[:60]), np.minimum(y[:60], 1))
    two.grow(3)
    assert two.weights.shape == three.weights.shape
    for c in range(2):  # with three from the start, the third took its share of the gradients
        close(np.sign(two.weights[:, c, -1]), np.sign(three.weights[:, c, -1]))
    close(two.weights[:, 0], -two.weights[:, 1], 0.0)
    assert not two.weights[:, 2].any()
    two.learn_many(rows_of(x[60:]), y[60:])
    assert np.isfinite(said_by(two, x, x, y, 3)).all()


def test_neighbours_are_the_nearest() -> None:
    x, y = plain_stream("multiclass")
    expert = Neighbours(4, K, 1)
    fast = said_by(expert, x, x, y, K)
    mean, var = x[0].copy(), np.zeros(4)
    for i in range(len(x)):
        if i > 1:
            use = var > 0
            d2 = (((x[:i] - x[i])[:, use] / np.sqrt(var[use])) ** 2).sum(1)
            recent = max(0, i - neighbours.RECENT)
            for r, first in enumerate((0, recent)):
                near = first + np.argsort(d2[first:], kind="stable")[:7]
                votes = np.full(K, 1e-3)
                np.add.at(votes, y[near], 1 / (np.sqrt(d2[near]) + 1e-3))
                close(fast[i, r], votes / votes.sum(), 2e-3)
        a, off = max(1 / 2000, 1 / (i + 1)), x[i] - mean
        mean += a * off
        var += a * (off * off - var)


def test_neighbours_forget_beyond_the_window() -> None:
    rng = np.random.default_rng(0)
    n = neighbours.WINDOW + 300
    x = rng.normal(size=(n, 2))
    y = np.zeros(n, np.int64)
    y[:250] = 1  # all of class 1 fall out of the window
    expert = Neighbours(2, 2, 1)
    expert.learn_many(rows_of(x), y)
    out = np.empty((50, 2, 2), np.float32)
    expert.predict_into(rows_of(x[:50]), out, 0)
    assert out[:, :, 1].max() < 0.01
    last = slice(n - neighbours.RECENT, n)
    expert.learn_many(rows_of(x[last]), np.ones(neighbours.RECENT, np.int64))
    expert.predict_into(rows_of(x[-20:]), out[:20], 0)
    assert out[:20, 1, 1].min() > 0.9


def test_counts_are_decayed_bayes() -> None:
    x, y = plain_stream("multiclass")
    fast = said_by(Counts(4, K, 1), x, x, y, K)
    counts, seen = np.full(K, 0.5), np.zeros(K)
    mean, var = np.zeros((K + 1, 4)), np.zeros((K + 1, 4))

    def move(row: int, value: F64, a: float) -> None:
        off = value - mean[row]
        mean[row] += a * off
        var[row] += a * (off * off - var[row])

    for i in range(len(x)):
        s = np.log(counts)
        for c in range(K):
            row = c + 1 if seen[c] else 0
            v = var[row] + 0.01 * var[0] + 1e-12 * mean[0] ** 2 + 1e-30
            s[c] -= 0.5 * ((x[i] - mean[row]) ** 2 / v + np.log(v)).sum()
        close(fast[i, 0], softmax_of(s), 1e-4)
        close(fast[i, 1], counts / counts.sum())
        if i == 0:
            mean[0] = x[0]
        move(0, x[i], max(0.001, 1 / (i + 1)))
        c = int(y[i])
        if not seen[c]:
            mean[c + 1], var[c + 1] = x[i], var[0]
        seen[c] += 1
        counts = counts * 0.999 + np.eye(K)[c]
        move(c + 1, x[i], max(0.005, 1 / (seen[c] + 1)))


def seasons_by_hand(
    labels: list[tuple[int, int]], n_classes: int, lag: int
) -> tuple[float, F64, dict[int, int]]:
    """Agreement and table of one lag, and what is known, after (place, label) pairs in this order."""
    known: dict[int, int] = {}
    agree, table, learned = 0.0, np.full((n_classes, n_classes), 0.5), 0
    for place, now in labels:
        newest = max(known, default=-1)
        oldest = place - seasons.LAGS if place > newest else newest + 1 - seasons.LAGS
        if place < oldest:
            continue  # it came too late to be kept
        then = known.get(place - lag, -1) if place - lag >= oldest else -1
        if then >= 0:
            agree += max(0.0005, 1 / (learned + 1)) * ((then == now) - agree)
            table[then] *= 0.998
            table[then, now] += 1
        known[place] = now
        learned += 1
    return agree, table, known


def taught(labels: list[tuple[int, int]], n_classes: int) -> Seasons:
    expert = Seasons(1, n_classes, 1)
    place, y = (np.array(column, np.int64) for column in zip(*labels, strict=True))
    expert.learn_many(rows_of(np.zeros((len(y), 1)), place=place), y)
    return expert


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(25)), st.integers(1, 25), st.integers(0, 6), st.randoms())
@pytest.mark.parametrize("n_classes", [K, seasons.FEW + 1])
def test_seasons_last_label_is_a_decayed_table(
    n_classes: int, places: list[int], n: int, ahead: int, random: Any
) -> None:
    """Labels in any order, some never: each stands at the place of its event."""
    labels = [(place, random.randrange(K)) for place in places[:n]]
    expert = taught(labels, n_classes)
    newest, lag = max(place for place, _ in labels), ahead + 1
    out = np.empty((1, 3, n_classes), np.float32)
    expert.predict_into(rows_of(np.zeros((1, 1)), first=newest + lag), out, 0)
    agree, table, known = seasons_by_hand(labels, n_classes, lag)
    close(out[0, 0], table[known[newest]] / table[known[newest]].sum())
    close(expert.agree[lag - 1], agree)
    expert.predict_into(rows_of(np.zeros((1, 1)), first=newest), out, 0)
    close(out[0, 0], np.full(n_classes, 1 / n_classes))


@pytest.mark.parametrize("late", [False, True])
def test_seasons_agree_where_labels_far_apart_do(late: bool) -> None:
    rng = np.random.default_rng(3)
    n = seasons.LAGS + 500  # around the ring
    places = np.flatnonzero(rng.random(n) < 0.9)
    if late:
        places = places[np.argsort(places + rng.integers(0, 1500, len(places)), kind="stable")]
    labels = [(int(place), int(rng.integers(0, K))) for place in places]
    expert = taught(labels, K)
    for lag in (1, 2, 499, 500, 501, seasons.LAGS):
        agree, table, _ = seasons_by_hand(labels, K, lag)
        close(expert.agree[lag - 1], agree, 1e-4)
        close(expert.tables[:, :, lag - 1], table, 1e-4)


@pytest.mark.parametrize("late_by", [0, 20])
def test_seasons_find_a_period_and_use_it_when_labels_are_late(late_by: int) -> None:
    cycle = np.random.default_rng(2).integers(0, 2, 12)
    y = np.tile(cycle, 60)
    x = np.zeros((len(y), 1))
    said = said_by(Seasons(1, 2, 1), x, x, y, 2, late_by)
    hits = (said.argmax(2) == y[:, None])[-200:].mean(0)
    assert hits[1] > 0.99
    assert hits[2] > 0.99


def test_seasons_keep_their_place_over_events_never_labelled() -> None:
    y = np.tile([0, 0, 1], 200)
    expert = taught([(i, int(label)) for i, label in enumerate(y) if i % 7 and i % 100 < 80], 2)
    out = np.empty((3, 3, 2), np.float32)
    expert.predict_into(rows_of(np.zeros((3, 1)), first=len(y)), out, 0)
    assert out[:, 1].argmax(1).tolist() == [0, 0, 1]
    assert seasons.UNKNOWN < 0


def test_least_squares_is_the_weighted_solution() -> None:
    x, y = plain_stream("regression")
    expert = LeastSquares(4, 1, 1)
    fast = said_by(expert, x, x, y, 1)
    n, mean, var = 0.0, 0.0, 0.0
    a = np.tile(np.eye(5) / 10.0, (2, 1, 1))  # what each event adds, forgotten by hand
    b = np.zeros((2, 5))
    for i in range(len(x)):
        f = np.r_[x[i], 1.0]
        for r, forget in enumerate((0.9995, 0.99)):
            p = np.clip(np.linalg.solve(a[r], b[r]) @ f, -6, 6) * math.sqrt(var) + mean
            close(fast[i, r, 0], p, 1e-3)
            if n >= 30:
                target = (y[i] - mean) / math.sqrt(var)
                a[r] = forget * a[r] + np.outer(f, f)
                a[r, i % 5, i % 5] += 0.1 * 5 * (1 - forget)
                b[r] = forget * b[r] + target * f
        n += 1
        off = y[i] - mean
        mean += off * max(1 / n, 0.0005)
        var += (off * off - var) * max(1 / n, 0.0005)


def test_fourier_regression_is_adagrad() -> None:
    x, y = plain_stream("regression")
    expert = FourierRegression(4, 1, 1)
    directions, phases = expert.directions.copy(), expert.phases.copy()
    fast = said_by(expert, x, x, y, 1)
    for r, step in enumerate((0.01, 0.03, 0.1)):
        w, squares, n, mean, var = np.zeros(205), np.full(205, 0.1), 0.0, 0.0, 0.0
        for i in range(len(x)):
            f = np.r_[math.sqrt(2) * np.cos(x[i] @ directions + phases), x[i], 1.0]
            close(fast[i, r, 0], np.clip(w @ f, -10, 10) * math.sqrt(var) + mean, 1e-4)
            if var > 0:
                g = np.clip(w @ f - (y[i] - mean) / math.sqrt(var), -3, 3) * f
                squares = 0.9995 * squares + g * g
                w -= step * g / np.sqrt(squares)
            n += 1
            off = y[i] - mean
            mean += off * max(1 / n, 0.0005)
            var += (off * off - var) * max(1 / n, 0.0005)


def test_persistence_says_the_last_known_target() -> None:
    y = np.arange(10.0)
    x = np.zeros((10, 1))
    said = said_by(Persistence(1, 1, 1), x, x, y, 1, late_by=2)
    assert said[:, 0, 0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]


WILD = [
    np.zeros((60, 3)),
    np.full((60, 3), np.nan),
    np.full((60, 3), np.inf),
    np.random.default_rng(0).standard_cauchy((60, 3)) * 1e200,
    np.random.default_rng(0).normal(size=(60, 3)) * [1e-300, 1e-20, 1e15],
    np.where(np.arange(180).reshape(60, 3) % 7 == 0, -1e308, 1e-308),
]


@pytest.mark.parametrize("wild", range(len(WILD)))
@pytest.mark.parametrize(("task", "labels"), [("binary", 1), ("binary", 2), ("regression", 2)])
def test_no_feature_makes_an_exception_or_a_nan(task: Task, labels: int, wild: int) -> None:
    x = WILD[wild]
    y = np.random.default_rng(1).integers(0, labels, len(x)).astype(np.int64)
    bank = Bank(task, 3, 2, experts=[name for name in EXPERTS[task] if name != "river-tree"])
    target = 1e12 * y if task == "regression" else y
    for i in range(len(x)):
        said, arrival = bank.predict_many(x[i : i + 1])
        assert np.isfinite(said).all(), dict(zip(bank.names, said[0], strict=True))
        if task != "regression":
            close(said.sum(2), 1.0, 5e-3)
        bank.learn_many(x[i : i + 1], target[i : i + 1], arrival)


def test_cosine_is_the_cosine() -> None:
    for x in [*np.linspace(-100.0, 100.0, 4001), *(np.arange(-8, 9) * math.pi / 2)]:
        assert abs(cosine(x) - math.cos(x)) < 1e-15
