"""The text of a cell in a file: numbers, truth values, times, and the words that stand for nothing."""

import re
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from shared.problem.times import EPOCH, time_text

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
BOOLEANS = {"true": True, "false": False}
UNIX = ("us", "ns")
"""Time formats beside those of `strptime`: Unix microseconds and nanoseconds."""

_DECIMAL_COMMA = re.compile(
    r"[-+]?(?:[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+)(?:,[0-9]+)?(?:[eE][-+]?[0-9]+)?"
)


def number_of(text: str) -> int | float | None:
    """The number in `text`; None when there is none, or one that JSON cannot hold.

    Python's own extras (`1_000`, digits of other scripts) are no numbers here.
    """
    if "_" in text or not text.isascii():
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def with_point(text: str) -> str:
    """`1.234,5` as `1234.5`; what is no number with a decimal comma stays as it is."""
    if not _DECIMAL_COMMA.fullmatch(text.strip()):
        return text
    return text.replace(".", "").replace(",", ".")


def formatted_time(value: Any, time_format: str) -> Any:
    """A time written in `time_format` (`strptime`'s, or `us`, `ns`) as RFC 3339 in UTC.

    Without a zone it is taken as UTC. What does not fit stays as it is, for the validator to reject.
    """
    try:
        if time_format in UNIX:
            count = int(value)
            unit_ns = 1_000 if time_format == "us" else 1
            return time_text(EPOCH + timedelta(microseconds=count * unit_ns // 1_000))
        time = datetime.strptime(str(value).strip(), time_format)
        return time_text(time if time.tzinfo else time.replace(tzinfo=EPOCH.tzinfo))
    except (ValueError, TypeError, OverflowError):
        return value
