"""Classes as text."""

from functools import lru_cache

from shared.messages.types import Value


@lru_cache(maxsize=1024, typed=True)  # ten times an event, for a handful of classes
def class_key(value: Value | None) -> str:
    """A label as text, the way probabilities are keyed: `true`, `red`, `1` (also for 1.0)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
