"""Numbers and times as people read them. Every figure carries its denominator and how sure it is."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One number with everything needed to judge it.

    `sure`: how sure (an interval, or why there is none). `of`: numerator and denominator. `how`: what
    it is and how it is reckoned. `tone`: `good`, `bad`, `warn` or nothing; the text says it too.
    """

    key: str
    title: str
    value: str
    sure: str = ""
    of: str = ""
    how: str = ""
    tone: str = ""


def count(n: float) -> str:
    """`45,312`."""
    return f"{n:,.0f}"


def counted(n: int, one: str, many: str = "") -> str:
    """`1 label`, `2 labels`."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def share(part: float, whole: float) -> str:
    """`0.03 %`, with as many digits as it needs to tell it from 0 and from 100 %."""
    if whole <= 0:
        return "–"
    value = 100 * part / whole
    for digits in (1, 2, 3):
        text = f"{value:.{digits}f}"
        if (float(text) > 0 or part == 0) and (float(text) < 100 or part == whole):
            return f"{text} %"
    return "< 0.001 %" if value < 50 else "> 99.999 %"


def number(value: float | None) -> str:
    """Four significant digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """`30 min`, `2.5 h`, `3 d`."""
    if seconds is None:
        return "–"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1_000:.3g} ms" if seconds else "0 s"


def moment(time: datetime | None) -> str:
    """`1997-05-02 00:00 UTC`: always with its zone."""
    if time is None:
        return "–"
    at = time.astimezone(UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S UTC" if at.second else "%Y-%m-%d %H:%M UTC")


def rate(per_second: float | None) -> str:
    """`48 a day`: in the unit that makes it one or more."""
    value, unit = rate_unit(per_second)
    if per_second is None:
        return "–"
    return f"{value:,.0f} a {unit}" if value >= 100 else f"{value:.3g} a {unit}"


def rate_unit(per_second: float | None) -> tuple[float, str]:
    """The rate in the largest unit in which it is at least one, and that unit."""
    value = per_second or 0.0
    for size, unit in ((1, "second"), (60, "minute"), (3_600, "hour")):
        if value * size >= 10:
            return value * size, unit
    return value * 86_400, "day"


def listed(items: Iterable[str], most: int = 5) -> str:
    """`a, b and 3 more`."""
    names = list(items)
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def plain(value: Any) -> str:
    """Any evidence value as short text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, dict):
        return ", ".join(f"{title(str(k))} {plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return str(value)


def title(name: str) -> str:
    """`e_value` as `e value`."""
    return name.replace("_", " ")
