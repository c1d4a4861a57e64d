"""Classes as text."""

from shared.messages.types import Value


def class_key(value: Value | None) -> str:
    """A label as text, the way probabilities are keyed: `true`, `red`, `1` (also for 1.0)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
