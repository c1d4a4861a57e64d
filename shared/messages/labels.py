"""Classes as text."""

from shared.messages.types import Value


def class_key(value: Value | None) -> str:
    """A label as text, the way probabilities are keyed."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
