"""Baselines: River is the oracle of the linear one; late labels; the loop over events of the replay."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, multiclass, preprocessing

from shared.evaluation.baselines import replayed
from shared.evaluation.linear import Linear, _raw, _scaler_learn, _standardise, _step
from tests.kit.baselines import Baselines

NAMES = ("a", "b", "c")


def rows(n: int, seed: int = 0) -> np.ndarray:
    """Rows of three scales; the first two lie apart, so that no early standardised value is clipped."""
    z = np.random.default_rng(seed).normal(size=(n, 3))
    z[:2] = [[-2, 2, -2], [2, -2, 2]][:n]
    return z * [1, 30, 0.01] + [0, 100, 5]


def as_dict(x: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, x.tolist(), strict=True))


def test_logistic_says_what_river_says() -> None:
    x = rows(500)
    y = (x[:, 0] + (x[:, 1] - 100) / 30 > 0.2).astype(int)
    ours = Linear(3, 1, logistic=True)
    river = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for row, label in zip(x, y, strict=True):
        theirs = river.predict_proba_one(as_dict(row)).get(True, 0.5)
        assert ours.predict(row)[0] == pytest.approx(theirs, abs=1e-9)
        ours.learn(row, np.array([float(label)]))
        river.learn_one(as_dict(row), bool(label))


def test_one_against_the_rest_says_what_river_says() -> None:
    x = rows(400, 3)
    y = np.digitize(x[:, 0], [-0.5, 0.5])
    ours = Linear(3, 3, logistic=True)
    river = preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(
        linear_model.LogisticRegression()
    )
    for i, (row, label) in enumerate(zip(x, y, strict=True)):
        if i > 20:  # River makes a class's model when the class first appears; early rows differ
            p = river.predict_proba_one(as_dict(row))
            assert set(p) == {0, 1, 2}
        ours.learn(row, (np.arange(3) == label) * 1.0)
        river.learn_one(as_dict(row), int(label))
    q = ours.predict(x[0])
    p = river.predict_proba_one(as_dict(x[0]))
    assert q / q.sum() == pytest.approx([p[k] for k in range(3)], abs=0.02)


def test_regression_says_what_river_says() -> None:
    x = rows(500, 1)
    y = 3 * x[:, 0] - (x[:, 1] - 100) / 10 + 7
    ours = Linear(3, 1, logistic=False)
    river = preprocessing.StandardScaler() | linear_model.LinearRegression()
    for row, label in zip(x, y, strict=True):
        assert ours.predict(row)[0] == pytest.approx(river.predict_one(as_dict(row)), abs=1e-7)
        ours.learn(row, np.array([label]))
        river.learn_one(as_dict(row), float(label))


def test_kernels_are_their_python_source() -> None:
    """The compiled class against the same formulas uncompiled, with missing values in between."""
    r = np.random.default_rng(5)
    model = Linear(4, 2, logistic=True)
    count, mean, variance = np.zeros(4), np.zeros(4), np.zeros(4)
    weights, bias, z, raw = np.zeros((2, 4)), np.zeros(2), np.empty(4), np.empty(2)
    for _ in range(200):
        x = r.normal(size=4)
        x[r.random(4) < 0.2] = np.nan
        target = r.integers(0, 2, 2) * 1.0
        model.learn(x, target)
        _scaler_learn(x, count, mean, variance)
        _standardise(x, mean, variance, z)
        _raw(z, weights, bias, raw)
        _step(z, raw, target, weights, bias, True)
    assert model.snapshot()["weights"] == pytest.approx(weights)


@pytest.mark.parametrize("wild", [1e12, float("nan"), float("inf")])
def test_linear_never_diverges(wild: float) -> None:
    model = Linear(2, 1, logistic=False)
    r = np.random.default_rng(2)
    for i in range(3000):
        x = r.standard_t(1, size=2) * 100
        if i % 97 == 0:
            x[0] = wild
        model.learn(x, np.array([float(x[1] if math.isfinite(x[1]) else 0.0) % 5]))
        assert np.isfinite(model.predict(x)).all()
    assert abs(model.predict(np.zeros(2))[0]) < 50


def test_no_change_says_the_newest_label_that_was_known() -> None:
    b = Baselines("binary", NAMES, ["down", "up"])
    x = as_dict(rows(1)[0])
    b.predict("1", x)
    b.predict("2", x)
    assert b.learn("1", "up")
    assert b.predict("3", x)["no_change"] == "up"
    assert b.learn("2", "down")
    assert (
        b.figures()["no_change"]["accuracy"] == 0.5
    )  # `down` was said for both, before any label
    b.predict("4", x)
    b.learn("3", "up")
    assert b.figures()["no_change"]["accuracy"] == pytest.approx(2 / 3)


def test_each_label_counts_once_and_unknown_ids_not_at_all() -> None:
    b = Baselines("binary", NAMES, ["down", "up"])
    b.predict("1", as_dict(rows(1)[0]))
    assert b.learn("1", "up")
    assert not b.learn("1", "up")
    assert not b.learn("7", "up")


def test_rules_are_passed_in_and_a_silent_rule_is_not_scored() -> None:
    b = Baselines("binary", NAMES, ["0", "1"], rules=["yesterday"])
    x = as_dict(rows(1)[0])
    assert b.predict("1", x, {"yesterday": "1"})["yesterday"] == "1"
    assert b.predict("2", x)["yesterday"] is None
    b.learn("1", "1")
    b.learn("2", "1")
    assert b.figures()["yesterday"]["accuracy"] == 1.0
    assert b.figures()["majority"]["accuracy"] == 0.0


def test_a_class_nobody_declared_gets_its_place() -> None:
    b = Baselines("multiclass", NAMES, ["a", "b"])
    for i, label in enumerate(["a", "b", "c", "c", "c", "d"]):
        b.predict(str(i), as_dict(rows(6)[i]))
        b.learn(str(i), label)
    assert b.classes == ["a", "b", "c", "d"]
    assert b.predict("x", as_dict(rows(1)[0]))["majority"] == "c"
    assert math.isfinite(b.figures()["linear"]["log_loss"])


def test_regression_baselines() -> None:
    b = Baselines("regression", NAMES)
    for i in range(400):
        x = rows(400, 4)[i]
        b.predict(str(i), as_dict(x))
        b.learn(str(i), float(2 * x[0] + 10))
    f = b.figures()
    assert set(f) == {"mean", "no_change", "linear"}
    assert f["linear"]["mae"] < f["mean"]["mae"] < f["no_change"]["mae"]
    with pytest.raises(ValueError, match="not a finite number"):
        b.predict("nan", {})
        b.learn("nan", float("nan"))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@settings(max_examples=20, deadline=None)
@given(delays=st.lists(st.integers(0, 9), min_size=60, max_size=60), seed=st.integers(0, 9))
def test_replayed_is_the_loop_over_events_and_late_labels(
    task: str, delays: list[int], seed: int
) -> None:
    x = rows(60, seed)
    x[np.random.default_rng(seed).random(x.shape) < 0.1] = np.nan
    y = np.nan_to_num(x[:, 0]) * 3 if task == "regression" else np.digitize(x[:, 1], [90, 110])
    y = np.minimum(y, 1) if task == "binary" else y
    n_classes = {"binary": 2, "multiclass": 3, "regression": 0}[task]
    came = np.arange(60) + np.array(delays)
    order = np.argsort(came, kind="stable")
    due = np.searchsorted(came[order], np.arange(60), side="left")
    found = replayed(x, y, order, due, n_classes)
    slow = Baselines(task, NAMES, [str(c) for c in range(n_classes)])  # type: ignore[arg-type]
    done = 0
    for i in range(60):
        for j in order[done : due[i]]:
            slow.learn(str(j), float(y[j]) if task == "regression" else str(y[j]))
        done = due[i]
        said = slow.predict(str(i), {k: v for k, v in as_dict(x[i]).items() if v == v})
        for name, answer in said.items():
            assert found[name][i] == pytest.approx(float(str(answer))), (name, i)
