"""Which parts of a problem file only decide on which events are let in."""

import json
from hashlib import sha256
from typing import Any

from shared.problem.spec import Problem

_FIELD = ("range", "required", "coerce", "pattern", "absent_in", "description", "unit")
_EVENTS = ("checks", "allow_backwards", "allow_late", "idle_after", "max_bytes", "environment")
_WORDS = ("goal", "owner", "notes")


def beyond_admission(problem: Problem) -> str:
    """SHA-256 (hex) over the rest: files of one digest mean the same by an event that was let in."""
    rest: dict[str, Any] = problem.model_dump(mode="json")
    for name in _WORDS:
        del rest[name]
    for name in _EVENTS:
        del rest["events"][name]
    for spec in rest["events"]["fields"].values():
        for name in _FIELD:
            del spec[name]
    return sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
