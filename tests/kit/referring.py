"""A problem with references, and streams of events and references: late, repeated, corrected, wrong."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from shared.messages.streams import EVENTS, REFERENCES
from shared.problem.spec import Problem
from shared.stage import Record

START = datetime(2024, 3, 30, 22, tzinfo=UTC)
CUSTOMERS: dict[str, Any] = {
    "key": "k",
    "keep": 3,
    "fields": {
        "segment": {"type": "category", "categories": ["gold", "basic"], "missing": "flag"},
        "limit": {"type": "number", "range": [0, 1000]},
        "town": {"type": "text", "required": False},
    },
}
FEATURES: list[dict[str, Any]] = [
    {"kind": "lookup", "reference": "customers"},
    {"kind": "lookup", "reference": "customers", "by": "other", "fields": ["limit"], "name": "o"},
    {"kind": "expression", "name": "over", "formula": "x - customers_limit"},
    {"kind": "expression", "name": "gold", "formula": 'customers_segment == "gold"'},
    {"kind": "lags", "field": "customers_limit", "by": [1, 2]},
    {"kind": "window", "field": "customers_limit", "of": ["mean", "max"], "span": "30m"},
]


def problem(**changes: Any) -> Problem:
    customers = {**CUSTOMERS, **changes.pop("customers", {})}
    events = {
        "id": "id", "time": "time", "key": "k", "allow_backwards": "1d",
        "fields": {
            "k": {"type": "text", "feature": False}, "other": {"type": "integer"},
            "x": {"type": "number"},
        }, **changes.pop("events", {}),
    }  # fmt: skip
    return Problem.model_validate(
        {"name": "p", "goal": "g", "task": "binary", "label": {"field": "l"}, "events": events,
         "references": {"customers": customers}, "features": FEATURES,
         "audit": {"share": 1, "window": "1h"}, **changes}
    )  # fmt: skip


def records(seed: int, size: int, keys: int = 3) -> list[Record]:
    """In order of arrival; event times and times of versions jump to and fro around the arrival's."""
    draw = np.random.default_rng(seed)

    def one_of(*values: Any) -> Any:
        return values[draw.integers(len(values))]

    now, found, said = START, [], []
    ends = {EVENTS: 0, REFERENCES: 0}
    for seq in range(size):
        now += timedelta(minutes=one_of(0, 0, 1, 5))
        if one_of(True, True, False):
            event = {
                "id": f"e{seq}", "x": one_of(None, 1.5, 40.0), "k": f"{draw.integers(keys)}",
                "other": one_of(None, int(draw.integers(keys))),
                "time": (now - timedelta(minutes=one_of(0, 0, 3, 40))).isoformat(),
            }  # fmt: skip
            stream, value = EVENTS, json.dumps(event).encode()
        else:
            stream = REFERENCES
            value = one_of(_reference(draw, now, keys), *said[-3:]) if said else b""
            if said and one_of(*[False] * 9, True):
                value = one_of(b"{", b"{}", value.replace(b'"fields"', b'"field"'))
            said.append(_reference(draw, now, keys))
        at_ms = int(now.timestamp() * 1000)
        found.append(Record(stream, value, None, 0, ends[stream], seq, at_ms))
        ends[stream] += 1
    return found


def _reference(draw: np.random.Generator, now: datetime, keys: int) -> bytes:
    """Rounded times, so that versions are corrected; some in the past, some in the future."""
    minutes = int(draw.integers(-60, 20)) // 10 * 10
    tile = now.replace(minute=now.minute // 10 * 10) + timedelta(minutes=minutes)
    said: dict[str, Any] = {"reference": "customers", "key": int(draw.integers(keys))}
    if draw.random() < 0.9:
        said["time"] = tile.isoformat()
    if draw.random() < 0.1:
        return json.dumps({**said, "removed": True}).encode()
    fields = {
        "segment": [None, "gold", "basic", "basic"][draw.integers(4)],
        "limit": [None, 1, 2.5, 999, -1, "much"][
            draw.choice(6, p=[0.1, 0.3, 0.3, 0.2, 0.05, 0.05])
        ],
    }
    return json.dumps({**said, "fields": fields}).encode()
