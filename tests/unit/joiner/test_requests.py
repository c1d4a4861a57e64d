"""Requests for labels: the most informative of each window, within the budget, nothing else."""

from datetime import UTC, datetime, timedelta
from math import log2
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.joiner import SERVICE
from services.joiner.core import Joiner
from services.joiner.requests import uncertainty
from shared.messages.streams import CONTROL, LABEL_REQUESTS, LABELS, PREDICTIONS
from shared.messages.types import Control, LabelRequest, Prediction
from shared.problem.spec import Problem
from shared.stage import Record
from tests.kit.check_stage import check_stage

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def problem(budget: int = 3, by: str = "margin", **label: Any) -> Problem:
    requests = {"budget": budget, "window": "1h", "by": by}
    return Problem.model_validate(
        {"name": "p", "goal": "g", "task": "multiclass",
         "events": {"fields": {"x": {"type": "number"}}},
         "label": {"field": "y", "requests": requests, **label}}
    )  # fmt: skip


def said(name: str, minutes: float, *chances: float) -> Prediction:
    named = {f"c{n}": p for n, p in enumerate(chances)}
    return Prediction(
        id=name, time=START + timedelta(minutes=minutes), prediction="c0", model="v1",
        features={"x": 1.0}, feature_set="f", key="k", probabilities=named,
    )  # fmt: skip


def story(seed: int, size: int) -> list[Record]:
    """Predictions of some hours, a little out of order; labels soon, late, or never."""
    draw = np.random.default_rng(seed)
    records: list[tuple[float, Record]] = []
    for n in range(size):
        at = float(draw.uniform(0, 300))
        chances = draw.dirichlet([0.5, 0.5, 0.5]).round(2).tolist()
        records.append((at + draw.uniform(0, 5), Record(PREDICTIONS, said(f"e{n}", at, *chances))))
        if draw.random() < 0.5:
            label = b'{"id":"e%d","label":"c1"}' % n
            records.append((at + draw.exponential(60), Record(LABELS, label)))
    for minutes in range(10, 300, 10):
        tick = Control(command="tick", time=START + timedelta(minutes=minutes))
        records.append((minutes, Record(CONTROL, tick)))
    return [record for _, record in sorted(records, key=lambda item: item[0])]


def oracle(records: list[Record], budget: int) -> list[str]:
    """After each record: is a window over? Then sort all that has no label."""
    waiting: dict[str, Prediction] = {}
    early: set[str] = set()
    window, asked = -1, []
    for record in records:
        value = record.value
        if record.stream is not LABELS:
            now = (value.time - START) // HOUR
            if 0 <= window < now:
                inside = [p for p in waiting.values() if (p.time - START) // HOUR == window]
                inside.sort(key=lambda p: (-uncertainty(p, "margin"), p.time, p.id))
                asked += [p.id for p in inside[:budget]]
            window = max(window, now)
        if record.stream is PREDICTIONS and value.id not in early:
            waiting[value.id] = value
        if record.stream is LABELS:
            name = value.split(b'"')[3].decode()
            early.add(name)
            waiting.pop(name, None)
    return asked


def asked(records: list[Record], spec: Problem) -> list[LabelRequest]:
    return [out.value for out in Joiner(spec).handle(records) if out.stream is LABEL_REQUESTS]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 80), st.integers(1, 6))
def test_the_least_sure_without_a_label_first(seed: int, size: int, budget: int) -> None:
    records = story(seed, size)
    found = asked(records, problem(budget))
    assert [request.id for request in found] == oracle(records, budget)
    for request in found:
        assert request.start <= request.time < request.end == request.start + HOUR
    per_window: dict[datetime, list[LabelRequest]] = {}
    for request in found:
        per_window.setdefault(request.start, []).append(request)
    for inside in per_window.values():
        assert [request.rank for request in inside] == list(range(1, len(inside) + 1))
        sure = [request.uncertainty for request in inside]
        assert sure == sorted(sure, reverse=True) and len(inside) <= budget


def test_the_measures() -> None:
    p = said("a", 0, 0.5, 0.3, 0.2)
    assert uncertainty(p, "margin") == pytest.approx(0.8)
    assert uncertainty(p, "least_confidence") == pytest.approx(0.5)
    bits = -sum(q * log2(q) for q in (0.5, 0.3, 0.2)) / log2(3)
    assert uncertainty(p, "entropy") == pytest.approx(bits)
    for by in ("margin", "entropy", "least_confidence"):
        assert uncertainty(said("a", 0, 1.0, 0.0), by) == 0.0
        assert uncertainty(said("a", 0), by) == 1.0, "nothing known: ask"
    number = said("a", 0)
    number.interval = (2.0, 5.5)
    assert uncertainty(number, "margin") == 3.5


def test_the_three_may_disagree() -> None:
    flat, torn = said("flat", 1, 0.4, 0.3, 0.3), said("torn", 2, 0.49, 0.49, 0.02)
    end = Record(CONTROL, Control(command="end", time=START + 2 * HOUR))
    records = [Record(PREDICTIONS, flat), Record(PREDICTIONS, torn), end]
    first = {by: asked(records, problem(1, by))[0].id for by in ("margin", "entropy")}
    assert first == {"margin": "torn", "entropy": "flat"}


def test_nobody_is_asked_unless_it_is_declared() -> None:
    assert asked(story(1, 50), problem(requests=None)) == []


def test_it_is_still_a_stage() -> None:
    records = story(7, 80)
    spec = problem(2, wait="2h", default="c0")
    outs = check_stage(SERVICE, lambda: Joiner(spec), records, [1, 40, 90, len(records) - 1])
    assert sum(out.stream is LABEL_REQUESTS for out in outs) > 4
