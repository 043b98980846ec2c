"""The engine over both logs: append, then act; sleepers; recovery; a disk that refuses."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventmill.errors import (
    AppendConflict,
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    LogDamaged,
    LogError,
    LogUnavailable,
)
from eventmill.log.memory import MemoryEventLog
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.facts import TaskSucceeded
from eventmill.machine.history import HistoryEvent
from eventmill.model import Json, Payload, Quotas
from eventmill.ports import EventLog, Transaction
from eventmill.rows import ExecutionRow
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled


def call(name: str, **fields: Any) -> dict[str, Any]:
    resource = f"arn:aws:lambda:local:000000000000:function:{name}"
    return {"Type": "Task", "Resource": resource, **fields}


ONE = {"StartAt": "A", "States": {"A": call("echo", End=True)}}
THREE = {
    "StartAt": "A",
    "States": {
        "A": call("echo", Next="B"),
        "B": call("echo", Next="C"),
        "C": call("echo", End=True),
    },
}
SLEEP = {
    "StartAt": "Sleep",
    "States": {
        "Sleep": {"Type": "Wait", "Seconds": 3600, "Next": "A"},
        "A": call("echo", End=True),
    },
}


HANG = {"StartAt": "A", "States": {"A": call("hang", End=True)}}


async def echo(event: Json, context: object) -> Json:
    return event


async def hang(event: Json, context: object) -> Json:
    await asyncio.Event().wait()
    return None


async def asked(world: World, row: ExecutionRow) -> int:
    """The event that asks for the only task."""
    (task,) = [each for each in await world.events(row.id) if each.type.endswith("Scheduled")]
    return task.id


class UnreadableLog(MemoryEventLog):
    """A log whose executions cannot be read for a while."""

    is_unreadable = False

    async def execution_by_id(self, execution: int) -> ExecutionRow | None:
        if self.is_unreadable:
            raise LogUnavailable("cannot read")
        return await super().execution_by_id(execution)


@pytest.fixture(params=["memory", "sqlite"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    if request.param == "memory":
        yield MemoryEventLog()
    else:
        async with SqliteEventLog.open(tmp_path / "log.db") as sqlite:
            yield sqlite


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def test_an_execution_runs_to_its_end_and_is_proven(
    log: EventLog, clock: VirtualClock
) -> None:
    async with World(log, clock, {"echo": echo}, {"three": THREE}) as world:
        row = await world.start("three", data={"x": 1})
        ended = await world.engine.ended(row.id)
        events = await world.events(row.id)
        assert ended.status == "SUCCEEDED"
        assert [event.id for event in events] == list(range(1, 18))
        assert events[-1].payload("output").value == {"x": 1}
        assert await world.proven(row) == 4
        stored = await log.execution(row.arn)
        assert stored is not None
        assert (stored.status, stored.steps, stored.stop_ms) == ("SUCCEEDED", 4, clock.now_ms())
        assert world.engine.in_memory == 0


async def test_two_thousand_executions_at_once_all_end_once(
    log: EventLog, clock: VirtualClock
) -> None:
    calls: list[Json] = []

    async def count(event: Json, context: object) -> Json:
        calls.append(event)
        return event

    async with World(log, clock, {"echo": count}, {"three": THREE}) as world:
        rows = await asyncio.gather(
            *(world.start("three", f"run-{number}", number) for number in range(2_000))
        )
        ended = await asyncio.gather(*(world.engine.ended(row.id) for row in rows))
        assert {row.status for row in ended} == {"SUCCEEDED"}
        assert len(calls) == 6_000
        assert world.engine.in_memory == 0


async def test_a_name_that_is_taken_starts_nothing(log: EventLog, clock: VirtualClock) -> None:
    async with World(log, clock, {"echo": echo}, {"one": ONE}) as world:
        first = await world.start("one")
        with pytest.raises(ExecutionAlreadyExists):
            await world.start("one")
        await world.engine.ended(first.id)
        assert len(await log.executions()) == 1


async def test_a_sleeper_leaves_memory_and_wakes_when_its_time_comes(
    log: EventLog, clock: VirtualClock
) -> None:
    async with World(log, clock, {"echo": echo}, {"sleep": SLEEP}) as world:
        rows = [await world.start("sleep", f"run-{number}") for number in range(700)]
        assert world.engine.in_memory == 0
        assert await log.next_due_ms() == clock.now_ms() + 3_600_000
        clock.advance(3_599_999)
        await settled()
        assert len(await log.due(clock.now_ms(), limit=10)) == 0
        clock.advance(1)
        ended = await asyncio.gather(*(world.engine.ended(row.id) for row in rows))
        assert {row.status for row in ended} == {"SUCCEEDED"}
        assert await log.next_due_ms() is None


async def test_a_sleeper_survives_the_server_and_is_not_read_at_start(
    log: EventLog, clock: VirtualClock
) -> None:
    async with World(log, clock, {"echo": echo}, {"sleep": SLEEP}) as world:
        row = await world.start("sleep")
    async with World(log, clock, {"echo": echo}, {}) as world:
        assert world.recovered == 0
        clock.advance(3_600_000)
        assert (await world.engine.ended(row.id)).status == "SUCCEEDED"


async def test_a_task_under_way_is_carried_out_again_after_a_crash(
    log: EventLog, clock: VirtualClock
) -> None:
    keys = []

    async def hang(event: Json, context: Any) -> Json:
        keys.append(context.idempotency_key)
        return await asyncio.Event().wait() and None

    async def answer(event: Json, context: Any) -> Json:
        keys.append(context.idempotency_key)
        return "done"

    async with World(log, clock, {"echo": hang}, {"one": ONE}) as world:
        row = await world.start("one")
        await settled()
    async with World(log, clock, {"echo": answer}, {}) as world:
        assert world.recovered == 1
        assert (await world.engine.ended(row.id)).status == "SUCCEEDED"
        assert len(keys) == 2
        assert len(set(keys)) == 1
        assert await world.proven(row) == 2


async def test_a_timeout_is_kept_over_a_crash(log: EventLog, clock: VirtualClock) -> None:
    async def hang(event: Json, context: Any) -> Json:
        return await asyncio.Event().wait() and None

    slow = {"StartAt": "A", "States": {"A": call("echo", TimeoutSeconds=10, End=True)}}
    async with World(log, clock, {"echo": hang}, {"slow": slow}) as world:
        row = await world.start("slow")
    clock.advance(4_000)
    async with World(log, clock, {"echo": hang}, {}) as world:
        await settled()
        clock.advance(6_000)
        assert (await world.engine.ended(row.id)).status == "FAILED"
        assert [event.type for event in await world.events(row.id)][-3:] == [
            "LambdaFunctionStarted",
            "LambdaFunctionTimedOut",
            "ExecutionFailed",
        ]


async def test_an_execution_keeps_the_definition_it_was_started_with(
    log: EventLog, clock: VirtualClock
) -> None:
    other = {"StartAt": "Z", "States": {"Z": {"Type": "Pass", "Result": "new", "End": True}}}
    async with World(log, clock, {"echo": echo}, {"sleep": SLEEP}) as world:
        row = await world.start("sleep", data="old")
    async with World(log, clock, {"echo": echo}, {"sleep": other}) as world:
        clock.advance(3_600_000)
        await world.engine.ended(row.id)
        assert (await world.events(row.id))[-1].payload("output").value == "old"


async def test_a_running_execution_survives_smaller_quotas(
    log: EventLog, clock: VirtualClock
) -> None:
    async with World(log, clock, {"echo": echo}, {"sleep": SLEEP}) as world:
        row = await world.start("sleep", data="x" * 100)
    small = Quotas(definition_bytes_max=10, payload_bytes_max=50, history_events_max=5)
    async with World(log, clock, {"echo": echo}, {}, small) as world:
        clock.advance(3_600_000)
        assert (await world.engine.ended(row.id)).status == "SUCCEEDED"
        assert await world.proven(row) == 3


async def test_ids_grow_also_when_the_clock_has_gone_back(log: EventLog) -> None:
    async with World(log, VirtualClock(), {"echo": echo}, {"one": ONE}) as world:
        first = await world.start("one", "a")
        await world.engine.ended(first.id)
    for name, now_ms in (("b", VirtualClock().now_ms()), ("c", 3_900_000_000_000)):
        async with World(log, VirtualClock(now_ms), {"echo": echo}, {"one": ONE}) as world:
            row = await world.start("one", name)
            assert (await world.engine.ended(row.id)).status == "SUCCEEDED"
    assert [row.name for row in await log.executions()] == ["c", "b", "a"]


async def test_stopping_ends_a_sleeper_and_cancels_a_handler(
    log: EventLog, clock: VirtualClock
) -> None:
    cancelled = asyncio.Event()

    async def hang(event: Json, context: Any) -> Json:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return None

    async with World(log, clock, {"echo": hang}, {"one": ONE, "sleep": SLEEP}) as world:
        sleeper, busy = await world.start("sleep", "a"), await world.start("one", "b")
        await settled()
        for row in (sleeper, busy):
            assert (await world.engine.stop(row.arn, "E", "C")).status == "ABORTED"
        await cancelled.wait()
        # Stopping again changes nothing.
        assert (await world.engine.stop(busy.arn, None, None)).status == "ABORTED"
        assert await log.next_due_ms() is None


async def test_an_answer_nobody_waits_for_changes_nothing(
    log: EventLog, clock: VirtualClock
) -> None:
    async with World(log, clock, {"echo": echo}, {"one": ONE}) as world:
        row = await world.start("one")
        await world.engine.ended(row.id)
        before = await log.read(row.id)
        world.engine.tell(row.id, TaskSucceeded(task=3, output=Payload.of("again")))
        await settled()
        assert await log.read(row.id) == before


async def test_a_disk_that_refuses_loses_no_answer_and_runs_no_handler_twice(
    clock: VirtualClock,
) -> None:
    calls: list[Json] = []
    refusing = False

    def refuse(transaction: Transaction) -> Exception | None:
        return LogUnavailable("no space left on device") if refusing else None

    async def count(event: Json, context: object) -> Json:
        nonlocal refusing
        calls.append(event)
        refusing = len(calls) == 2
        return event

    log = MemoryEventLog(fail=refuse)
    async with World(log, clock, {"echo": count}, {"three": THREE}) as world:
        row = await world.start("three")
        await settled()
        assert len(calls) == 2
        for _ in range(5):  # the disk stays full for a while
            clock.advance(250)
            await settled()
        refusing = False
        clock.advance(250)
        await settled()
        assert (await world.engine.ended(row.id)).status == "SUCCEEDED"
        assert len(calls) == 3
        assert await world.proven(row) == 4


async def test_a_start_that_the_disk_refuses_leaves_no_trace(clock: VirtualClock) -> None:
    log = MemoryEventLog(fail=lambda transaction: LogUnavailable("disk full"))
    async with World(log, clock, {"echo": echo}, {"one": ONE}) as world:
        with pytest.raises(LogUnavailable):
            await world.start("one")
        assert world.engine.in_memory == 0
        assert await log.executions() == []


async def test_a_handler_under_way_is_not_run_again_when_its_execution_is_read_again(
    clock: VirtualClock,
) -> None:
    calls: list[str] = []
    release = asyncio.Event()
    refusing = False

    def refuse(transaction: Transaction) -> Exception | None:
        return LogUnavailable("disk full") if refusing else None

    async def slow(event: Json, context: object) -> Json:
        calls.append("slow")
        await release.wait()
        return None

    async def quick(event: Json, context: object) -> Json:
        nonlocal refusing
        calls.append("quick")
        refusing = True
        return None

    both = {"Type": "Parallel", "End": True, "Branches": [
        {"StartAt": name, "States": {name: call(name, End=True)}} for name in ("slow", "quick")
    ]}  # fmt: skip
    handlers = {"slow": slow, "quick": quick}
    machines = {"both": {"StartAt": "Both", "States": {"Both": both}}}
    async with World(MemoryEventLog(fail=refuse), clock, handlers, machines) as world:
        row = await world.start("both")
        await settled()
        refusing = False
        clock.advance(250)
        await settled()
        release.set()
        assert (await world.engine.ended(row.id)).status == "SUCCEEDED"
        assert calls == ["slow", "quick"]


async def test_what_a_sleeper_does_next_waits_for_the_disk(clock: VirtualClock) -> None:
    calls: list[Json] = []
    refusing = False

    def refuse(transaction: Transaction) -> Exception | None:
        return LogUnavailable("disk full") if refusing and transaction.steps else None

    async def count(event: Json, context: object) -> Json:
        calls.append(event)
        return event

    log = MemoryEventLog(fail=refuse)
    async with World(log, clock, {"echo": count}, {"sleep": SLEEP}) as world:
        row = await world.start("sleep")
        refusing = True
        clock.advance(3_600_000)
        await settled()
        assert calls == []
        refusing = False
        clock.advance(250)
        assert (await world.engine.ended(row.id)).status == "SUCCEEDED"
        assert len(calls) == 1


async def test_a_damaged_log_stops_the_engine(clock: VirtualClock) -> None:
    damaged = False

    def fail(transaction: Transaction) -> Exception | None:
        return LogDamaged("the file is no database any more") if damaged else None

    async def damage(event: Json, context: object) -> Json:
        nonlocal damaged
        damaged = True
        return None

    log = MemoryEventLog(fail=fail)
    async with World(log, clock, {"echo": damage}, {"one": ONE}) as world:
        await world.start("one")
        with pytest.raises(LogDamaged):
            await world.time


async def test_commands_leave_only_after_their_step_is_durable(clock: VirtualClock) -> None:
    seen: list[int] = []
    log = MemoryEventLog()

    async def look(event: Json, context: object) -> Json:
        rows = await log.executions()
        seen.append(rows[0].steps)
        return None

    async with World(log, clock, {"echo": look}, {"three": THREE}) as world:
        row = await world.start("three")
        await world.engine.ended(row.id)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    "refusal", [LogUnavailable("disk full"), AppendConflict(1, expected=2, actual=3)]
)
async def test_an_answer_that_is_old_news_waits_until_what_made_it_old_is_durable(
    clock: VirtualClock, refusal: LogError
) -> None:
    refusing = False

    def refuse(transaction: Transaction) -> Exception | None:
        return refusal if refusing and transaction.steps else None

    log = MemoryEventLog(fail=refuse)
    async with World(log, clock, {"hang": hang}, {"one": HANG}) as world:
        row = await world.start("one")
        task = await asked(world, row)
        refusing = True
        fact = TaskSucceeded(task=task, output=Payload.of("done"))
        first, second = (asyncio.ensure_future(world.engine.told(row.id, fact)) for _ in range(2))
        await settled()
        assert (first.done(), second.done()) == (False, False)
        refusing = False
        clock.advance(250)
        assert (await first, await second) == (True, False)
        assert (await world.engine.ended(row.id)).status == "SUCCEEDED"


async def test_an_answer_that_is_old_news_for_long_is_told_so_at_once(clock: VirtualClock) -> None:
    async with World(MemoryEventLog(), clock, {"hang": hang}, {"one": HANG}) as world:
        row = await world.start("one")
        assert not await world.engine.told(row.id, TaskSucceeded(task=99, output=Payload.of(1)))


async def test_a_log_that_cannot_be_trusted_stops_the_engine_on_old_news_too(
    clock: VirtualClock,
) -> None:
    def fail(transaction: Transaction) -> Exception | None:
        return LogDamaged("the file is no database any more") if damaged else None

    damaged = False
    async with World(MemoryEventLog(fail=fail), clock, {"hang": hang}, {"one": HANG}) as world:
        row = await world.start("one")
        task = await asked(world, row)
        damaged = True
        answers = [
            asyncio.ensure_future(
                world.engine.told(row.id, TaskSucceeded(task=task, output=Payload.of(1)))
            )
            for _ in range(2)
        ]
        with pytest.raises(LogDamaged):
            await world.time
        assert not any(answer.done() for answer in answers)
        for answer in answers:
            answer.cancel()


async def test_nothing_is_kept_of_those_who_stop_waiting_for_an_end(clock: VirtualClock) -> None:
    log = UnreadableLog()
    async with World(log, clock, {"hang": hang}, {"one": HANG, "sleep": SLEEP}) as world:
        busy, asleep = await world.start("one"), await world.start("sleep")
        waiting = [
            asyncio.ensure_future(world.engine.ended(row.id)) for row in (busy, busy, asleep)
        ]
        await settled()
        assert len(world.engine._ends) == 2
        waiting[0].cancel()
        waiting[2].cancel()
        await settled()
        assert len(world.engine._ends) == 1
        log.is_unreadable = True
        with pytest.raises(LogUnavailable):
            await world.engine.ended(asleep.id)
        log.is_unreadable = False
        with pytest.raises(ExecutionDoesNotExist):
            await world.engine.ended(1)
        assert len(world.engine._ends) == 1
        await world.engine.stop(busy.arn, None, None)
        assert (await waiting[1]).status == "ABORTED"
        assert len(world.engine._ends) == 0


async def test_a_listener_hears_of_all_that_starts_and_ends_once_it_is_durable(
    clock: VirtualClock,
) -> None:
    heard: list[tuple[str, str, str]] = []

    class Ear:
        def started(self, row: ExecutionRow) -> None:
            assert row.id in memory._executions
            heard.append(("started", row.name, row.status))

        def ended(self, row: ExecutionRow, last: HistoryEvent) -> None:
            stored = memory._row(row.id)
            assert (stored.status, stored.steps, stored.stop_ms) == (
                row.status,
                row.steps,
                row.stop_ms,
            )
            heard.append(("ended", row.name, last.type))

    refusing = True

    def refuse(transaction: Transaction) -> Exception | None:
        return LogUnavailable("disk full") if refusing else None

    async def fail(event: Json, context: object) -> Json:
        raise ValueError("no")

    memory = MemoryEventLog(fail=refuse)
    machines = {"one": ONE, "bad": {"StartAt": "A", "States": {"A": call("fail", End=True)}}}
    machines |= {"sleep": SLEEP, "pass": {"StartAt": "P", "States": {"P": {"Type": "Succeed"}}}}
    refusing = False
    handlers = {"echo": echo, "fail": fail}
    async with World(memory, clock, handlers, machines, listener=Ear()) as world:
        refusing = True
        with pytest.raises(LogUnavailable):
            await world.start("one", "refused")
        assert heard == []
        refusing = False
        for name in machines:
            await world.start(name, name)
        await settled()
        sleeper = await world.start("sleep", "stopped")
        await world.engine.stop(sleeper.arn, None, None)
        clock.advance(3_600_000)
        await settled()
    assert [each for each in heard if each[0] == "started"] == [
        ("started", name, "RUNNING") for name in (*machines, "stopped")
    ]
    assert sorted(each for each in heard if each[0] == "ended") == [
        ("ended", "bad", "ExecutionFailed"),
        ("ended", "one", "ExecutionSucceeded"),
        ("ended", "pass", "ExecutionSucceeded"),
        ("ended", "sleep", "ExecutionSucceeded"),
        ("ended", "stopped", "ExecutionAborted"),
    ]
