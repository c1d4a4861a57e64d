"""Crontabs: apscheduler and a minute-by-minute walk are the oracles."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.problem.cron import next_after, parse_cron

DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
TIMES = st.datetimes(datetime(1999, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    stepped = st.tuples(number, number, st.integers(1, high)).filter(
        lambda t: t[1] - t[0] >= t[2]  # the oracle refuses longer steps
    )
    return st.one_of(
        st.just("*"),
        st.lists(st.one_of(number.map(str), span), min_size=1, max_size=3).map(",".join),
        stepped.map(lambda t: f"{t[0]}-{t[1]}/{t[2]}"),
        st.integers(1, high - low).map(lambda step: f"*/{step}"),
    )


@settings(max_examples=100, deadline=None)
@given(field(0, 59), field(0, 23), field(1, 28), field(1, 12), TIMES)
def test_agrees_with_apscheduler_by_day(
    minute: str, hour: str, day: str, month: str, time: datetime
) -> None:
    trigger = CronTrigger.from_crontab(f"{minute} {hour} {day} {month} *", timezone="UTC")
    expected = trigger.get_next_fire_time(None, time + timedelta(microseconds=1))
    found = next_after(f"{minute} {hour} {day} {month} *", time)
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(field(0, 59), field(0, 23), st.lists(st.sampled_from(DAYS), min_size=1, max_size=3), TIMES)
def test_agrees_with_apscheduler_by_weekday(
    minute: str, hour: str, days: list[str], time: datetime
) -> None:
    cron = f"{minute} {hour} * * {','.join(days)}"
    trigger = CronTrigger.from_crontab(cron, timezone="UTC")  # names: it counts from Monday
    assert next_after(cron, time) == trigger.get_next_fire_time(
        None, time + timedelta(microseconds=1)
    )


@settings(max_examples=60, deadline=None)
@given(
    field(0, 59),
    field(0, 23),
    st.sampled_from(["*", "1", "31", "29", "1-7"]),
    st.sampled_from(["*", "0", "7", "1-5", "sat"]),
    st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]),
    TIMES,
)
def test_agrees_with_a_walk_over_the_minutes(
    minute: str, hour: str, day: str, weekday: str, zone: str, time: datetime
) -> None:
    """Either day field may match when both are restricted (crontab(5)), unlike apscheduler."""
    cron = f"{minute} {hour} {day} * {weekday}"
    found = next_after(cron, time, zone)
    assert found is not None and found > time
    tab = parse_cron(cron)
    moment = time.replace(second=0, microsecond=0) + timedelta(minutes=1)
    steps = 0
    while moment < found and steps < 5_000:
        local = moment.astimezone(ZoneInfo(zone))
        if local.fold == 0:
            assert not fires(tab, local), local
        moment += timedelta(minutes=1)
        steps += 1
    assert fires(tab, found.astimezone(ZoneInfo(zone)))


def fires(tab: object, local: datetime) -> bool:
    minutes, hours, days, months, weekdays, any_day, any_weekday = tab  # type: ignore[misc]
    by_day, by_weekday = local.day in days, (local.weekday() + 1) % 7 in weekdays
    on = (by_day and by_weekday) if any_day or any_weekday else (by_day or by_weekday)
    return local.minute in minutes and local.hour in hours and local.month in months and on


def test_clock_changes() -> None:
    """Berlin skips 02:30 on 31 March 2024 and repeats it on 27 October."""
    before = datetime(2024, 3, 30, 12, tzinfo=UTC)
    assert next_after("30 2 * * *", before, "Europe/Berlin") == datetime(
        2024, 4, 1, 0, 30, tzinfo=UTC
    )
    autumn = datetime(2024, 10, 26, 12, tzinfo=UTC)
    first = next_after("30 2 * * *", autumn, "Europe/Berlin")
    assert first == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert next_after("30 2 * * *", first, "Europe/Berlin") == datetime(
        2024, 10, 28, 1, 30, tzinfo=UTC
    )


def test_leap_days_and_the_end_of_the_calendar() -> None:
    assert next_after("0 0 29 2 *", datetime(2096, 3, 1, tzinfo=UTC)) == datetime(
        2104, 2, 29, tzinfo=UTC
    )
    assert next_after("0 0 1 1 *", datetime(9999, 6, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
     "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "1- * * * *", "-1 * * * *",
     "0 0 31 4,6 *", "0 0 30 2 *", "1/ * * * *", "1,, * * * *", "٣ * * * *"],
)  # fmt: skip
def test_refused(cron: str) -> None:
    with pytest.raises(ValueError, match=r"expected|is no|never"):
        parse_cron(cron)
