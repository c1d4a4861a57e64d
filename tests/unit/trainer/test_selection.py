from collections import Counter
from typing import Any

import numpy as np
import pytest

from services.console.evidence import job_sheets
from services.trainer.dataset import Shape, build
from services.trainer.fit import fit
from services.trainer.selection import kept
from services.trainer.slices import worst_slices
from shared.problem.spec import Selection
from tests.unit.trainer import world

ROWS = world.outcomes(1_000)


def _chosen(policy: Any, most: int = 200, seed: int = 1, **more: Any) -> list[int]:
    how = Selection(policy=policy, **more)
    return [int(i) for i in kept(ROWS, most, how, seed, regression=False)]


@pytest.mark.parametrize("policy", ["window", "all", "recency", "reservoir"])
def test_as_many_as_allowed_in_order_and_the_same_for_the_same_seed(policy: str) -> None:
    chosen = _chosen(policy)
    assert len(chosen) == 200
    assert chosen == sorted(set(chosen))
    assert chosen[100:] == list(range(900, 1_000)), "the newest half is whole"
    assert chosen == _chosen(policy)
    assert _chosen(policy, most=1_000) == _chosen(policy, most=5_000) == list(range(1_000))
    random = policy in ("recency", "reservoir")
    assert (chosen != _chosen(policy, seed=2)) == random


def test_recency_halves_with_its_half_life() -> None:
    """A row 300 rows older is half as likely: counted over many draws."""
    counts: Counter[int] = Counter()
    for seed in range(1_500):
        counts.update(i // 300 for i in _chosen("recency", 40, seed, half_life=300) if i < 900)
    assert counts[2] / counts[1] == pytest.approx(2, rel=0.1)
    assert counts[1] / counts[0] == pytest.approx(2, rel=0.15)


def test_the_reservoir_takes_rare_classes_whole_and_every_row_alike() -> None:
    rare = [world.replaced(row, label=int(n % 50 == 0)) for n, row in enumerate(ROWS)]
    counts: Counter[int] = Counter()
    for seed in range(400):
        places = kept(rare, 200, Selection(policy="reservoir"), seed, regression=False)
        older = [int(i) for i in places if i < 900]
        assert sum(rare[i].label == 1 for i in older) == 18, "all that there are"
        counts.update(i for i in older if rare[i].label == 0)
    assert len(counts) > 850
    assert max(counts.values()) < 4 * 400 * 82 / 882


def test_numbers_are_taken_from_each_quarter_of_their_range() -> None:
    rows = world.outcomes(1_000, task="regression")
    places = kept(rows, 200, Selection(policy="reservoir"), 3, regression=True)
    older = np.array([rows[i].label for i in places if i < 900], np.float64)
    cuts = np.quantile([row.label for row in rows[:900]], [0.25, 0.5, 0.75])
    assert np.bincount(np.searchsorted(cuts, older, side="right")).tolist() == [25] * 4


def test_the_digest_is_of_the_content() -> None:
    shape = Shape(tuple(world.NAMES), (0, 1), *world._sizes("binary"))
    rows = world.outcomes(50)
    digest = build(rows, shape, 100).digest
    assert build(rows, shape, 100).digest == digest
    assert build(rows[1:], shape, 100).digest != digest
    for change in ({"label": 1 - rows[7].label}, {"features": {**rows[7].features, "x0": 9.0}}):
        other = [*rows[:7], world.replaced(rows[7], **change), *rows[8:]]
        assert build(other, shape, 100).digest != digest


def test_a_job_says_what_it_chose_and_where_it_is_weak() -> None:
    chosen = {"policy": "recency", "half_life": 200}
    spec = {"candidates": ["logistic"], "budget": {"rows": 400}, "selection": chosen}
    result = fit(world.request(ROWS, world.problem(retraining=spec)))
    board = result.board
    rows = board["rows"]
    assert (rows["used"], rows["policy"], len(rows["digest"])) == (400, "recency", 64)
    assert rows["held_first"] < rows["held_last"] == ROWS[-1].time.isoformat()
    assert sum(rows["labels"].values()) == 400
    assert board["interpretability"] == "weights"
    assert board["size_bytes"] > 0
    said = {e["role"]: e for e in board["entries"] if e["role"] != "candidate"}
    for role in ("champion", "challenger", "alone", "baseline"):
        assert 0 <= said[role]["calibration_error"] <= 1
        assert 0 <= said[role]["brier"] <= 2
    for weak in board["worst_slices"]:
        assert set(weak) == {"slice", "n", "loss", "champion_loss"}


def test_the_worst_slice_is_found_and_a_small_one_does_not_lead() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=800), rng.integers(0, 3, 800), rng.normal(size=800)], axis=1)
    x[:5, 2] = np.nan
    loss = np.where(x[:, 1] == 2, 0.6, 0.1) + 0.01 * rng.normal(size=800)
    loss[:5] = 1.0
    found = worst_slices(x, ("a", "kind", "c"), loss, np.zeros(800))
    assert found[0]["slice"] == "kind = 2"
    assert found[0]["n"] == int((x[:, 1] == 2).sum())
    assert found[0]["loss"] == pytest.approx(0.6, abs=0.02)
    assert all("missing" not in weak["slice"] for weak in found)


def test_declared_slices_of_everybody_stand_on_the_board_the_worst_first() -> None:
    slices = [{"name": "low", "expression": "x0 < 0"}, {"name": "high", "expression": "x0 >= 0"},
              {"name": "rare", "expression": "x0 > 1e6"}]  # fmt: skip
    spec = {"candidates": ["logistic", "tree"], "budget": {"rows": 400}}
    problem = world.problem(retraining=spec, evaluation={"slices": slices})
    board = fit(world.request(ROWS, problem)).board
    told = board["declared_slices"]
    people = {"challenger", "champion", "candidate: logistic", "candidate: tree"}
    assert {row["who"] for row in told} == people
    for who in people:
        rows = [row for row in told if row["who"] == who]
        assert rows[-1] == {"who": who, "slice": "rare", "n": 0, "loss": None}
        worst, other = rows[:2]
        assert worst["loss"]["mean"] >= other["loss"]["mean"]
        assert all(r["loss"]["low"] <= r["loss"]["mean"] <= r["loss"]["high"] for r in rows[:2])
        if who in ("challenger", "champion"):
            whole = next(e for e in board["entries"] if e["role"] == who)
            summed = sum(r["n"] * r["loss"]["mean"] for r in rows[:2])
            assert (worst["n"] + other["n"], summed / whole["n"]) == (
                whole["n"], pytest.approx(whole["loss"], abs=1e-5),
            )  # fmt: skip
    tables = {sheet.name: sheet for sheet in job_sheets(board)}
    assert tables["declared slices"].columns == ["who", "slice", "n", "loss"]
