"""Times as producers write them."""

from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 1e11
"""Numbers from here on are milliseconds (as seconds they would lie after the year 5138)."""


def parse_time(value: Any) -> datetime:
    """A time in UTC, from ISO 8601 text (without a zone: UTC) or Unix seconds or milliseconds.

    Raises:
        ValueError: it is neither, or outside the years 1 to 9999.
    """
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            if time.tzinfo is UTC:
                return time
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
            return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        pass
    raise ValueError(f"{value!r} is no time")


def microseconds(time: datetime) -> int:
    """Microseconds since 1970."""
    gap = time - EPOCH
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds


def time_at(time_us: int) -> datetime:
    """The time that many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=time_us)


def time_text(time: datetime) -> str:
    """RFC 3339, in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
