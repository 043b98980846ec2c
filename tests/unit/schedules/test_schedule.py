"""Schedules: their ends, their windows, rates, and what was missed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.schedules.expression import parse_expression
from eventmill.schedules.schedule import EARLIER_COUNTED_MAX, Once, Rate, Schedule
from eventmill.schedules.zone import DAY_MS, HOUR_MS, MINUTE_MS, UTC, UnknownZone, Zone, zone

NOW_MS = 1_800_000_000_000


def schedule(
    expression: str,
    *,
    name: str = "s",
    zone_name: str = UTC,
    start_ms: int | None = None,
    end_ms: int | None = None,
    window_ms: int = 0,
) -> Schedule:
    times = parse_expression(expression, zone_name)
    return Schedule(name=name, times=times, start_ms=start_ms, end_ms=end_ms, window_ms=window_ms)


@pytest.mark.parametrize(
    ("text", "period_ms"),
    [
        ("rate(1 minute)", MINUTE_MS),
        ("rate(5 minutes)", 5 * MINUTE_MS),
        ("rate(1 hours)", HOUR_MS),
        (" rate(  7 days ) ", 7 * DAY_MS),
    ],
)
def test_rates(text: str, period_ms: int) -> None:
    assert parse_expression(text, UTC) == Rate(period_ms=period_ms)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("at(2026-11-20T13:00:00)", "2026-11-20T13:00:00+01:00"),
        ("at(2026-10-25T02:30:15)", "2026-10-25T02:30:15+02:00"),
        ("at(2026-11-20T13:00:00Z)", "2026-11-20T14:00:00+01:00"),
    ],
)
def test_single_times(text: str, at: str) -> None:
    times = parse_expression(text, "Europe/Berlin")

    assert isinstance(times, Once)
    assert zone("Europe/Berlin").write(times.once_ms) == at
    assert times.next_after(times.once_ms - 1) == times.once_ms
    assert times.next_after(times.once_ms) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate(0 minutes)", "is no rate"),
        ("rate(5 weeks)", "is no rate"),
        ("rate(5m)", "such as rate"),
        ("rate(1.5 hours)", "is no rate"),
        ("every(5 minutes)", "there is no every"),
        ("at(2026-03-29T02:30:00)", "is passed over by the clocks of Europe/Berlin"),
        ("at(2026-02-30T00:00:00)", "day"),
        ("at(tomorrow)", "is not a date-time"),
        ("cron(0 0 * * * *)", "must be"),
        ("0 0 * *", "5 fields"),
    ],
)
def test_what_is_no_expression(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_expression(text, "Europe/Berlin")


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "", "/etc/passwd", "../UTC", "Europe", "\0", "a" * 999]
)
def test_there_is_no_such_zone(name: str) -> None:
    with pytest.raises(UnknownZone) as raised:
        Zone(name)
    assert "Europe/Berlin" in raised.value.names


def test_both_ends_count() -> None:
    start_ms, end_ms = NOW_MS, NOW_MS + 2 * HOUR_MS
    hourly = schedule("0 * * * *", start_ms=start_ms, end_ms=end_ms)

    assert hourly.next_after(0) == start_ms
    assert hourly.next_after(start_ms) == start_ms + HOUR_MS
    assert hourly.next_after(end_ms - 1) == end_ms
    assert hourly.next_after(end_ms) is None


def test_a_rate_goes_on_through_a_change_of_clocks() -> None:
    berlin = zone("Europe/Berlin")
    daily = schedule("rate(1 day)", zone_name="Europe/Berlin").anchored(
        berlin.read("2026-03-28T09:00:00")
    )
    found = daily.next_after(berlin.read("2026-03-28T09:00:00"))

    assert found is not None
    assert berlin.write(found) == "2026-03-29T10:00:00+02:00"


@given(st.integers(1, 10_000), st.integers(0, 10**13), st.integers(0, 10**13))
def test_a_rate_is_its_anchor_and_every_period_after_it(
    period: int, anchor_ms: int, at_ms: int
) -> None:
    rate = Rate(period_ms=period * MINUTE_MS, anchor_ms=anchor_ms)

    found = rate.next_after(at_ms)

    assert found > at_ms
    assert found >= anchor_ms
    assert (found - anchor_ms) % rate.period_ms == 0
    assert found == anchor_ms or found - at_ms <= rate.period_ms


def test_a_rate_with_a_start_keeps_it_and_another_takes_the_anchor_given() -> None:
    drifting = schedule("rate(5 minutes)")
    anchored = drifting.anchored(NOW_MS)

    assert drifting.period_ms == 5 * MINUTE_MS
    assert anchored.period_ms is None
    assert anchored.anchored(NOW_MS + 1) is anchored


@given(st.text(), st.integers(0, 10**13), st.integers(1, 1440))
def test_a_time_is_put_off_within_its_window_and_always_alike(
    name: str, at_ms: int, minutes: int
) -> None:
    one = schedule("@hourly", name=name, window_ms=minutes * MINUTE_MS)
    again = schedule("@hourly", name=name, window_ms=minutes * MINUTE_MS)

    assert at_ms <= one.due_ms(at_ms) < at_ms + minutes * MINUTE_MS
    assert one.due_ms(at_ms) == again.due_ms(at_ms)


def test_schedules_and_times_spread_over_their_windows() -> None:
    window_ms = 60 * MINUTE_MS
    times = {
        schedule("@hourly", name=f"s{number}", window_ms=window_ms).due_ms(NOW_MS + day * DAY_MS)
        - day * DAY_MS
        for number in range(100)
        for day in range(10)
    }

    quarters = {(each - NOW_MS) * 4 // window_ms for each in times}
    assert len(times) > 990
    assert quarters == {0, 1, 2, 3}
    assert schedule("@hourly").due_ms(NOW_MS) == NOW_MS


@given(
    st.sampled_from(["*/30 * * * *", "0 * * * *", "30 2 * * *", "cron(0 0 L * ? *)", "0 0 29 2 *"]),
    st.integers(0, 100 * 1440),
    st.integers(1, 20),
)
def test_the_newest_of_what_was_missed(expression: str, minutes: int, newest_max: int) -> None:
    found = schedule(expression)
    until_ms = NOW_MS + minutes * MINUTE_MS
    everything: list[int] = []
    at_ms = found.next_after(NOW_MS)
    while at_ms is not None and at_ms <= until_ms:
        everything.append(at_ms)
        at_ms = found.next_after(at_ms)

    missed = found.between(NOW_MS, until_ms, newest_max)

    assert list(missed.newest) == everything[-newest_max:]
    assert missed.earlier == min(max(0, len(everything) - newest_max), EARLIER_COUNTED_MAX)
    assert all(earlier < later for earlier, later in pairwise(missed.newest))
