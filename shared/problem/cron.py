"""Crontab expressions of five fields (minute hour day month weekday), as in crontab(5).

Sunday is 0 or 7; names of months and weekdays are understood. When both the day and the weekday are
restricted, either may match. A local time that a change of clocks skips does not fire; one that it
repeats fires the first time.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("weekday", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_HORIZON_DAYS = 8 * 366 + 1
"""29 February is at most eight years away."""
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Crontab(NamedTuple):
    """What each field allows; `any_day`, `any_weekday`: the field begins with `*`."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool


@lru_cache(maxsize=64)
def parse_cron(text: str) -> Crontab:
    """The crontab that `text` means.

    Raises:
        ValueError: it is none; the text says why.
    """
    parts = text.lower().split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"`{text}` has {len(parts)} fields; five are expected")
    sets = [_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = sets
    any_day, any_weekday = parts[2][0] == "*", parts[4][0] == "*"
    if any_weekday and min(days) > max(_LONGEST[month - 1] for month in months):
        raise ValueError(f"`{text}` never comes: no such month has a day {min(days)}")
    return Crontab(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(day % 7 for day in weekdays),
        any_day,
        any_weekday,
    )


def next_after(cron: str, time: datetime, zone: str = "UTC") -> datetime | None:
    """The first firing of `cron`, in the local time of `zone`, strictly after `time`; in UTC.

    None: it does not come before the calendar ends.

    Raises:
        ValueError: `cron` is no crontab.
    """
    tab, place = parse_cron(cron), ZoneInfo(zone)
    try:
        local = time.astimezone(place)
        day = local.date()
        for _ in range(_HORIZON_DAYS):
            if _on(tab, day):
                found = _within(tab, day, place, time)
                if found is not None:
                    return found
            day += timedelta(days=1)
    except OverflowError:
        pass
    return None


def _within(tab: Crontab, day: date, place: ZoneInfo, time: datetime) -> datetime | None:
    for hour in tab.hours:
        for minute in tab.minutes:
            local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=place)
            moment = local.astimezone(UTC)
            skipped = moment.astimezone(place).replace(tzinfo=None) != local.replace(tzinfo=None)
            if moment > time and not skipped:
                return moment
    return None


def _on(tab: Crontab, day: date) -> bool:
    if day.month not in tab.months:
        return False
    by_day, by_weekday = day.day in tab.days, day.isoweekday() % 7 in tab.weekdays
    if tab.any_day or tab.any_weekday:
        return by_day and by_weekday
    return by_day or by_weekday


def _field(text: str, name: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, name, {}) if slash else 1
        if span == "*":
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, name, names)
            last = _number(end, name, names) if dash else high if slash else first
        if not low <= first <= last <= high or step < 1:
            raise ValueError(f"`{part}` is no {name}: {low} to {high} are")
        found |= set(range(first, last + 1, step))
    return found


def _number(text: str, name: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not (text.isascii() and text.isdigit()) or len(text) > 4:
        raise ValueError(f"`{text}` is no {name}")
    return int(text)
