"""Arbitrary and near-valid bytes through validator and featurizer with every option set: never
an exception, one record for each event. `make fuzz-long` is the long lane (2,000,000 events).
"""

import json
import math
import os
import random
from typing import Any

from msgspec.structs import replace

from services.featurizer.core import Featurizer
from services.validator.core import Validator
from shared.messages.streams import VALID
from shared.problem.spec import Problem
from shared.stage import Record
from tests.unit.validator.events import problem, record

EVENTS = int(os.environ.get("HEADRACE_FUZZ_EVENTS", "2000"))
BATCH = 500
START_S = 1_700_000_000
FIELDS: dict[str, Any] = {
    "who": {"type": "category", "encode": "hash", "pattern": "[a-z]{1,3}", "coerce": True},
    "x": {"type": "number", "range": [-1e6, 1e300], "missing": "median", "outliers": "reject"},
    "y": {"type": "number", "missing": "flag", "outliers": "flag", "scale": "standard", "coerce": True},
    "n": {"type": "integer", "missing": "mode", "required": False, "outliers": "clip"},
    "ok": {"type": "boolean", "coerce": True, "absent_in": ["serving"]},
    "hue": {"type": "category", "categories": ["red", 3], "unseen": "other", "missing": "mode"},
    "ended": {"type": "time", "required": False},
}  # fmt: skip
FEATURES: list[dict[str, Any]] = [
    {"kind": "calendar", "parts": ["hour", "weekend"], "zone": "Europe/Berlin"},
    {"kind": "lags", "field": "x", "by": [1, 5], "difference": True},
    {"kind": "window", "field": "x", "of": ["mean", "std", "trend", "q95", "distinct"], "size": 9},
    {"kind": "window", "field": "y", "of": ["sum", "median"], "span": "1h"},
    {"kind": "window", "field": "n", "of": ["max", "trend"], "session": "5m"},
    {"kind": "window", "field": "x", "of": ["std"], "tumbling": "1h", "minus_now": True},
    {"kind": "decayed", "field": "x", "half_life": "1m"},
    {"kind": "since", "name": "since_ok", "formula": "ok and x > y"},
    {"kind": "expression", "name": "odd", "formula": "x ** y / n + log(x)"},
]
WILD = [
    None, True, 0, -1, 2**63 - 1, 2**70, 1.5, -0.0, 1e308, -1e308, 5e-324, float("nan"), "", "abc",
    "red", "3", "1e5", " 7 ", "\u2028", "x" * 300, [], [1, [2]], {}, {"a": {"b": 1}}, "serving",
    "2024-01-01T00:00:00Z", "0001-01-01", "9999-12-31T23:59:59+00:00", -1e11, 1e20,
]  # fmt: skip


def spec() -> Problem:
    made = problem(
        FIELDS, key="who", environment="from", allow_backwards="2m", allow_late="10m",
        idle_after="1h", allow_ahead="5m", duplicate_window=50, max_keys=20,
        checks=[{"name": "c", "expression": "x < 9e5 or ok"}],
    )  # fmt: skip
    return Problem.model_validate(made.model_dump() | {"features": FEATURES})


def drawn(draw: random.Random, n: int) -> bytes:
    """An event; most have something odd in one or two places, some are cut or are no JSON."""
    event: dict[str, Any] = {
        "id": f"e{n - draw.choice([0, 0, 0, 3])}",
        "at": START_S + n * 5 + draw.choice([0, 0, -60, -900]),
        "who": draw.choice(["a", "b", "cd"]), "x": draw.gauss(5.0, 2.0), "y": draw.gauss(0.0, 1e3),
        "n": draw.randrange(9), "ok": draw.random() < 0.5, "hue": draw.choice(["red", 3, "blue"]),
    }  # fmt: skip
    if draw.random() < 0.4:
        for _ in range(draw.randrange(1, 3)):
            event[draw.choice([*event, "ended", "from", '"\\'])] = draw.choice(WILD)
    if draw.random() < 0.1:
        del event[draw.choice([*event])]
    data = json.dumps(event).encode()
    odd = draw.random()
    if odd < 0.03:
        return data[: draw.randrange(len(data))]
    if odd < 0.06:
        at = draw.randrange(len(data))
        return data[:at] + draw.randbytes(draw.randrange(1, 4)) + data[at + 1 :]
    return draw.randbytes(draw.randrange(40)) if odd < 0.08 else data


def test_whatever_comes_is_valid_or_rejected_and_has_finite_features() -> None:
    draw, made = random.Random(EVENTS), spec()
    validator, featurizer = Validator(made), Featurizer(made)
    valid = 0
    for start in range(0, EVENTS, BATCH):
        records = [
            replace(record(drawn(draw, n), n), timestamp_ms=(START_S + n * 5) * 1000)
            for n in range(start, min(start + BATCH, EVENTS))
        ]
        outs = list(validator.handle(records))
        assert len(outs) == len(records)
        passed_on = [Record(o.stream, o.value, o.key) for o in outs if o.stream is VALID]
        features = list(featurizer.handle(passed_on))
        assert len(features) == len(passed_on)
        valid += len(features)
        for out in features:
            numbers = out.value.features
            assert tuple(numbers) == made.feature_names
            assert all(value is None or math.isfinite(value) for value in numbers.values())
    assert EVENTS * 0.2 < valid < EVENTS * 0.9, "a fuzz that all fails, or never, looks at little"
