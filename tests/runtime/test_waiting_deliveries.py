"""Policies of triggers: events wait in the log, and start in order when they may."""

import asyncio
import json

import pytest

from eventmill.errors import LogUnavailable
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.waiting import (
    AN_HOUR,
    MINUTE,
    Log,
    decided,
    delivery,
    life,
    reason,
    running,
    statuses,
    trigger,
)
from tests.runtime.world import settled

TWO_A_MINUTE = {"Executions": 2, "PerSeconds": 60}


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


# Concurrency


async def test_as_many_run_as_concurrency_says_and_the_others_follow_in_order(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(Concurrency=2)) as server:
        await server.come("a", "b", "c")
        await server.come("d")
        await server.come("e")
        assert await running(log) == ["a", "b"]
        assert await decided(log) == {
            "a": "STARTED", "b": "STARTED", "c": "WAITING", "d": "WAITING", "e": "WAITING",
        }  # fmt: skip
        await server.pass_(60)
        assert await running(log) == ["c", "d"]
        await server.pass_(60)
        assert await running(log) == ["e"]

    assert list(await statuses(log)) == ["a", "b", "c", "d", "e"]


async def test_an_event_waits_from_its_own_commit_on_and_starts_in_one_with_its_row(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(Concurrency=1)) as server:
        log.transactions.clear()
        await server.come("a")

    first, second = (each for each in log.transactions if each.deliveries)
    assert [each.id for each in first.events] == ["a"]
    assert [row.status for row in first.deliveries] == ["WAITING"]
    assert not first.created
    (created,) = second.created
    assert (created.name, created.event, created.trigger) == ("a", ("test", "a"), "t")
    assert [(row.status, row.execution) for row in second.deliveries] == [("STARTED", created.arn)]


@pytest.mark.parametrize("seconds", [0, 60])
async def test_what_waits_and_what_runs_survive_a_crash(
    log: Log, clock: VirtualClock, seconds: int
) -> None:
    limited = trigger(Concurrency=2)
    async with life(log, clock, limited) as server:
        await server.come("a", "b", "c", "d", "e")
    clock.advance(seconds * 1000)
    async with life(log, clock, limited) as server:
        await server.pass_(0)
        assert await running(log) == (["c", "d"] if seconds else ["a", "b"])
        await server.pass_(60)
        await server.pass_(60)
        await server.pass_(60)

    assert await statuses(log) == dict.fromkeys("abcde", "SUCCEEDED")


async def test_more_events_wait_than_are_looked_at_together(log: Log, clock: VirtualClock) -> None:
    names = [f"e{number:03}" for number in range(250)]
    async with life(log, clock, trigger(Concurrency=1000, StateMachine="at-once")) as server:
        await server.come(*names)
        await settled()

    assert list(reversed([row.name for row in await log.executions(limit=300)])) == names


async def test_each_trigger_has_limits_of_its_own(log: Log, clock: VirtualClock) -> None:
    triggers = [
        trigger("t", Concurrency=1, ExecutionName="States.Format('t-{}', $.id)"),
        trigger("u", ExecutionName="States.Format('u-{}', $.id)"),
        trigger("v", Concurrency=2, ExecutionName="States.Format('v-{}', $.id)"),
    ]
    async with life(log, clock, *triggers) as server:
        await server.come("1", "2", "3")

    assert sorted(await running(log)) == ["t-1", "u-1", "u-2", "u-3", "v-1", "v-2"]


async def test_executions_started_by_hand_do_not_count(log: Log, clock: VirtualClock) -> None:
    async with life(log, clock, trigger(Concurrency=1)) as server:
        await server.world.start("minute", "by-hand")
        await server.come("a")

    assert await running(log) == ["by-hand", "a"]


async def test_an_event_told_again_waits_once(log: Log, clock: VirtualClock) -> None:
    async with life(log, clock, trigger(Concurrency=1)) as server:
        for _ in range(2):
            await server.come("a", "b")
        await server.pass_(60)
        await server.come("a", "b", "c")
        await server.pass_(60)
        await server.pass_(60)

    assert await statuses(log) == dict.fromkeys("abc", "SUCCEEDED")


async def test_what_waits_is_seen_also_when_its_sensor_has_gone(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(Concurrency=100)) as server:
        for turns in range(20):
            publishing = asyncio.ensure_future(server.publish(delivery(f"e{turns}")))
            for _ in range(turns):
                await asyncio.sleep(0)
            publishing.cancel()
            await settled()
            assert set((await decided(log)).values()) <= {"STARTED"}

    assert len(await decided(log)) == len(await log.inbox()) > 10


async def test_a_name_that_is_taken_keeps_no_place(log: Log, clock: VirtualClock) -> None:
    async with life(log, clock, trigger(Concurrency=2)) as server:
        await server.world.start("minute", "a")
        await server.come("a", "b", "c", "d")

    assert await running(log) == ["a", "b", "c"]
    assert await decided(log) == {
        "a": "SKIPPED", "b": "STARTED", "c": "STARTED", "d": "WAITING",
    }  # fmt: skip
    assert "is there already" in await reason(log, "a")


async def test_events_that_share_a_name_start_it_once(log: Log, clock: VirtualClock) -> None:
    shared = trigger(Concurrency=2, ExecutionName="$.detail.name")
    async with life(log, clock, shared) as server:
        await server.come("1", "2", name="a")
        await server.come("3", name="a")

    assert await running(log) == ["a"]
    assert await decided(log) == {"1": "STARTED", "2": "SKIPPED", "3": "SKIPPED"}


async def test_one_of_which_no_input_can_be_made_becomes_a_dead_letter(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(Concurrency=1, InputPath="$.detail.size")) as server:
        await server.come("a")
        await server.come("b", size=1)

    assert await running(log) == ["b"]
    assert await decided(log) == {"a": "DEAD", "b": "STARTED"}
    assert (await reason(log, "a")).startswith("no input can be made of it: ")


async def test_a_dead_letter_waits_again_when_it_is_sent_again(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(Concurrency=1, StateMachine="nowhere")) as server:
        await server.come("a")
    found = trigger(Concurrency=1)
    async with life(log, clock, found) as server:
        await server.come("b")
        (dead,) = await log.deliveries(status="DEAD")
        assert (await server.router.redrive(found, dead)).status == "WAITING"
        await server.pass_(0)
        assert await running(log) == ["b"]
        await server.pass_(60)

    assert await running(log) == ["a"]


async def test_a_disk_that_refuses_delays_and_loses_nothing(
    log: Log, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with life(log, clock, trigger(Concurrency=1)) as server:
        await server.come("a", "b")
        log.is_full = True
        with pytest.raises(LogUnavailable):
            await server.come("c")
        await server.pass_(60)
        log.is_full = False
        await server.come("c")
        for _ in range(200):
            await server.pass_(1)

    assert await statuses(log) == dict.fromkeys("abc", "SUCCEEDED")


async def test_a_full_disk_as_the_next_one_starts(log: Log, clock: VirtualClock) -> None:
    async with life(log, clock, trigger(RateLimit=TWO_A_MINUTE)) as server:
        await server.come("a", "b", "c")
        await server.pass_(59)
        log.is_full = True
        await server.pass_(1)
        assert await decided(log) == {"a": "STARTED", "b": "STARTED", "c": "WAITING"}
        log.is_full = False
        await server.pass_(1)

    assert await decided(log) == dict.fromkeys("abc", "STARTED")


async def test_what_waits_for_a_trigger_without_policies_now_starts(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(Concurrency=1)) as server:
        await server.come("a", "b", "c")
    async with life(log, clock, trigger()):
        pass

    assert await running(log) == ["a", "b", "c"]


async def test_what_waits_for_a_trigger_that_is_gone_becomes_a_dead_letter(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(Concurrency=1)) as server:
        await server.come("a", "b", "c")
    async with life(log, clock, trigger("other")):
        pass

    assert await decided(log) == {"a": "STARTED", "b": "DEAD", "c": "DEAD"}
    assert await reason(log, "b") == "the trigger is not there any more"


# RateLimit


async def test_as_many_start_within_a_time_as_the_rate_says(log: Log, clock: VirtualClock) -> None:
    limited = trigger(RateLimit=TWO_A_MINUTE, StateMachine="at-once")
    async with life(log, clock, limited) as server:
        await server.come("a")
        await server.pass_(30)
        await server.come("b", "c", "d", "e")
        assert list(await statuses(log)) == ["a", "b"]
        await server.pass_(29.999)
        assert list(await statuses(log)) == ["a", "b"]
        await server.pass_(0.001)
        assert list(await statuses(log)) == ["a", "b", "c"]
        await server.pass_(30)
        assert list(await statuses(log)) == ["a", "b", "c", "d"]
        await server.pass_(30)

    assert list(await statuses(log)) == ["a", "b", "c", "d", "e"]


async def test_the_rate_holds_over_a_crash(log: Log, clock: VirtualClock) -> None:
    limited = trigger(RateLimit=TWO_A_MINUTE, StateMachine="at-once")
    async with life(log, clock, limited) as server:
        await server.come("a")
        await server.pass_(30)
        await server.come("b", "c", "d", "e")
    async with life(log, clock, limited) as server:
        assert list(await statuses(log)) == ["a", "b"]
        await server.pass_(30)
        assert list(await statuses(log)) == ["a", "b", "c"]
    clock.advance(60_000)
    async with life(log, clock, limited) as server:
        assert list(await statuses(log)) == ["a", "b", "c", "d", "e"]


async def test_both_limits_hold_together(log: Log, clock: VirtualClock) -> None:
    limited = trigger(Concurrency=1, RateLimit={"Executions": 1, "PerSeconds": 90})
    async with life(log, clock, limited) as server:
        await server.come("a", "b", "c")
        await server.pass_(60)
        assert await statuses(log) == {"a": "SUCCEEDED"}
        await server.pass_(30)
        assert await running(log) == ["b"]


async def test_a_server_without_policies_leaves_no_deliveries(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger()) as server:
        await server.come("a", "b")

    assert await decided(log) == {}


# RetryPolicy


async def test_an_event_that_waited_too_long_becomes_a_dead_letter(
    log: Log, clock: VirtualClock
) -> None:
    impatient = trigger(Concurrency=1, RetryPolicy=AN_HOUR, StateMachine="day")
    async with life(log, clock, impatient) as server:
        await server.come("a", "b")
        await server.pass_(1800)
        await server.come("c")
        await server.pass_(1799.999)
        assert await decided(log) == {"a": "STARTED", "b": "WAITING", "c": "WAITING"}
        await server.pass_(0.001)
        assert await decided(log) == {"a": "STARTED", "b": "DEAD", "c": "WAITING"}
    clock.advance(1_800_000)
    async with life(log, clock, impatient):
        assert await decided(log) == {"a": "STARTED", "b": "DEAD", "c": "DEAD"}

    assert await running(log) == ["a"]
    assert (await reason(log, "b")).startswith(
        "older than 3600 seconds (MaximumEventAgeInSeconds); it waited: "
    )


async def test_a_state_machine_that_is_missing_is_tried_again_with_growing_pauses(
    log: Log, clock: VirtualClock
) -> None:
    patient = trigger(RetryPolicy=AN_HOUR, StateMachine="late")
    async with life(log, clock, patient) as server:
        await server.come("a")
        attempts = []
        for _ in range(8):
            (row,) = await log.deliveries()
            attempts.append(row.attempts)
            await server.pass_(1)
        assert attempts == [1, 2, 2, 3, 3, 3, 3, 4]
        (row,) = await log.deliveries()
        assert (row.status, "late" in row.reason) == ("WAITING", True)
    async with life(log, clock, patient, machines={"late": MINUTE}) as server:
        assert await running(log) == []
        await server.pass_(8)
        assert await running(log) == ["a"]

    (row,) = await log.deliveries()
    assert (row.status, row.attempts) == ("STARTED", 4)


async def test_after_all_attempts_it_is_a_dead_letter(log: Log, clock: VirtualClock) -> None:
    twice = trigger(RetryPolicy={"MaximumRetryAttempts": 2}, StateMachine="nowhere")
    async with life(log, clock, twice) as server:
        await server.come("a")
        await server.pass_(1)
        assert await decided(log) == {"a": "WAITING"}
        await server.pass_(2)

    (row,) = await log.deliveries()
    assert (row.status, row.attempts, row.due_ms) == ("DEAD", 3, None)


async def test_without_retries_it_is_a_dead_letter_at_once(log: Log, clock: VirtualClock) -> None:
    never = trigger(RetryPolicy={"MaximumRetryAttempts": 0}, StateMachine="nowhere")
    async with life(log, clock, never) as server:
        await server.come("a")

    (row,) = await log.deliveries()
    assert (row.status, row.attempts) == ("DEAD", 1)


async def test_an_input_that_cannot_be_made_is_not_tried_again(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(RetryPolicy=AN_HOUR, InputPath="$.nothing")) as server:
        await server.come("a")

    assert await decided(log) == {"a": "DEAD"}


async def test_those_that_are_tried_again_keep_nobody_back(log: Log, clock: VirtualClock) -> None:
    patient = trigger(Concurrency=1, RetryPolicy=AN_HOUR, StateMachine="late")
    async with life(log, clock, patient) as server:
        await server.come("a", "b")
        await server.pass_(1)
        assert await decided(log) == {"a": "WAITING", "b": "WAITING"}
        server.world.catalog.add("late", json.dumps(MINUTE))
        await server.come("c")
        assert await running(log) == ["c"]
        await server.pass_(60)
        assert await running(log) == ["a"]


async def test_an_event_that_starts_at_once_leaves_no_delivery_with_a_retry_policy(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(RetryPolicy=AN_HOUR)) as server:
        await server.come("a")

    assert await running(log) == ["a"]
    assert await decided(log) == {}
