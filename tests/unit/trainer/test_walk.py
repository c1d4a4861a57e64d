"""Going through past rows gives what was published when they were live."""

from typing import Any

import numpy as np
import pytest

from services.trainer.dataset import Shape, build, split
from services.trainer.losses import Answers
from services.trainer.walk import Rehearsal, baseline_answers, rule_answer
from shared.messages.types import Outcome
from shared.models.live import fresh, members_per_version
from shared.models.said import pack
from tests.kit.baselines import Baselines
from tests.unit.trainer import world

LATE = 3


def _lived(n: int) -> tuple[list[Outcome], Shape]:
    """A real pool, test-then-train, each label known three events later."""
    rows = world.outcomes(n, delay=LATE * world.EVERY)
    pool = fresh(world.problem(), 3).pool
    shape = Shape(tuple(world.NAMES), (0, 1), len(pool.bank.names), members_per_version(pool))
    x = np.array([list(row.features.values()) for row in rows], np.float64)
    y = np.array([row.label for row in rows])
    told: list[Any] = []
    for i, row in enumerate(rows):
        if i >= LATE:
            k = i - LATE
            scored = told[k]
            members = {v: verdict.members for v, verdict in scored.by_version.items()}
            pool.learn_many(x[k : k + 1], y[k : k + 1], scored.said, members, scored.arrival)
        scored = pool.predict_many(x[i : i + 1])
        told.append(scored)
        verdict = scored.by_version["v1"]
        row.said = pack((), scored.said[0], {"v1": verdict.members[0]}, half=True)
        row.probabilities = {"0": float(verdict.mean[0, 0]), "1": float(verdict.mean[0, 1])}
        row.prediction = int(verdict.mean[0].argmax())
    return rows, shape


@pytest.fixture(scope="module")
def lived() -> tuple[list[Outcome], Shape]:
    return _lived(300)


def test_without_an_anchor_the_walk_is_the_champion(lived: tuple[list[Outcome], Shape]) -> None:
    """So whatever a challenger gains on held rows, its anchor has earned."""
    rows, shape = lived
    data = build(rows, shape, 1_000)
    rehearsal = Rehearsal(data, shape, "binary", len(rows))
    mean = rehearsal.joined(np.full((len(rows), 2), 0.5, np.float32), len(rows)).mean
    assert np.abs(mean - data.published).max() < 1e-12
    assert Answers.of(mean).index.tolist() == data.answered.tolist()


def test_a_silent_anchor_changes_little_and_a_true_one_much(
    lived: tuple[list[Outcome], Shape],
) -> None:
    rows, shape = lived
    data = build(rows, shape, 1_000)
    silent = np.full((300, 2), 0.5, np.float32)
    oracle = np.eye(2, dtype=np.float32)[data.y.astype(int)]
    late = slice(250, 300)
    rehearsal = Rehearsal(data, shape, "binary", 150)
    right = {
        name: float(np.mean(rehearsal.joined(w, 300).index[late] == data.y[late]))
        for name, w in (("silent", silent), ("oracle", oracle))
    }
    champion = float(np.mean(data.answered[late] == data.y[late]))
    assert right["silent"] == pytest.approx(champion, abs=0.1)
    assert right["oracle"] > 0.95


def test_one_rehearsal_serves_one_anchor_after_another(lived: tuple[list[Outcome], Shape]) -> None:
    rows, shape = lived
    data = build(rows, shape, 1_000)
    words = np.random.default_rng(1).dirichlet([1, 1], 300).astype(np.float32)
    rehearsal = Rehearsal(data, shape, "binary", 150)
    rehearsal.joined(np.eye(2, dtype=np.float32)[data.y.astype(int)][:200], 200)
    fresh = Rehearsal(data, shape, "binary", 150)
    assert (rehearsal.joined(words, 300).mean == fresh.joined(words, 300).mean).all()


def test_baselines_are_told_labels_when_they_came(lived: tuple[list[Outcome], Shape]) -> None:
    """Against the obvious loop over events and labels three events late."""
    rows, shape = lived
    data = build(rows, shape, 1_000)
    plan = split(data.at, data.known_at, 0.2)
    found = baseline_answers(data, shape, {}, plan)
    slow = Baselines("binary", world.NAMES, ["0", "1"])
    said = []
    for i, row in enumerate(rows):
        if i >= LATE:
            slow.learn(rows[i - LATE].id, str(rows[i - LATE].label))
        said.append(slow.predict(row.id, row.features))
    for name, answers in found.items():
        assert [str(k) for k in answers.index] == [said[i][name] for i in plan.held]


@pytest.mark.parametrize(
    ("value", "keys", "answer"),
    [
        (True, ["0", "1"], "1"),
        (False, ["no", "yes"], "no"),
        (True, ["false", "true"], "true"),
        (True, ["a", "b", "c"], None),
        (1.0, ["0", "1"], "1"),
        ("b", ["a", "b"], "b"),
        (None, ["0", "1"], None),
        (2.5, [], 2.5),
        (None, [], None),
    ],
)
def test_what_a_rule_means(value: Any, keys: list[str], answer: Any) -> None:
    assert rule_answer(value, keys) == answer
