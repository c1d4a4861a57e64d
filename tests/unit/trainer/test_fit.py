from datetime import timedelta

import msgspec
import numpy as np
import pytest

from services.trainer.fit import fit
from services.trainer.request import FitResult
from services.trainer.trials import seed_of
from shared.features.profile.reference import read_reference
from shared.messages.types import Outcome
from shared.models.anchors import seen_by
from shared.models.arrival import Arrivals, pack_arrival
from shared.models.artefact import anchor_from_bytes
from shared.models.live import fresh
from shared.models.rows import matrix
from shared.registry.estimator import estimator_from_bytes
from shared.registry.manifest import BlobRef
from tests.unit.trainer import world

TREES = {"candidates": ["logistic", "boosting"]}


@pytest.fixture(scope="module")
def accepted() -> FitResult:
    kept = {**TREES, "keep_estimator": True}
    return fit(world.request(world.outcomes(900), world.problem(retraining=kept)))


def test_better_candidate_is_accepted_with_a_full_board(accepted: FitResult) -> None:
    assert accepted.state == "accepted", accepted.reason
    board = accepted.board
    assert board["chosen"] == "boosting"
    roles = [(entry["role"], entry["name"]) for entry in board["entries"]]
    assert ("candidate", "logistic") in roles
    assert {name for role, name in roles if role == "baseline"} >= {
        "majority",
        "no_change",
        "linear",
    }
    for entry in board["entries"]:
        assert entry["reason" if entry["role"] != "champion" else "name"]
        assert entry["n"] > 0
        assert entry["low"] <= entry["loss"] <= entry["high"]
    for entry in board["entries"]:
        if entry["role"] == "candidate":
            expected = next(e for e in board["entries"] if e is entry)
            assert entry["gap"] == pytest.approx(expected["loss"] - entry["train_loss"], abs=1e-6)
    tried = {e["name"]: e["joined_loss"] for e in board["entries"] if e["role"] == "candidate"}
    assert board["chosen"] == min(tried, key=lambda name: tried[name])
    rows = board["rows"]
    assert rows["train"] + rows["embargo"] + rows["held_back"] == rows["used"] == 900
    assert "gain of +" in accepted.reason
    msgspec.json.encode(board)


def test_artefact_and_export_are_what_the_manifest_names(accepted: FitResult) -> None:
    manifest = accepted.manifest
    assert manifest is not None
    assert accepted.artefact is not None
    assert accepted.estimator is not None
    assert manifest["artefact"] == msgspec.to_builtins(BlobRef.of(accepted.artefact))
    assert manifest["estimator"] == msgspec.to_builtins(BlobRef.of(accepted.estimator))
    assert (manifest["version"], manifest["parent"], manifest["classes"]) == ("v2", "v1", [0, 1])
    profile = read_reference(manifest["profile"])
    assert list(profile) == manifest["features"]
    assert all(c.n + c.missing == manifest["selection"]["train"] for c in profile.values())
    x = np.random.default_rng(5).normal(size=(50, 3))
    served = anchor_from_bytes(accepted.artefact).predict_many(x)
    exported = estimator_from_bytes(accepted.estimator).predict_proba(x)
    assert np.abs(served - exported).max() < 1e-6


def test_the_library_object_is_kept_only_where_the_problem_asks_for_it(
    accepted: FitResult,
) -> None:
    result = fit(world.request(world.outcomes(900), world.problem(retraining=TREES)))
    assert result.artefact == accepted.artefact
    assert result.estimator is None
    assert result.manifest is not None
    assert result.manifest["estimator"] is None


def test_same_request_same_bytes(accepted: FitResult) -> None:
    kept = {**TREES, "keep_estimator": True}
    again = fit(world.request(world.outcomes(900), world.problem(retraining=kept)))
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(accepted)
    assert accepted.manifest is not None
    assert accepted.manifest["seeds"] == {"boosting": seed_of("signs", "job-0001", "boosting")}


def test_a_good_champion_stays() -> None:
    result = fit(world.request(world.outcomes(600, right=0.99), world.problem(retraining=TREES)))
    assert result.state == "rejected"
    assert "Rejected" in result.reason
    assert result.artefact is None


def test_nothing_is_learned_from_noise() -> None:
    rows = world.outcomes(600, right=0.5, noise=True)
    result = fit(world.request(rows, world.problem(retraining=TREES)))
    assert result.state == "rejected", result.reason


def test_a_baseline_that_is_not_beaten_stops_a_better_challenger() -> None:
    rule = [{"name": "truth", "expression": "x0 * x1 > 0"}]
    spec = {"retraining": TREES, "evaluation": {"rules": rule}}
    result = fit(world.request(world.outcomes(900), world.problem(**spec)))
    assert result.state == "rejected"
    assert "the best baseline (truth)" in result.reason
    spec["acceptance"] = {"beat_baselines": False}
    assert fit(world.request(world.outcomes(900), world.problem(**spec))).state == "accepted"


def test_labels_of_held_rows_do_not_touch_what_is_fitted() -> None:
    """Leak check: other labels in the newest fifth change the verdict, never a candidate."""
    rows = world.outcomes(600)
    flipped = [world.replaced(r, label=1 - r.label) if i >= 480 else r for i, r in enumerate(rows)]
    first, second = (
        fit(world.request(r, world.problem(retraining=TREES))).board for r in (rows, flipped)
    )
    candidates = [[e for e in b["entries"] if e["role"] == "candidate"] for b in (first, second)]
    assert candidates[0] == candidates[1]
    assert first["entries"][0] != second["entries"][0]


def test_labels_of_held_rows_do_not_touch_what_is_shipped(accepted: FitResult) -> None:
    rows = world.outcomes(900)
    rows[-9:] = [world.replaced(row, label=1 - row.label) for row in rows[-9:]]
    other = fit(world.request(rows, world.problem(retraining=TREES)))
    assert other.state == "accepted"
    assert other.board["entries"][0]["loss"] > accepted.board["entries"][0]["loss"]
    assert other.artefact == accepted.artefact


def test_late_labels_make_an_embargo() -> None:
    rows = world.outcomes(900, delay=timedelta(minutes=60))
    board = fit(world.request(rows, world.problem(retraining=TREES))).board
    assert board["rows"]["embargo"] == 59


def test_regression() -> None:
    spec = world.problem("regression", retraining={"candidates": ["ridge", "boosting"]})
    result = fit(world.request(world.outcomes(900, task="regression", right=0.2), spec))
    assert result.state == "accepted", result.reason
    assert result.board["metric"] == "mae"
    assert result.board["chosen"] == "boosting"


@pytest.mark.parametrize(
    ("rows", "retraining", "words"),
    [
        (20, TREES, "too few"),
        (400, {"candidates": ["nonsense"]}, "there is no candidate `nonsense`"),
    ],
)
def test_failures_say_why(rows: int, retraining: dict[str, object], words: str) -> None:
    result = fit(world.request(world.outcomes(rows), world.problem(retraining=retraining)))
    assert result.state == "failed"
    assert words in result.reason


def test_one_class_only_fails_in_words() -> None:
    rows = [world.replaced(row, label=1) for row in world.outcomes(200)]
    result = fit(world.request(rows, world.problem(retraining=TREES)))
    assert result.state == "failed"
    assert "one class" in result.reason


def test_the_budget_counts_trials_and_rows() -> None:
    spec = {"candidates": ["logistic", "boosting"], "budget": {"trials": 1, "rows": 300}}
    board = fit(world.request(world.outcomes(500), world.problem(retraining=spec))).board
    assert [e["name"] for e in board["entries"] if e["role"] == "candidate"] == ["logistic"]
    assert board["rows"]["used"] == 300
    assert board["rows"]["left_out"] == {"beyond the row budget": 200}


def _risen(n: int) -> list[Outcome]:
    """x0 wanders; y says whether it stands above where it was lately. No level of x0 tells that."""
    rows = world.outcomes(n, right=0.5)
    x = np.array([list(row.features.values()) for row in rows])
    x[:, 0] = 50.0 + 3.0 * np.cumsum(np.random.default_rng(3).normal(size=n))
    lately = np.convolve(x[:, 0], np.ones(8) / 8)[:n]
    looks = pack_arrival(Arrivals(3).take(x))
    return [
        world.replaced(
            row, label=int(values[0] > mean), arrival=look,
            features=dict(zip(world.NAMES, values.tolist(), strict=True)),
        )
        for row, values, mean, look in zip(rows, x, lately, looks, strict=True)
    ]  # fmt: skip


def test_a_candidate_on_the_view_is_chosen_where_only_the_view_tells() -> None:
    rows = _risen(900)
    spec = world.problem(retraining={"candidates": ["boosting", "view-boosting"]})
    result = fit(world.request(rows, spec))
    assert result.board["chosen"] == "view-boosting", result.reason
    assert result.artefact is not None, result.reason
    anchor = anchor_from_bytes(result.artefact)
    x = matrix([row.features for row in rows], world.NAMES)
    view = Arrivals(3).take(x).view.astype(np.float64)
    assert seen_by(anchor, x, view) is view
    pool = fresh(spec, 3).pool
    pool.add_version("v2", {"v2": anchor})
    said = np.concatenate([pool.predict_many(part).said[:, -1] for part in np.split(x, 9)])
    np.testing.assert_array_equal(said, anchor.predict_many(view).astype(np.float16))
    right = said[-180:].argmax(axis=1) == [row.label for row in rows[-180:]]
    assert right.mean() > 0.85


def test_rows_whose_view_cannot_be_read_are_left_out() -> None:
    rows = world.outcomes(300)
    rows[7] = world.replaced(rows[7], arrival="?")
    result = fit(world.request(rows, world.problem(retraining={"candidates": ["logistic"]})))
    assert result.board["rows"]["left_out"] == {"unreadable expert answers": 1}
