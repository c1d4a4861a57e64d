"""`encode: target` through every stage: what an event is encoded as, and that nothing looks ahead."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from services import discover
from services.trainer.dataset import Shape, build
from shared.blobs.memory import MemoryBlobs
from shared.features.categories import Coded
from shared.features.past import Past, Plan
from shared.log.memory import MemoryLog
from shared.log.port import Append
from shared.messages.codec import encode
from shared.messages.streams import AUDITS, EVENTS, JOBS, LABELS, MODELS, OUTCOMES, PREDICTIONS
from shared.messages.types import Prediction
from shared.models.live import fresh, members_per_version
from shared.models.port import Task
from shared.problem.consistency import consistency_mistakes
from shared.problem.spec import Problem
from shared.runtime.fuse import Fused
from shared.stage import Record
from tests.kit.check_stage import check_stage
from tests.kit.recorded import inputs_of, tools_over
from tests.unit.models.test_targets import by_hand

FRESHNESS, LATE, N = 8, 3, 260
START, STEP = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
CLASSES = {"binary": [0, 1], "multiclass": ["a", "b b", "c"], "regression": None}
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")


def declared(task: Task, **changes: Any) -> Problem:
    """A shop, and what is predicted of it `LATE` events before it is known."""
    classes = CLASSES[task]
    text = {
        "name": "shops", "goal": "g", "task": task,
        "events": {"id": "id", "time": "time", "fields": {
            "x": {"type": "number"},
            "shop": {"type": "category", "encode": "target", "smoothing": 4},
        }},
        "label": {"field": "y", **({"classes": classes} if classes else {})},
        "model": {"freshness": FRESHNESS, "snapshot_every": 64,
                  "experts": ["least-squares"] if task == "regression" else ["softmax"]},
        "audit": {"share": 1, "window": "1h"},
        **changes,
    }  # fmt: skip
    return Problem.model_validate(text)


def stream(task: Task, n: int = N) -> tuple[list[str | None], list[Any]]:
    draw = np.random.default_rng(3)
    shops = [None if k == 0 else f"s{k}" for k in draw.integers(0, 30, n)]
    classes = CLASSES[task]
    if classes is None:
        return shops, draw.normal(size=n).tolist()
    return shops, [classes[k] for k in draw.integers(0, len(classes), n)]


def run(problem: Problem, shops: Sequence[str | None], labels: Sequence[Any]) -> list[Record]:
    """What all services make of the stream; an event's label comes between two later events."""
    return _fold(problem, shops, labels)[0]


def _fold(
    problem: Problem, shops: Sequence[str | None], labels: Sequence[Any]
) -> tuple[list[Record], dict[str, list[Record]], MemoryBlobs]:
    log = MemoryLog()
    with log.begin("source") as transaction:
        for n, shop in enumerate(shops):
            time = START + n * STEP
            event = {"id": f"e{n}", "time": time, "x": float(n % 7), "shop": shop}
            at_ms = int(time.timestamp() * 1000)
            if n >= LATE:
                label = {"id": f"e{n - LATE}", "label": labels[n - LATE]}
                body = msgspec.json.encode(label)
                transaction.append([Append(LABELS, body, None, at_ms - 1)])
            transaction.append([Append(EVENTS, msgspec.json.encode(event), None, at_ms)])
    services = [service for service in discover() if service.build is not None]
    produced: list[Record] = []
    fused: Fused

    def outcomes(start: int, end: int) -> Sequence[bytes]:
        made = [r for r in (*produced, *fused.produced) if r.stream is OUTCOMES]
        return [encode(r.value) for r in made[start:end]]

    blobs = MemoryBlobs()
    fused = Fused(services, problem, tools_over(outcomes, problem, blobs))
    fused.restore({})
    inputs: dict[str, list[Record]] = {}
    for name in ("scorer", "learner"):
        inputs[name] = _spied(fused.stage(name))
    records = inputs_of(log, fused)
    for at in range(0, len(records), 100):
        produced += fused.handle(records[at : at + 100])
    return produced, inputs, blobs


def _spied(stage: Any) -> list[Record]:
    handle, seen = stage.handle, list[Record]()

    def spying(records: Sequence[Record]) -> Any:
        seen.extend(r for r in records if r.offset >= 0 or r.stream is not MODELS)
        return handle(records)

    stage.handle = spying
    return seen


@cache
def told(task: Task) -> list[Record]:
    return run(declared(task), *stream(task))


def predictions(records: Sequence[Record]) -> list[Prediction]:
    return [record.value for record in records if record.stream is PREDICTIONS]


def codes(shops: Sequence[str | None]) -> np.ndarray:
    coded = Coded("shop", declared("binary").events.fields["shop"])
    rows: list[dict[str, Any]] = [{"shop": shop} for shop in shops]
    for row in rows:
        coded.compute(row, START, Past(Plan()))
    return np.array([row["shop_code"] for row in rows], np.float64)


@pytest.mark.parametrize("task", TASKS)
def test_an_event_is_encoded_by_the_labels_that_had_come(task: Task) -> None:
    problem, (shops, labels) = declared(task), stream(task)
    numbers, classes = codes(shops), CLASSES[task]
    y = np.array(labels if classes is None else [classes.index(label) for label in labels])
    found = predictions(told(task))
    assert len(found) == N
    assert problem.feature_names == ("x", "shop_code")
    for n, prediction in enumerate(found):
        come = max(0, n - LATE + 1) // FRESHNESS * FRESHNESS
        mine = [prediction.features[name] for name in problem.learned_names]
        if shops[n] is None or not come:
            assert set(mine) == {None}
        else:
            expected = by_hand(numbers[:come], y[:come], numbers[n], task, 4.0)
            assert mine == pytest.approx(expected, abs=1e-12), n


@pytest.mark.parametrize("task", TASKS)
def test_labels_flipped_from_an_event_on_change_no_prediction_before_they_come(task: Task) -> None:
    shops, labels = stream(task)
    k = 120
    other = list(reversed(labels[k:])) if task == "regression" else None
    classes = CLASSES[task] or []
    flipped = other or [classes[(classes.index(y) + 1) % len(classes)] for y in labels[k:]]
    one = [encode(p) for p in predictions(told(task))]
    two = [encode(p) for p in predictions(run(declared(task), shops, labels[:k] + flipped))]
    known = k + LATE  # the first event that may know label k
    assert one[:known] == two[:known]
    assert one[known:] != two[known:], "labels are learned at all"


def test_the_audit_finds_nothing_to_say() -> None:
    audits = [record.value for record in told("binary") if record.stream is AUDITS]
    assert sum(audit.compared for audit in audits) > N / 2
    assert not any(audit.features for audit in audits)


def test_training_sees_what_was_served() -> None:
    problem = declared("binary")
    outcomes = [r.value for r in told("binary") if r.stream is OUTCOMES]
    scored = {p.id: p for p in predictions(told("binary"))}
    pool = fresh(problem, len(problem.model_names)).pool
    shape = Shape(problem.model_names, (0, 1), len(pool.bank.names), members_per_version(pool))
    data = build(outcomes, shape, 1_000)
    assert problem.model_names == ("x", "shop_target") and len(data.rows) == len(outcomes)
    served = [[scored[row.id].features[name] for name in shape.features] for row in data.rows]
    assert np.array(served, np.float64).tobytes() == data.x.tobytes()
    assert 10 < np.isfinite(data.x[:, 1]).sum() < len(data.x)


@pytest.mark.parametrize("name", ["scorer", "learner"])
def test_the_stages_keep_their_contract(name: str) -> None:
    problem = declared("binary")
    _, inputs, blobs = _fold(problem, *(part[:150] for part in stream("binary")))
    records = inputs[name]
    service = next(s for s in discover() if s.name == name)
    assert service.build is not None
    make, tools = service.build, tools_over(lambda start, end: [], problem, blobs)
    cuts = [len(records) // 3, 2 * len(records) // 3]
    check_stage(service, lambda: make(problem, tools), records, cuts)


@pytest.mark.slow
def test_a_trained_version_hears_the_encoding() -> None:
    """Each shop has a habit; what a job makes of its encoding is accepted, served, and right."""
    shops, _ = stream("binary", 1_200)
    habit = {shop: int(code) % 2 for shop, code in zip(shops, codes(shops), strict=True) if shop}
    labels = [habit.get(shop or "", 0) for shop in shops]
    problem = declared(
        "binary",
        retraining={
            "triggers": [{"on": "volume", "outcomes": 600}], "minimum": 200, "cooldown": 100,
            "effect_after": 40, "candidates": ["logistic"],
        },
        acceptance={"min_gain": -1.0, "beat_baselines": False},
    )  # fmt: skip
    records = run(problem, shops, labels)
    jobs = [record.value for record in records if record.stream is JOBS]
    assert "accepted" in {job.state for job in jobs}, [job.reason for job in jobs]
    models = [record.value for record in records if record.stream is MODELS]
    manifest = next(event.manifest for event in models if event.state == "shadow")
    assert manifest is not None and manifest["features"] == ["x", "shop_target"]
    last = predictions(records)[-200:]
    right = [
        p.prediction == habit[shop]
        for p, shop in zip(last, shops[-200:], strict=True)
        if shop is not None
    ]
    assert all(p.shadow or p.model != "v1" for p in last)
    assert np.mean(right) > 0.98


def test_what_cannot_be_is_said() -> None:
    (mistake,) = consistency_mistakes(declared("multiclass", label={"field": "y"}))
    assert mistake.path == ("events", "fields", "shop", "encode")
    taken = {"fields": {"shop": {"type": "category", "encode": "target"},
                        "shop_target": {"type": "number"}}}  # fmt: skip
    (mistake,) = consistency_mistakes(declared("binary", events=taken))
    assert "`shop_target` is there already" in mistake.wrong
    (mistake,) = consistency_mistakes(
        declared("binary", events={"fields": {"x": {"type": "number", "smoothing": 3}}})
    )
    assert "without `encode: target`" in mistake.wrong
