"""`30m`, `2h`, `1d`: durations as people write them."""

import re
from datetime import timedelta
from typing import Any

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
DURATION_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*$|^[-+]?P"},
        {"type": "number"},
    ],
    "examples": ["30m", "2h", "1d"],
}
"""What an editor takes for a duration."""

_PATTERN = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*$")


def parse_duration(value: Any) -> Any:
    """A `timedelta` from `30m`-like text or seconds; anything else is left to pydantic (ISO 8601)."""
    if isinstance(value, bool):
        raise ValueError("write a duration such as 30m, 2h or 1d")
    if isinstance(value, int | float):
        return timedelta(seconds=float(value))
    if isinstance(value, str) and (match := _PATTERN.match(value)):
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    return value


def duration_text(value: timedelta) -> str:
    """The shortest text of a duration, as it stands in feature names: `30m`, `1d`, `1500ms`."""
    milliseconds = round(value.total_seconds() * 1000)
    for unit, seconds in sorted(_UNITS.items(), key=lambda pair: -pair[1]):
        size = round(seconds * 1000)
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
