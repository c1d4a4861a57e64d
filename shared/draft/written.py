"""YAML as people write it: values on one line, a comment behind."""

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_WORDS = frozenset({"true", "false", "null", "nan", "inf", "on", "off", "yes", "no"})
_COMMENT_FROM = 46
_LONGEST_COMMENT = 160


def value(what: Any) -> str:
    """A value in YAML's flow style, read back as it was."""
    if isinstance(what, Mapping):
        return "{" + ", ".join(f"{key(k)}: {value(v)}" for k, v in what.items()) + "}"
    if isinstance(what, list | tuple):
        return "[" + ", ".join(map(value, what)) + "]"
    if isinstance(what, str):
        return key(what)
    if isinstance(what, float):
        return f"{what:.12g}" if what == float(f"{what:.12g}") else repr(what)
    if isinstance(what, date):
        return json.dumps(str(what))
    return json.dumps(what)


def key(text: str) -> str:
    """Text, in quotes where YAML would take it for something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def line(text: str, comment: str = "") -> str:
    """One line, with its comment in a column of its own."""
    if not comment:
        return text
    words = " ".join("".join(c if c.isprintable() else " " for c in comment).split())
    if len(words) > _LONGEST_COMMENT:
        words = words[: _LONGEST_COMMENT - 3] + "..."
    return f"{text:<{_COMMENT_FROM}}  # {words}"
