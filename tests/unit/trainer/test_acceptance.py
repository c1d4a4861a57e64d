"""An accepted artefact on trial as it would be served: slow, large, silent or whimsical ones fail."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

from services.trainer.acceptance import rehearsed
from shared.models.anchors import anchor_of
from shared.models.artefact import anchor_to_bytes
from shared.models.port import F64
from shared.problem.spec import Acceptance

X: F64 = np.random.default_rng(0).normal(size=(64, 3))
LINEAR: dict[str, Any] = {
    "fill": np.zeros(3), "mean": np.zeros(3), "scale": np.ones(3), "places": np.arange(2),
    "n_classes": np.array([2]), "weights": np.array([[0.0, 1.0]] * 3), "bias": np.zeros(2),
}  # fmt: skip


def on_trial(
    change: dict[str, Any], cpu_s: Callable[[], float] = lambda: 0.0, width: int = 2, **limits: Any
) -> tuple[dict[str, Any], str]:
    data = anchor_to_bytes(anchor_of("linear", LINEAR | change))
    return rehearsed(data, X, X, width, Acceptance(**limits), cpu_s)


def test_a_good_one_passes_with_its_evidence() -> None:
    evidence, why = on_trial({})
    assert why == ""
    assert evidence == {"replayed_rows": 64, "model_mb": pytest.approx(0.0, abs=0.001),
                        "one_row_seconds": 0.0}  # fmt: skip


def test_a_slow_one() -> None:
    clock = count(0.0, 64 * 0.007)
    evidence, why = on_trial({}, lambda: next(clock))
    assert evidence["one_row_seconds"] == pytest.approx(0.007)
    assert why == "serving one event takes 7.00 ms of CPU; acceptance.max_latency_ms allows 5"


def test_a_memory_hungry_one() -> None:
    evidence, why = on_trial({"weights": np.zeros((200_000, 2))}, max_model_mb=3)
    assert evidence["model_mb"] == pytest.approx(3.2, abs=0.01)
    assert "3.2 MB in every scorer" in why


def test_one_that_is_silent_on_some_events() -> None:
    top = np.sort(X[:, 0])[-5]
    boundary = {"mean": np.array([top, 0, 0]), "scale": np.array([0.0, 1, 1])}
    with np.errstate(all="ignore"):
        _, why = on_trial(boundary)
    assert "no usable answer to" in why


def test_one_of_another_width() -> None:
    assert "not 3" in on_trial({}, width=3)[1]


def test_damaged_bytes() -> None:
    data = anchor_to_bytes(anchor_of("linear", LINEAR))
    _, why = rehearsed(data[:-20], X, X, 2, Acceptance(), lambda: 0.0)
    assert "cannot be opened again" in why


def test_one_whose_answer_depends_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(anchor_of("linear", LINEAR))
    honest = kind.predict_many
    monkeypatch.setattr(kind, "predict_many", lambda self, x: honest(self, x) + 1e-3 * len(x))
    assert "depends on what is scored with it" in on_trial({})[1]


def test_one_that_answers_otherwise_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, turn = type(anchor_of("linear", LINEAR)), count()
    honest = kind.predict_many
    monkeypatch.setattr(kind, "predict_many", lambda self, x: honest(self, x) + 1e-9 * next(turn))
    assert "the same answer to the same input" in on_trial({})[1]
