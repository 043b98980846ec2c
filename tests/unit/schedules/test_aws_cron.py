"""AWS's `cron()`, against AWS's own examples and against a reference that looks at every minute."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventmill.schedules.aws_cron import parse_aws_cron
from eventmill.schedules.schedule import Times
from eventmill.schedules.zone import DAY_MS, UTC, zone
from tests.unit.schedules.reference import MONTHS, WEEKDAYS, aws_cron

BEGIN = "2026-01-01T00:00:00"


def times(text: str, count: int) -> list[str]:
    """The first times in UTC, to the minute."""
    where = zone(UTC)
    calendar = parse_aws_cron(text, where)
    found, at_ms = [], where.read(BEGIN)
    for _ in range(count):
        at = calendar.next_after(at_ms)
        if at is None:
            break
        at_ms = at
        found.append(where.write(at_ms).removesuffix(":00+00:00"))
    return found


def between(calendar: Times, begin_ms: int, end_ms: int) -> list[int]:
    """All times from an instant on and before another."""
    found = []
    at_ms = calendar.next_after(begin_ms - 1)
    while at_ms is not None and at_ms < end_ms:
        found.append(at_ms)
        at_ms = calendar.next_after(at_ms)
    return found


# The examples of the EventBridge user guide, "Cron expressions reference", and of the Scheduler's.
@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("0 10 * * ? *", ["2026-01-01T10:00", "2026-01-02T10:00"]),
        ("15 12 * * ? *", ["2026-01-01T12:15", "2026-01-02T12:15"]),
        ("0 18 ? * MON-FRI *", ["2026-01-01T18:00", "2026-01-02T18:00", "2026-01-05T18:00"]),
        ("0 8 1 * ? *", ["2026-01-01T08:00", "2026-02-01T08:00"]),
        ("0/15 * * * ? *", ["2026-01-01T00:15", "2026-01-01T00:30"]),
        ("0/10 * ? * MON-FRI *", ["2026-01-01T00:10", "2026-01-01T00:20"]),
        ("0/5 8-17 ? * MON-FRI *", ["2026-01-01T08:00", "2026-01-01T08:05"]),
        ("0/30 20-2 ? * MON-FRI *", ["2026-01-01T00:30", "2026-01-01T01:00", "2026-01-01T01:30"]),
        ("15 10 ? * 6L 2022-2027", ["2026-01-30T10:15", "2026-02-27T10:15", "2026-03-27T10:15"]),
        ("1/10 0 1 2 ? *", ["2026-02-01T00:01", "2026-02-01T00:11", "2026-02-01T00:21"]),
        ("0 0 3W * ? *", ["2026-01-02T00:00", "2026-02-03T00:00", "2026-03-03T00:00"]),
        ("0 0 ? * 3#2 *", ["2026-01-13T00:00", "2026-02-10T00:00", "2026-03-10T00:00"]),
        ("0 0 L * ? *", ["2026-01-31T00:00", "2026-02-28T00:00", "2026-03-31T00:00"]),
        ("0 0 ? * L *", ["2026-01-03T00:00", "2026-01-10T00:00"]),
    ],
)
def test_the_examples_of_aws(text: str, first: list[str]) -> None:
    assert times(text, len(first)) == first


@pytest.mark.parametrize(
    ("text", "first"),
    [
        # A weekday near a day stays in its month.
        ("0 0 1W 8 ? *", ["2026-08-03T00:00", "2027-08-02T00:00"]),
        ("0 0 31W * ? *", ["2026-01-30T00:00", "2026-03-31T00:00", "2026-05-29T00:00"]),
        ("0 0 LW 5 ? *", ["2026-05-29T00:00", "2027-05-31T00:00"]),
        ("0 0 31 * ? *", ["2026-01-31T00:00", "2026-03-31T00:00", "2026-05-31T00:00"]),
        ("0 0 29 2 ? *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 29 FEB ? 2090/2", ["2092-02-29T00:00", "2096-02-29T00:00", "2104-02-29T00:00"]),
        ("0 0 ? * FRI-MON *", ["2026-01-02T00:00", "2026-01-03T00:00", "2026-01-04T00:00"]),
        ("0 0 ? 11-2/3 2#1 *", ["2026-02-02T00:00", "2026-11-02T00:00", "2027-02-01T00:00"]),
        ("0-15/5 8-8 ? * 2,3,4,5,6,7 *", ["2026-01-01T08:00", "2026-01-01T08:05"]),
        ("0 0 15,LW,1 * ? *", ["2026-01-15T00:00", "2026-01-30T00:00", "2026-02-01T00:00"]),
        ("0 0 ? * mon#5 *", ["2026-03-30T00:00", "2026-06-29T00:00"]),
        ("0 0 1 1 ? 2026", []),
        ("0 0 1 1 ? 2199", ["2199-01-01T00:00"]),
        ("0 0 30 2 ? *", []),
    ],
)
def test_the_corners(text: str, first: list[str]) -> None:
    assert times(text, len(first) or 1) == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 10 * * ?", "6 fields .* not 5"),
        ("7 20 * * 1-7 *", r"one of .* must be \?.* '\*' and '1-7'"),
        ("0 0 ? * ? *", r"one of .* must be \?"),
        ("60 0 * * ? *", "'60' is no value of the minutes: these are 0 to 59"),
        ("0 24 * * ? *", "hours: these are 0 to 23"),
        ("0 0 0 * ? *", "day of month: these are 1 to 31"),
        ("0 0 * 13 ? *", "month: these are 1 to 12, or JAN to DEC"),
        ("0 0 ? * 0 *", "day of week: these are 1 to 7, or SUN to SAT"),
        ("0 0 ? * MONDAY *", "'MONDAY' is nothing that the day of week can be"),
        ("0 0 ? * 3#1,6#3 *", "with # the day of week is one weekday"),
        ("0 0 ? * 3#6 *", "with # the day of week"),
        ("0 0 * * ? 1969", "year: these are 1970 to 2199"),
        ("0 0 * * ? 2030-2020", "does not run backwards"),
        ("*/0 * * * ? *", "a step of the minutes is at least 1"),
        ("L * * * ? *", "'L' is nothing that the minutes can be"),
        ("0 0 32W * ? *", "'32' is no value of the day of month"),
        (", 0 * * ? *", "'' is nothing that the minutes can be"),
    ],
)
def test_what_the_service_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_aws_cron(text, zone(UTC))


@pytest.mark.parametrize(
    ("text", "after", "shown"),
    [
        # Berlin: 2026-03-29 has no 02:00 to 03:00, 2026-10-25 has it twice.
        (
            "30 2 * * ? *",
            "2026-03-28T00:00:00",
            ["2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"],
        ),
        (
            "30 2 * * ? *",
            "2026-10-24T12:00:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        (
            "0/30 * * * ? *",
            "2026-03-29T01:00:00",
            ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"],
        ),
        (
            "0/30 * * * ? *",
            "2026-10-25T02:00:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"],
        ),
    ],
)
def test_when_clocks_are_set(text: str, after: str, shown: list[str]) -> None:
    berlin = zone("Europe/Berlin")
    calendar = parse_aws_cron(text, berlin)
    at_ms = berlin.read(after)
    for expected in shown:
        found = calendar.next_after(at_ms)
        assert found is not None
        assert berlin.write(found) == expected
        at_ms = found


def test_a_second_pass_over_an_hour_brings_nothing_again() -> None:
    berlin = zone("Europe/Berlin")
    calendar = parse_aws_cron("0/10 * * * ? *", berlin)
    in_second_pass = berlin.read("2026-10-25T02:05:00") + 3_600_000
    found = calendar.next_after(in_second_pass)

    assert found is not None
    assert berlin.write(found) == "2026-10-25T03:00:00+01:00"


# Against the reference. Zones with changes at and over midnight, of half an hour, of a whole day.
ZONES = (
    *(UTC, "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns"),
    *("America/Sao_Paulo", "America/Havana", "Asia/Beirut", "Africa/Cairo", "Asia/Kathmandu"),
    *("Pacific/Apia", "Africa/Casablanca", "Antarctica/Troll", "Asia/Tehran"),
)
# Around them: changes in these zones, of 2010, 2011, 2018, 2023, 2026.
CHANGES = (
    *("2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04"),
    *("2010-11-07", "2010-03-14", "2018-02-18", "2018-11-04", "2011-12-30", "2011-12-31"),
    *("2023-03-23", "2023-10-29", "2023-04-28", "2026-02-15", "2026-03-22", "2018-09-22"),
)


def items(least: int, most: int, names: tuple[str, ...]) -> st.SearchStrategy[str]:
    value = st.integers(least, most).map(str)
    if names:
        value = value | st.sampled_from(names)
    span = st.tuples(value, value).map("-".join)
    step = st.integers(1, most - least + 3).map(str)
    return st.one_of(
        st.just("*"),
        value,
        span,
        st.tuples(st.just("*") | value | span, step).map("/".join),
    )


def field(item: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(item, min_size=1, max_size=3).map(",".join)


weekdays = st.integers(1, 7).map(str) | st.sampled_from(WEEKDAYS)
days = field(
    items(1, 31, ()) | st.sampled_from(["L", "LW"]) | st.integers(1, 31).map(lambda n: f"{n}W")
)
days_of_week = field(items(1, 7, WEEKDAYS) | st.just("L") | weekdays.map(lambda d: f"{d}L")) | (
    st.tuples(weekdays, st.integers(1, 5).map(str)).map("#".join)
)
day_fields = days.map(lambda d: (d, "?")) | days_of_week.map(lambda d: ("?", d))


@st.composite
def expressions(draw: st.DrawFn) -> str:
    day, weekday = draw(day_fields)
    return " ".join(
        [
            draw(field(items(0, 59, ()))),
            draw(field(items(0, 23, ()))),
            day,
            draw(st.just("*") | field(items(1, 12, MONTHS))),
            weekday,
            "*",
        ]
    )


@given(expressions(), st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_every_minute_around_a_change_of_clocks(
    text: str, zone_name: str, change: str, days_before: int
) -> None:
    where = zone(zone_name)
    begin_ms = zone(UTC).read(f"{change}T00:00:00") - days_before * DAY_MS
    calendar = parse_aws_cron(text, where)

    assert between(calendar, begin_ms, begin_ms + 3 * DAY_MS) == aws_cron(
        text, zone_name, begin_ms, 3 * 24 * 60
    )


@given(day_fields, st.just("*") | field(items(1, 12, MONTHS)), st.integers(1970, 2190))
@settings(max_examples=60, deadline=None)
def test_every_day_of_years(day: tuple[str, str], month: str, year: int) -> None:
    text = f"0 0 {day[0]} {month} {day[1]} *"
    begin_ms = zone(UTC).read(f"{year}-01-01T00:00:00")
    calendar = parse_aws_cron(text, zone(UTC))

    expected = [
        at_ms
        for number in range(3 * 365)
        for at_ms in aws_cron(text, UTC, begin_ms + number * DAY_MS, 1)
    ]
    assert between(calendar, begin_ms, begin_ms + 3 * 365 * DAY_MS) == expected


@given(expressions(), st.sampled_from(ZONES), st.integers(0, 7_000_000_000_000))
@settings(max_examples=200, deadline=None)
def test_what_comes_next_is_later_and_nothing_lies_between(
    text: str, zone_name: str, at_ms: int
) -> None:
    calendar = parse_aws_cron(text, zone(zone_name))

    found = calendar.next_after(at_ms)

    if found is not None:
        assert found > at_ms
        assert calendar.next_after((at_ms + found) // 2) == found
        assert calendar.next_after(found - 1) == found
