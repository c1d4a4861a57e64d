"""A problem, a good event, and events made from it."""

import json
from typing import Any

from shared.messages.streams import EVENTS
from shared.problem.spec import Problem
from shared.stage import Record

FIELDS: dict[str, Any] = {
    "region": {"type": "category", "categories": ["NSW", "VIC"]},
    "price": {"type": "number", "range": [0, 1]},
    "seats": {"type": "integer", "required": False, "range": [1, None]},
    "paid": {"type": "boolean", "required": False},
    "note": {"type": "text", "required": False},
    "ended": {"type": "time", "required": False},
    "must": {"type": "number", "required": False, "missing": "reject"},
}
GOOD: dict[str, Any] = {
    "id": "e1", "at": "2024-01-01T00:00:00Z", "region": "NSW", "price": 0.5, "must": 1,
}  # fmt: skip


def problem(fields: dict[str, Any] | None = None, **events: Any) -> Problem:
    mapping = {"id": "id", "time": "at", "key": "region", "fields": fields or FIELDS}
    return Problem.model_validate(
        {"name": "p", "goal": "g", "task": "binary", "label": {"field": "l"},
         "events": mapping | events}
    )  # fmt: skip


def record(value: Any, offset: int = 0) -> Record:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Record(EVENTS, raw, None, 2, offset, offset, 1_704_067_200_000)


def changed(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | fields).items() if value is not ...}
