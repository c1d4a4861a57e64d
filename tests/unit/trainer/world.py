"""A small world with a known truth: y says whether x0 and x1 have the same sign, which no line can."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import numpy as np

from services.trainer.request import FitRequest
from shared.messages.types import Job, Outcome
from shared.models.arrival import Arrivals, pack_arrival
from shared.models.live import fresh, members_per_version
from shared.models.said import pack
from shared.problem.spec import Problem

T0 = datetime(2020, 1, 1, tzinfo=UTC)
NAMES = ["x0", "x1", "x2"]
EVERY = timedelta(minutes=1)


def problem(task: str = "binary", **sections: Any) -> Problem:
    label: dict[str, Any] = {"field": "y"}
    if task != "regression":
        label["classes"] = [0, 1]
    return Problem.model_validate(
        {
            "name": "signs",
            "goal": "same sign?",
            "task": task,
            "events": {"fields": {name: {"type": "number"} for name in NAMES}},
            "label": label,
            "model": {"experts": ["counts" if task != "regression" else "persistence"]},
            **sections,
        }
    )


@cache
def _sizes(task: str) -> tuple[int, int]:
    pool = fresh(problem(task), len(NAMES)).pool
    return len(pool.bank.names), members_per_version(pool)


def outcomes(
    n: int,
    right: float = 0.6,
    delay: timedelta = EVERY,
    task: str = "binary",
    seed: int = 1,
    noise: bool = False,
) -> list[Outcome]:
    """Rows in the order in which labels came; the champion's answers are right that often."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    truth = x[:, 0] * x[:, 1] if task == "regression" else (x[:, 0] * x[:, 1] > 0).astype(int)
    if noise:
        truth = rng.permutation(truth)
    good = rng.random(n) < right
    make = _number if task == "regression" else _class
    rows = [make(i, x[i], truth[i], bool(good[i]), delay) for i in range(n)]
    looks = pack_arrival(Arrivals(len(NAMES)).take(x))
    return [replaced(row, arrival=look) for row, look in zip(rows, looks, strict=True)]


def _class(i: int, x: Any, truth: Any, good: bool, delay: timedelta) -> Outcome:
    n_base, n_members = _sizes("binary")
    y = int(truth)
    answer = y if good else 1 - y
    p = np.array([0.45, 0.55] if answer else [0.55, 0.45], np.float32)
    said = pack((), np.tile(p, (n_base, 1)), {"v1": np.tile(p, (n_members, 1))}, half=True)
    probabilities = {"0": float(p[0]), "1": float(p[1])}
    return _row(i, x, y, answer, said, delay, probabilities=probabilities)


def _number(i: int, x: Any, truth: Any, good: bool, delay: timedelta) -> Outcome:
    n_base, n_members = _sizes("regression")
    answer = float(truth) if good else 0.0
    p = np.array([answer], np.float32)
    said = pack((), np.tile(p, (n_base, 1)), {"v1": np.tile(p, (n_members, 1))}, half=False)
    return _row(i, x, float(truth), answer, said, delay)


def _row(i: int, x: Any, y: Any, answer: Any, said: str, delay: timedelta, **more: Any) -> Outcome:
    return Outcome(
        id=f"e{i}", time=T0 + i * EVERY, prediction=answer, model="v1",
        features=dict(zip(NAMES, x.tolist(), strict=True)), feature_set="fs", said=said,
        label=y, labelled_at=T0 + i * EVERY + delay, **more,
    )  # fmt: skip


def job(end: int, number: int = 1, start: int = 0, **fields: Any) -> Job:
    fields = {"effective": end + 10, **fields}
    return Job(
        job=f"job-{number:04d}", state="requested", reason="because", trigger="volume", time=T0,
        start=start, end=end, **fields,
    )  # fmt: skip


def raw(rows: Sequence[Outcome]) -> list[bytes]:
    return [msgspec.json.encode(row) for row in rows]


def request(rows: Sequence[Outcome], spec: Problem | None = None, number: int = 1) -> FitRequest:
    spec = spec or problem()
    n_base, n_members = _sizes("regression" if spec.task == "regression" else "binary")
    return FitRequest(
        job=job(len(rows), number), version="v2", problem=spec.model_dump_json(),
        features=NAMES, outcomes=raw(rows), n_base=n_base, n_members=n_members,
    )  # fmt: skip


def replaced(row: Outcome, **fields: Any) -> Outcome:
    return msgspec.structs.replace(row, **fields)


def plain(result: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a clock said, and what is only measured in a process of its own."""
    measured = {"fit_seconds", "one_row_seconds", "model_mb", "replayed_rows"}
    return {**result, "board": {k: v for k, v in result["board"].items() if k not in measured}}
