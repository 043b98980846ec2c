"""Policies of triggers: events wait in the log, and start in order when they may."""

import json
from dataclasses import replace

import pytest

from eventmill.errors import LogUnavailable
from eventmill.log.memory import MemoryEventLog
from eventmill.ports import Transaction
from eventmill.triggers.listeners import Listeners
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.waiting import (
    MINUTE,
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


class Log(MemoryEventLog):
    """A log in memory that keeps what was committed, and can refuse."""

    def __init__(self) -> None:
        super().__init__(fail=self._look)
        self.transactions: list[Transaction] = []
        self.is_full = False

    def _look(self, transaction: Transaction) -> Exception | None:
        self.transactions.append(transaction)
        return LogUnavailable("the disk is full") if self.is_full else None


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

AN_HOUR = {"MaximumEventAgeInSeconds": 3600}


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


# Deduplication and SkipUnchanged

BY_ORDER = {"Key": "$.detail.order", "WindowSeconds": 60}


async def test_of_events_with_the_same_key_the_first_in_the_window_starts(
    log: Log, clock: VirtualClock
) -> None:
    unique = trigger(Deduplication=BY_ORDER, StateMachine="at-once")
    async with life(log, clock, unique) as server:
        await server.come("a1", "a2", order="A")
        await server.come("b1", order="B")
        await server.pass_(59.999)
        await server.come("a3", order="A")
        await server.pass_(0.001)
        await server.come("a4", order="A")
        await server.come("a5", order="A")

    assert list(await statuses(log)) == ["a1", "b1", "a4"]
    assert await decided(log) == {
        "a1": "STARTED", "a2": "SKIPPED", "b1": "STARTED", "a3": "SKIPPED", "a4": "STARTED",
        "a5": "SKIPPED",
    }  # fmt: skip
    assert await reason(log, "a3") == "the event a1 came first with the same key (Deduplication)"


async def test_what_was_skipped_begins_no_window(log: Log, clock: VirtualClock) -> None:
    """Also when all of them are decided together."""
    unique = trigger(Deduplication=BY_ORDER)
    async with life(log, clock, unique) as server:
        await server.come("x", order="X")
    switched_off = replace(unique, enabled=False)
    async with life(log, clock, switched_off) as server:
        for name in ("a", "b", "c"):
            # As if they had come while the trigger was on and the server about to die.
            await server.router.publish("sensor", Listeners([unique]), [delivery(name, order="A")])
            await server.pass_(40)
    async with life(log, clock, unique) as server:
        await server.pass_(0)

    assert await decided(log) == {
        "x": "STARTED", "a": "STARTED", "b": "SKIPPED", "c": "STARTED",
    }  # fmt: skip


async def test_keys_are_known_after_a_crash(log: Log, clock: VirtualClock) -> None:
    unique = trigger(Deduplication=BY_ORDER)
    async with life(log, clock, unique) as server:
        await server.come("a", order="A")
    async with life(log, clock, unique) as server:
        await server.come("b", order="A")

    assert await decided(log) == {"a": "STARTED", "b": "SKIPPED"}


async def test_one_that_could_not_start_is_no_duplicate_of_anything(
    log: Log, clock: VirtualClock
) -> None:
    unique = trigger(Deduplication=BY_ORDER, InputPath="$.detail.size")
    async with life(log, clock, unique) as server:
        await server.come("a", order="A")
        await server.come("b", order="A", size=1)

    assert await decided(log) == {"a": "DEAD", "b": "STARTED"}


async def test_an_event_without_the_key_is_a_dead_letter(log: Log, clock: VirtualClock) -> None:
    async with life(log, clock, trigger(Deduplication=BY_ORDER)) as server:
        await server.come("a")

    assert await decided(log) == {"a": "DEAD"}


async def test_duplicates_are_found_while_the_first_waits_for_a_place(
    log: Log, clock: VirtualClock
) -> None:
    unique = trigger(Concurrency=1, Deduplication=BY_ORDER)
    async with life(log, clock, unique) as server:
        await server.come("a", order="A")
        await server.come("b", order="B")
        await server.pass_(30)
        await server.come("b2", order="B")
        await server.pass_(30)
        await server.pass_(60)

    assert await decided(log) == {"a": "STARTED", "b": "STARTED", "b2": "SKIPPED"}


async def test_an_event_with_the_content_of_the_last_one_starts_nothing(
    log: Log, clock: VirtualClock
) -> None:
    watchful = trigger(SkipUnchanged="$.detail.content", StateMachine="at-once")
    async with life(log, clock, watchful) as server:
        await server.come("a", content={"x": 1, "y": [2]})
        await server.come("b", content={"y": [2], "x": 1})
        await server.come("c", content={"x": 1, "y": [3]})
    async with life(log, clock, watchful) as server:
        await server.come("d", content={"x": 1, "y": [3]})
        await server.come("e", content={"x": 1, "y": [2]})

    assert await decided(log) == {
        "a": "STARTED", "b": "SKIPPED", "c": "STARTED", "d": "SKIPPED", "e": "STARTED",
    }  # fmt: skip
    assert await reason(log, "d") == "nothing has changed since the event c (SkipUnchanged)"


async def test_contents_are_compared_under_the_same_key(log: Log, clock: VirtualClock) -> None:
    watchful = trigger(
        SkipUnchanged="$.detail.content",
        Deduplication={"Key": "$.detail.path", "WindowSeconds": 1},
        StateMachine="at-once",
    )
    async with life(log, clock, watchful) as server:
        for name, path, content in (
            ("a", "/1", "x"),
            ("b", "/2", "x"),
            ("c", "/1", "x"),
            ("d", "/2", "y"),
            ("e", "/1", "y"),
        ):
            await server.come(name, path=path, content=content)
            await server.pass_(2)

    assert await decided(log) == {
        "a": "STARTED", "b": "STARTED", "c": "SKIPPED", "d": "STARTED", "e": "STARTED",
    }  # fmt: skip


async def test_an_event_without_content_is_a_dead_letter(log: Log, clock: VirtualClock) -> None:
    async with life(log, clock, trigger(SkipUnchanged="$.detail.content")) as server:
        await server.come("a")

    assert await decided(log) == {"a": "DEAD"}


async def test_with_an_overlap_policy_those_that_are_no_duplicates_are_skipped_by_it(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(Deduplication=BY_ORDER, Overlap="skip")) as server:
        await server.come("a", order="A")
        await server.come("b", order="B")
        await server.pass_(60)
        await server.come("b2", order="B")

    assert await decided(log) == {"a": "STARTED", "b": "SKIPPED", "b2": "STARTED"}
    assert await reason(log, "b") == "Overlap is skip"
