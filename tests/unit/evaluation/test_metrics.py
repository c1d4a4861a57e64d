"""Metrics against scikit-learn, merged, faded and windowed."""

import numpy as np
import pytest
from sklearn import metrics as sk

from shared.evaluation.metrics import ClassMetrics, NumberMetrics, Window


def stream(n: int, k: int, seed: int = 0):
    r = np.random.default_rng(seed)
    p = r.dirichlet(np.ones(k), n)
    y = np.array([r.choice(k, p=row) for row in p])
    return y, p.argmax(1), p


@pytest.mark.parametrize("k", [2, 4])
def test_class_figures_are_sklearns(k: int) -> None:
    y, predicted, p = stream(400, k)
    m = ClassMetrics(k)
    for i in range(len(y)):
        m.update(int(y[i]), int(predicted[i]), p[i], int(y[i - 1]) if i else -1)
    f = m.figures()
    assert f["accuracy"] == pytest.approx(sk.accuracy_score(y, predicted))
    assert f["kappa"] == pytest.approx(sk.cohen_kappa_score(y, predicted))
    assert f["log_loss"] == pytest.approx(sk.log_loss(y, p, labels=range(k)))
    assert f["brier"] == pytest.approx(np.mean(((p - np.eye(k)[y]) ** 2).sum(1)))
    unchanged = np.mean(y[1:] == y[:-1]) * (len(y) - 1) / len(y)
    assert f["kappa_no_change"] == pytest.approx((f["accuracy"] - unchanged) / (1 - unchanged))


def test_calibration_error_is_the_gap_of_confidence_and_hits() -> None:
    m = ClassMetrics(2)
    for i in range(100):
        m.update(int(i < 60), 1, [0.1, 0.9])
    assert m.figures()["ece"] == pytest.approx(0.3)


def test_number_figures_are_sklearns_even_far_from_zero() -> None:
    r = np.random.default_rng(1)
    y = 1e6 + r.normal(size=300)
    p = y + 0.3 * r.normal(size=300)
    m = NumberMetrics()
    for a, b in zip(y, p, strict=True):
        m.update(a, b)
    f = m.figures()
    assert f["mae"] == pytest.approx(sk.mean_absolute_error(y, p))
    assert f["rmse"] == pytest.approx(sk.root_mean_squared_error(y, p))
    assert f["r2"] == pytest.approx(sk.r2_score(y, p))


def test_intervals_are_counted_where_they_were_given() -> None:
    m = NumberMetrics()
    m.update(1.0, 1.5)
    assert "coverage" not in m.figures()
    m.update(1.0, 1.5, (1.0, 2.0))
    m.update(3.0, 1.5, (1.0, 4.0))
    m.update(5.0, 1.5, (1.0, 2.0))
    other = NumberMetrics()
    other.update(9.0, 1.5, (1.0, 2.0))
    m.merge(other)
    assert m.figures()["coverage"] == pytest.approx(0.5)
    assert m.figures()["width"] == pytest.approx(6 / 4)


def test_merging_two_halves_is_the_whole() -> None:
    y, predicted, p = stream(200, 3)
    whole, parts = ClassMetrics(3), [ClassMetrics(3), ClassMetrics(3)]
    numbers, halves = NumberMetrics(), [NumberMetrics(), NumberMetrics()]
    for i in range(200):
        whole.update(int(y[i]), int(predicted[i]), p[i])
        parts[i // 100].update(int(y[i]), int(predicted[i]), p[i])
        numbers.update(p[i, 0], p[i, 1])
        halves[i // 100].update(p[i, 0], p[i, 1])
    parts[0].merge(parts[1])
    halves[0].merge(halves[1])
    assert parts[0].figures() == pytest.approx(whole.figures())
    assert halves[0].figures() == pytest.approx(numbers.figures())


def test_fading_is_the_weighted_mean() -> None:
    y, predicted, p = stream(150, 2)
    m, n = ClassMetrics(2, factor=0.98), NumberMetrics(factor=0.98)
    for i in range(150):
        m.update(int(y[i]), int(predicted[i]), p[i])
        n.update(p[i, 0], p[i, 1])
    w = 0.98 ** np.arange(149, -1, -1)
    assert m.figures()["accuracy"] == pytest.approx(np.average(y == predicted, weights=w))
    assert n.figures()["mae"] == pytest.approx(np.average(np.abs(p[:, 0] - p[:, 1]), weights=w))
    expected = sk.r2_score(p[:, 0], p[:, 1], sample_weight=w)
    assert n.figures()["r2"] == pytest.approx(expected)


def test_window_holds_the_newest_and_survives_a_snapshot() -> None:
    y, predicted, p = stream(130, 2)
    window = Window(ClassMetrics(2), 50)
    one = ClassMetrics(2)
    for i in range(130):
        window.add(one.row(int(y[i]), int(predicted[i]), p[i]))
        if i == 77:
            fresh = Window(ClassMetrics(2), 50)
            fresh.restore(window.snapshot())
            window = fresh
    assert window.figures()["accuracy"] == pytest.approx(np.mean(y[-50:] == predicted[-50:]))


def test_growing_keeps_the_past() -> None:
    m = ClassMetrics(2)
    m.update(1, 1, [0.2, 0.8])
    m.update(0, 1, [0.2, 0.8])
    before = m.figures()
    m.grow(4)
    assert m.figures() == pytest.approx(before)
    m.update(3, 3, [0.1, 0.1, 0.1, 0.7])
    assert m.confusion[3, 3] == 1


def test_before_the_first_outcome_there_are_no_figures() -> None:
    assert ClassMetrics(2).figures() == {}
    assert NumberMetrics().figures() == {}
