"""A version whose numbers are none is never what is published, if another one has an answer."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from services.scorer.core import Scorer
from shared.blobs.memory import MemoryBlobs
from shared.messages.streams import FEATURES, MODELS
from shared.messages.types import Features, Prediction
from shared.models.anchors import anchor_of
from shared.models.live import LiveModel, fresh
from shared.problem.spec import Canary, Events, FieldSpec, LabelSpec, ModelSpec, Problem, Promotion
from shared.stage import Record
from tests.kit.recorded import tools_over

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TOY = Problem(
    name="toy",
    goal="numbers",
    task="regression",
    events=Events(fields={"x": FieldSpec(type="number")}),
    label=LabelSpec(field="y"),
    model=ModelSpec(experts=["least-squares"]),
    promotion=Promotion(canary=Canary(share=0.5, by="event")),
)
SILENT = {
    "fill": np.zeros(1), "mean": np.zeros(1), "scale": np.ones(1), "places": np.zeros(0, np.int64),
    "n_classes": np.array([1]), "weights": np.array([[np.nan]]), "bias": np.zeros(1),
}  # fmt: skip


@pytest.fixture
def live() -> LiveModel:
    """v1, and v2 with an anchor that says NaN."""
    live = fresh(TOY, 1)
    live.pool.add_version("v2", {"v2": anchor_of("linear", SILENT)})
    return live


def predictions(live: LiveModel, n: int = 60) -> list[Prediction]:
    scorer = Scorer(TOY, tools_over(None, TOY, MemoryBlobs()))
    events: list[Any] = [
        Record(FEATURES, Features(f"e{i}", T0, {"x": float(i)}, "f"), offset=i) for i in range(n)
    ]
    return [out.value for out in scorer.handle([Record(MODELS, live), *events])]


def test_the_champion_stands_in_for_a_canary(live: LiveModel) -> None:
    live.pool.expose("v2")
    for p in predictions(live):
        assert (p.model, p.champion) == ("v1", None)
        assert p.prediction is not None
        assert p.shadow == {"v2": {"prediction": None}}


def test_a_shadow_stands_in_for_the_champion(live: LiveModel) -> None:
    live.pool.promote("v2")
    for p in predictions(live):
        assert (p.model, p.champion) == ("v1", "v2")
        assert p.prediction is not None
        assert p.shadow == {"v2": {"prediction": None}}


def test_a_canary_that_works_answers_its_share(live: LiveModel) -> None:
    works = {**SILENT, "weights": np.array([[1.0]])}
    live.pool.add_version("v3", {"v3": anchor_of("linear", works)})
    live.pool.expose("v3")
    found = predictions(live, 400)
    assert {(p.model, p.champion) for p in found} == {("v1", None), ("v3", "v1")}
    assert 0.35 < sum(p.model == "v3" for p in found) / len(found) <= 0.5
    for p in found:
        assert set(p.shadow or {}) | {p.model} == {"v1", "v2", "v3"}


def test_where_nobody_has_an_answer_none_is_made_up(live: LiveModel) -> None:
    live.pool.promote("v2")
    live.pool.drop_version("v1")
    assert {p.prediction for p in predictions(live)} == {None}
