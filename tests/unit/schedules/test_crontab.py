"""Five fields, against cronsim's own walk through time, and Debian's rules when clocks are set."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from eventmill.schedules.crontab import NAMED, parse_crontab
from eventmill.schedules.zone import UTC, zone

BERLIN = "Europe/Berlin"


def following(text: str, zone_name: str, after: str, count: int) -> list[str]:
    where = zone(zone_name)
    calendar = parse_crontab(text, where)
    found, at_ms = [], where.read(after)
    for _ in range(count):
        at = calendar.next_after(at_ms)
        assert at is not None
        at_ms = at
        found.append(where.write(at_ms))
    return found


@pytest.mark.parametrize(
    ("text", "after", "shown"),
    [
        # A set time that is passed over comes at the end of the gap, and twice is once.
        (
            "30 2 * * *",
            "2026-03-28T12:00:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        (
            "0,30 2,3 * * *",
            "2026-03-29T00:00:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"],
        ),
        (
            "30 2 * * *",
            "2026-10-24T12:00:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        # What runs all the time goes on running.
        (
            "*/30 * * * *",
            "2026-03-29T01:00:00",
            ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"],
        ),
        (
            "*/30 * * * *",
            "2026-10-25T02:00:00",
            [
                "2026-10-25T02:30:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T02:30:00+01:00",
                "2026-10-25T03:00:00+01:00",
            ],
        ),
        # Either of the two days, when both are given.
        (
            "0 9 13 * 5",
            "2026-11-01T00:00:00",
            ["2026-11-06T09:00:00+01:00", "2026-11-13T09:00:00+01:00"],
        ),
        (
            "0 9 L * *",
            "2026-02-01T00:00:00",
            ["2026-02-28T09:00:00+01:00", "2026-03-31T09:00:00+02:00"],
        ),
    ],
)
def test_times_in_berlin(text: str, after: str, shown: list[str]) -> None:
    assert following(text, BERLIN, after, len(shown)) == shown


def test_a_change_of_clocks_over_midnight_brings_some_of_yesterday_back() -> None:
    """In Saint John's of 2010 it was 23:01 again when 00:01 had come."""
    shown = following("*/20 * * * *", "America/St_Johns", "2010-11-06T23:30:00", 6)

    assert [each[5:] for each in shown] == [
        "11-06T23:40:00-02:30",
        "11-07T00:00:00-02:30",
        "11-06T23:20:00-03:30",
        "11-06T23:40:00-03:30",
        "11-07T00:00:00-03:30",
        "11-07T00:20:00-03:30",
    ]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("@yearly", "2027-01-01T00:00:00+00:00"),
        ("@annually", "2027-01-01T00:00:00+00:00"),
        ("@monthly", "2026-12-01T00:00:00+00:00"),
        ("@weekly", "2026-11-08T00:00:00+00:00"),
        ("@daily", "2026-11-05T00:00:00+00:00"),
        ("@midnight", "2026-11-05T00:00:00+00:00"),
        ("@Hourly", "2026-11-04T11:00:00+00:00"),
    ],
)
def test_names(name: str, first: str) -> None:
    assert following(name, UTC, "2026-11-04T10:30:00", 1) == [first]
    assert name.lower() in NAMED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("* * * *", "5 fields .* not 4"),
        ("0 * * * * *", "not 6"),
        ("@reboot", "5 fields"),
        ("60 * * * *", "no cron expression: Bad minute"),
        ("0 0 30 2 *", "Bad day-of-month"),
    ],
)
def test_what_is_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_crontab(text, zone(UTC))


def part(least: int, most: int) -> st.SearchStrategy[str]:
    value = st.integers(least, most)
    span = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, most).map(str)
    item = st.one_of(
        value.map(str), span, st.tuples(st.just("*") | span, step).map("/".join), st.just("*")
    )
    return st.lists(item, min_size=1, max_size=2).map(",".join)


# America/St_Johns before 2011 is missing: it sets clocks over midnight, and cronsim stands still.
ZONES = (
    *(UTC, BERLIN, "America/New_York", "Asia/Tokyo", "Australia/Sydney", "Europe/Lisbon"),
    *("Asia/Beirut", "America/Sao_Paulo", "Africa/Cairo"),
)
CHANGES = (
    *("2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-04-04", "2026-10-03"),
    *("2018-11-03", "2018-02-17", "2026-10-29"),
)


@given(
    st.tuples(part(0, 59), part(0, 23), part(1, 31), part(1, 12), part(0, 7)).map(" ".join),
    st.sampled_from(ZONES),
    st.sampled_from(CHANGES),
)
@settings(max_examples=150, deadline=None)
def test_cronsim_finds_the_same(text: str, zone_name: str, begin: str) -> None:
    where = zone(zone_name)
    begin_ms = where.read(f"{begin}T00:00:00")
    try:
        calendar = parse_crontab(text, where)
    except ValueError:
        return  # no such day exists
    walk = CronSim(text, datetime.fromtimestamp(begin_ms / 1000, ZoneInfo(zone_name)))
    expected: set[int] = set()
    end = datetime.fromtimestamp(begin_ms / 1000, timezone.utc) + timedelta(days=3)
    for at in walk:
        if at.astimezone(timezone.utc) >= end or len(expected) > 300:
            break
        expected.add(round(at.timestamp() * 1000))

    found = [begin_ms]
    while len(found) <= len(expected):
        following_ms = calendar.next_after(found[-1])
        assert following_ms is not None
        found.append(following_ms)

    assert found[1:] == sorted(expected)
