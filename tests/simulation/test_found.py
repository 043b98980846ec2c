"""What the simulation has found, each in as few steps as show it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from eventmill.errors import LogUnavailable
from eventmill.log.memory import MemoryEventLog
from eventmill.model import Json
from eventmill.ports import Transaction
from eventmill.rows import ChildHistory
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

HOUR_MS = 3_600_000
CALLBACK = {
    "StartAt": "A",
    "States": {
        "A": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "send", "Payload": {"token.$": "$$.Task.Token"}},
            "End": True,
        }
    },
}
SLEEP = {"StartAt": "Sleep", "States": {"Sleep": {"Type": "Wait", "Seconds": 3600, "End": True}}}
PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}


def each(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    mode = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    state = {"Type": "Map", "ItemProcessor": {**processor, "ProcessorConfig": mode}, **fields}
    return {"StartAt": "Each", "States": {"Each": {**state, "End": True}}}


async def test_a_call_that_was_answered_is_not_made_again_when_the_log_refuses_the_answer() -> None:
    calls: list[Json] = []
    refusals = 0

    def refuse(transaction: Transaction) -> Exception | None:
        nonlocal refusals
        refusals += bool(transaction.steps and not transaction.created)
        return LogUnavailable("disk full") if refusals == 1 and transaction.steps else None

    async def send(event: Json, context: object) -> Json:
        calls.append(event)
        return None

    clock = VirtualClock()
    async with World(
        MemoryEventLog(fail=refuse), clock, {"send": send}, {"callback": CALLBACK}
    ) as world:
        row = await world.start("callback")
        await settled()
        clock.advance(250)
        await settled()
        assert [event.type for event in await world.events(row.id)][-1] == "TaskSubmitted"
        assert len(calls) == 1


async def test_a_map_run_survives_a_log_that_cannot_be_read_for_its_results() -> None:
    class Unreadable(MemoryEventLog):
        refusals = 0

        async def children(
            self, map_run: tuple[int, int], *, after_index: int, limit: int
        ) -> Sequence[ChildHistory]:
            if not self.refusals:
                self.refusals += 1
                raise LogUnavailable("input/output error")
            return await super().children(map_run, after_index=after_index, limit=limit)

    clock, log = VirtualClock(), Unreadable()
    async with World(log, clock, {}, {"m": each(PASS)}) as world:
        row = await world.start("m", data=[1, 2])
        await settled()
        assert log.refusals == 1
        clock.advance(250)
        assert (await world.engine.ended(row.id)).status == "SUCCEEDED"


async def test_a_map_run_that_the_first_step_begins_and_gives_up_is_aborted() -> None:
    fail = {"StartAt": "F", "States": {"F": {"Type": "Fail"}}}
    both = {"Type": "Parallel", "Branches": [each(PASS), fail], "End": True}
    machine = {"StartAt": "Both", "States": {"Both": both}}
    log = MemoryEventLog()
    async with World(log, VirtualClock(), {}, {"m": machine}) as world:
        row = await world.start("m", data=[1, 2])
        assert (await world.engine.ended(row.id)).status == "FAILED"
        (run,) = await log.map_runs(row.id)
        assert run.status == "ABORTED"


async def test_a_map_run_starts_no_more_children_than_allowed_after_a_restart() -> None:
    log, clock = MemoryEventLog(), VirtualClock()
    machines = {"m": each(SLEEP, MaxConcurrency=2)}
    async with World(log, clock, {}, machines) as world:
        row = await world.start("m", data=[1, 2, 3, 4])
        await settled()
    for _ in range(2):
        async with World(log, clock, {}, machines):
            await settled()
            (run,) = await log.map_runs(row.id)
            progress = await log.progress((run.execution, run.map_run))
            assert len(progress.running) == 2


async def test_who_goes_to_sleep_while_the_log_is_asked_for_sleepers_is_woken() -> None:
    class Slow(MemoryEventLog):
        def __init__(self) -> None:
            super().__init__()
            self.answers = asyncio.Event()
            self.answers.set()

        async def next_due_ms(self) -> int | None:
            answer = await super().next_due_ms()
            await self.answers.wait()
            return answer

    clock, log = VirtualClock(), Slow()
    async with World(log, clock, {}, {"sleep": SLEEP}) as world:
        first = await world.start("sleep", "first")
        await settled()
        log.answers.clear()
        clock.advance(HOUR_MS)
        await settled()
        assert (await world.engine.ended(first.id)).status == "SUCCEEDED"
        second = await world.start("sleep", "second")
        await settled()
        log.answers.set()
        await settled()
        clock.advance(HOUR_MS)
        await settled()
        assert (await world.engine.ended(second.id)).status == "SUCCEEDED"
