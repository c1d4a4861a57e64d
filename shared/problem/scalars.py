"""One text for each class or category, however JSON or YAML wrote it."""

import re

from shared.messages.labels import class_key

_NOT_A_WORD = re.compile(r"[^A-Za-z0-9_]+")


def scalar_text(value: bool | int | float | str) -> str:
    """Canonical text: `true`, `1` (also for 1.0, JSON does not tell them apart), `0.5`, `red`."""
    return class_key(value)


def identifier(text: str) -> str:
    """`text` as a part of a feature's name, which formulas can use: letters, digits, `_`."""
    return _NOT_A_WORD.sub("_", text)
