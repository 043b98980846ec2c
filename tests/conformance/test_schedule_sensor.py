"""The schedule sensor in virtual time: days with changes of clocks, downtime, jumps and crashes."""

import pytest

from eventmill.errors import LogUnavailable
from eventmill.schedules.zone import HOUR_MS, MINUTE_MS
from eventmill.sensors.schedule import CATCH_UP_MAX
from eventmill.triggers.schedule import ALL, CATCH_UPS, LAST, NONE, ScheduleSource
from tests.conformance.scheduled import Server

BERLIN = "Europe/Berlin"
DAILY = ScheduleSource(expression="cron(0 9 * * ? *)", timezone=BERLIN)


def source(expression: str, catch_up: str = LAST, timezone: str = "UTC") -> ScheduleSource:
    return ScheduleSource(expression=expression, timezone=timezone, catch_up=catch_up)


async def test_tells_a_scheduled_time_as_aws_does() -> None:
    server = Server(DAILY, "2026-11-20T08:00:00")
    async with server.up():
        await server.until("2026-11-20T09:00:00")

    (delivery,) = server.log.deliveries
    assert delivery.event.envelope() == {
        "version": "0",
        "id": delivery.event.id,
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": "2026-11-20T08:00:00Z",
        "region": "local",
        "resources": [f"arn:aws:events:local:000000000000:rule/{DAILY.title_or_digest}"],
        "detail": {
            "scheduled-time": "2026-11-20T08:00:00.000Z",
            "local-time": "2026-11-20T09:00:00+01:00",
            "schedule-expression": "cron(0 9 * * ? *)",
            "schedule-expression-timezone": BERLIN,
            "caught-up": False,
            "passed-over": 0,
        },
    }
    assert delivery.state == {"last": b"%d" % server.clock.now_ms()}


async def test_a_year_of_days_has_one_event_each_at_the_same_hour() -> None:
    server = Server(DAILY, "2026-01-01T00:00:00")
    async with server.up():
        await server.until("2027-01-01T00:00:00")

    told = server.told()
    assert len(set(told)) == len(told) == 365
    assert {each[10:16] for each in told} == {"T09:00"}


async def test_days_on_which_clocks_are_set() -> None:
    server = Server(source("cron(30 2 * * ? *)", timezone=BERLIN), "2026-03-28T00:00:00")
    async with server.up():
        await server.until("2026-03-30T12:00:00")
        assert server.told() == ["2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"]
        server.log.deliveries.clear()
        await server.set_to("2026-10-24T12:00:00")
        server.log.deliveries.clear()
        await server.until("2026-10-26T12:00:00")
        assert server.told() == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


async def test_a_rate_begins_at_once_and_keeps_its_pace_through_restarts() -> None:
    server = Server(source("rate(10 minutes)"), "2026-11-20T08:03:20")
    async with server.up():
        await server.until("2026-11-20T08:13:20")
    async with server.up():
        await server.until("2026-11-20T08:30:00")
    async with server.up():
        await server.until("2026-11-20T08:40:00")

    assert [each[11:19] for each in server.told()] == [
        "08:03:20",
        "08:13:20",
        "08:23:20",
        "08:33:20",
    ]
    assert server.log.again == 0


async def test_a_rate_that_passed_over_what_it_missed_keeps_its_pace() -> None:
    server = Server(source("rate(10 minutes)", NONE), "2026-11-20T08:03:20")
    async with server.up():
        await server.until("2026-11-20T08:05:00")
    await server.set_to("2026-11-20T12:00:00")
    async with server.up():
        pass
    async with server.up():
        await server.until("2026-11-20T12:05:00")

    await server.set_to("2026-11-20T12:09:00")
    async with server.up():
        await server.until("2026-11-20T12:15:00")

    assert [each[11:19] for each in server.told()] == ["08:03:20", "12:03:20", "12:13:20"]


async def test_a_rate_with_a_start_runs_from_there() -> None:
    server = Server(source("rate(1 hour)"), "2026-11-20T08:00:00")
    server.source = ScheduleSource(
        expression="rate(1 hour)", start_ms=server.zone.read("2026-11-20T09:15:00")
    )
    async with server.up():
        await server.until("2026-11-20T11:00:00")

    assert [each[11:16] for each in server.told()] == ["09:15", "10:15"]


async def test_a_single_time_comes_once_and_not_when_it_had_passed_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(source("at(2026-11-20T13:00:00)"), "2026-11-20T08:00:00")
    async with server.up():
        await server.until("2026-12-20T13:00:00")
    async with server.up():
        await server.until("2027-12-20T13:00:00")
    assert server.told() == ["2026-11-20T13:00:00+00:00"]

    late = Server(source("at(2026-11-20T13:00:00)", ALL), "2026-11-20T13:00:01")
    async with late.up():
        await late.until("2027-11-20T08:00:00")
    assert late.told() == []
    assert "all its times have passed" in caplog.text


# Downtime

ALL_FIVE = ["13:00", "14:00", "15:00", "16:00", "17:00"]


@pytest.mark.parametrize(
    ("catch_up", "told", "passed_over"),
    [(ALL, ALL_FIVE, 0), (LAST, ["17:00"], 4), (NONE, [], 0)],
)
async def test_what_was_missed_while_the_server_was_down(
    catch_up: str, told: list[str], passed_over: int
) -> None:
    server = Server(source("0 * * * *", catch_up), "2026-11-20T11:30:00")
    async with server.up():
        await server.until("2026-11-20T12:30:00")
    server.log.deliveries.clear()
    await server.set_to("2026-11-20T17:30:00")
    async with server.up():
        assert [each[11:16] for each in server.told()] == told
        details = [each.event.detail for each in server.log.deliveries]
        assert [each["caught-up"] for each in details] == [True] * len(told)
        assert sum(int(str(each["passed-over"])) for each in details) == passed_over
        server.log.deliveries.clear()
        await server.until("2026-11-20T18:00:00")
        assert [each[11:16] for each in server.told()] == ["18:00"]
    async with server.up():
        assert [each[11:16] for each in server.told()] == ["18:00"]


@pytest.mark.parametrize("catch_up", CATCH_UPS)
async def test_what_comes_within_a_minute_is_not_missed(catch_up: str) -> None:
    server = Server(source("0 * * * *", catch_up), "2026-11-20T11:30:00")
    async with server.up():
        pass
    await server.set_to("2026-11-20T12:01:00")
    async with server.up():
        assert [each[11:16] for each in server.told()] == ["12:00"]
        assert server.log.deliveries[0].event.detail["caught-up"] is False


async def test_what_was_missed_makes_way_for_what_is_due_now() -> None:
    server = Server(source("0 * * * *"), "2026-11-20T11:30:00")
    async with server.up():
        pass
    await server.set_to("2026-11-20T14:00:30")
    async with server.up():
        assert [each[11:16] for each in server.told()] == ["14:00"]
        assert server.log.deliveries[0].event.detail["passed-over"] == 2


async def test_what_was_passed_over_does_not_come_when_the_policy_changes() -> None:
    server = Server(source("0 * * * *", NONE), "2026-11-20T11:30:00")
    async with server.up():
        await server.set_to("2026-11-20T14:30:00")
    server.source = source("0 * * * *", ALL)
    async with server.up():
        await server.until("2026-11-20T15:00:00")

    assert [each[11:16] for each in server.told()] == ["15:00"]


async def test_time_that_passes_before_the_first_event_counts_as_well() -> None:
    server = Server(DAILY, "2026-11-20T10:00:00")
    async with server.up():
        pass
    await server.set_to("2026-11-22T10:00:00")
    async with server.up():
        pass

    assert server.told() == ["2026-11-22T09:00:00+01:00"]


@pytest.mark.parametrize(("more", "passed_over"), [(70, 68), (9_000, 1_000)])
async def test_catching_up_has_a_bound_which_is_reported(
    more: int, passed_over: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(source("* * * * *", ALL), "2026-11-20T00:00:00")
    async with server.up():
        await server.until("2026-11-20T00:01:00")
    server.log.deliveries.clear()
    await server.clock.set_to(server.clock.now_ms() + (CATCH_UP_MAX + more) * MINUTE_MS)
    async with server.up():
        for _ in range(200):
            await server.clock.set_to(server.clock.now_ms())

    # The newest two are not late yet.
    assert len(server.told()) == CATCH_UP_MAX + 2
    assert server.told() == sorted(server.told())
    assert [each.event.detail["passed-over"] for each in server.log.deliveries[:2]] == [
        *(passed_over, 0)
    ]
    assert f"at least {passed_over} times that were missed are passed over" in caplog.text


async def test_while_it_is_paused_nothing_comes_and_nothing_is_dropped() -> None:
    server = Server(source("0 * * * *", ALL), "2026-11-20T11:30:00")
    async with server.up(paused=True):
        await server.until("2026-11-20T14:30:00")
        assert server.told() == []
    async with server.up():
        assert [each[11:16] for each in server.told()] == ["12:00", "13:00", "14:00"]


# Clocks that are set


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("by_ms", [HOUR_MS, -HOUR_MS, 25 * MINUTE_MS, -25 * MINUTE_MS])
async def test_a_clock_that_is_set_neither_doubles_nor_loses_anything(
    by_ms: int, restarts: bool
) -> None:
    server = Server(source("*/10 * * * *", ALL), "2026-11-20T08:05:00")
    async with server.up():
        await server.until("2026-11-20T10:05:00")
        await server.clock.set_to(server.clock.now_ms() + by_ms)
        if not restarts:
            await server.until("2026-11-20T13:05:00")
    if restarts:
        async with server.up():
            await server.until("2026-11-20T13:05:00")

    times = [f"{hour:02}:{minute:02}" for hour in range(8, 14) for minute in range(0, 60, 10)]
    assert [each[11:16] for each in server.told()] == times[1:-5]
    assert server.log.again == 0


async def test_a_clock_that_was_far_ahead_does_not_stop_a_schedule_for_years(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(source("0 * * * *"), "2099-01-01T00:30:00")
    async with server.up():
        await server.until("2099-01-01T01:00:00")
    await server.set_to("2026-11-20T08:30:00")
    async with server.up():
        await server.until("2026-11-20T09:00:00")

    assert server.told() == ["2099-01-01T01:00:00+00:00", "2026-11-20T09:00:00+00:00"]
    assert "far ahead; going on from now" in caplog.text


# Crashes


async def test_after_a_crash_before_the_commit_the_time_is_told() -> None:
    server = Server(DAILY, "2026-11-20T08:00:00")
    server.log.left = 0
    async with server.up() as running:
        await server.until("2026-11-20T09:00:00")
        assert isinstance(running.exception(), LogUnavailable)
    server.log.left = None
    async with server.up():
        pass

    assert server.told() == ["2026-11-20T09:00:00+01:00"]


async def test_after_a_crash_between_commit_and_acknowledgement_it_is_not_told_again() -> None:
    server = Server(DAILY, "2026-11-20T08:00:00")
    server.log.dies_before_telling = True
    async with server.up():
        await server.until("2026-11-20T09:00:00")
    server.log.dies_before_telling = False
    async with server.up():
        await server.until("2026-11-21T09:00:00")

    assert server.told() == ["2026-11-20T09:00:00+01:00", "2026-11-21T09:00:00+01:00"]
    assert server.log.again == 0


@pytest.mark.parametrize("left", range(6))
async def test_after_a_crash_amid_catching_up_all_are_told_once(left: int) -> None:
    server = Server(source("0 * * * *", ALL), "2026-11-20T11:30:00")
    async with server.up():
        await server.until("2026-11-20T12:30:00")
    server.log.deliveries.clear()
    await server.set_to("2026-11-20T17:30:00")
    server.log.left = left
    async with server.up():
        pass
    server.log.left = None
    async with server.up():
        pass

    assert sorted(each[11:16] for each in server.told()) == ALL_FIVE


# Windows


async def test_times_with_a_window_come_at_moments_that_a_restart_does_not_move() -> None:
    daily = ScheduleSource(expression="0 9 * * *", window_minutes=60)
    moments = []
    for restarts in (False, True):
        server = Server(daily, "2026-11-20T00:00:00")
        moments.append(await _moments(server, 4, restarts=restarts))

    assert moments[0] == moments[1]
    assert len(set(moments[0])) == 4
    assert all(0 <= each < 60 * MINUTE_MS for each in moments[0])


async def _moments(server: Server, days: int, *, restarts: bool) -> list[int]:
    """By how much the first times were put off."""
    found = []
    for day in range(days):
        async with server.up():
            nine_ms = server.zone.read(f"2026-11-{20 + day}T09:00:00")
            await server.clock.pass_until(nine_ms - 1)
            if not restarts:
                while len(server.told()) == day:
                    await server.clock.pass_until(server.clock.now_ms() + 5_000)
        while restarts and len(server.told()) == day:
            async with server.up():
                await server.clock.pass_until(server.clock.now_ms() + 5_000)
        found.append((server.clock.now_ms() - nine_ms) // 5_000 * 5_000)
    return found


async def test_windows_longer_than_the_period_keep_the_order_and_their_bound() -> None:
    often = ScheduleSource(expression="*/5 * * * *", window_minutes=30, catch_up=ALL)
    server = Server(often, "2026-11-20T08:00:00")
    latest = 0
    async with server.up():
        while server.clock.now_ms() < server.zone.read("2026-11-20T12:00:00"):
            before = len(server.told())
            await server.clock.pass_until(server.clock.now_ms() + 10_000)
            for each in server.told()[before:]:
                latest = max(latest, server.clock.now_ms() - server.zone.read(each))
                assert latest >= 0

    assert server.told() == sorted(server.told())
    assert len(server.told()) >= 3 * 12
    assert latest <= 30 * MINUTE_MS + 10_000


async def test_the_end_date_ends_it() -> None:
    server = Server(source("0 * * * *"), "2026-11-20T08:30:00")
    server.source = ScheduleSource(
        expression="0 * * * *", end_ms=server.zone.read("2026-11-20T10:00:00")
    )
    async with server.up():
        await server.until("2026-11-21T00:00:00")

    assert [each[11:16] for each in server.told()] == ["09:00", "10:00"]
