"""Who starts more than the engine can take has to wait; nobody else does."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from eventmill.errors import ExecutionAlreadyExists, LogUnavailable
from eventmill.log.memory import MemoryEventLog
from eventmill.model import Json
from eventmill.ports import Transaction
from eventmill.rows import ExecutionRow
from eventmill.runtime.admission import Admission, weight_of
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

FUNCTION = "arn:aws:lambda:local:000000000000:function:work"
WORK: dict[str, Any] = {
    "StartAt": "W",
    "States": {"W": {"Type": "Task", "Resource": FUNCTION, "End": True}},
}
SLEEP = {"StartAt": "S", "States": {"S": {"Type": "Wait", "Seconds": 3600, "End": True}}}


def spread(name: str, processor: dict[str, Any]) -> dict[str, Any]:
    """A Map Run with a child for each item."""
    mode = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    state = {"Type": "Map", "ItemProcessor": {**processor, "ProcessorConfig": mode}}
    return {"StartAt": name, "States": {name: {**state, "End": True}}}


SPREAD = spread("A", WORK)
NESTED = spread("C", spread("B", SPREAD))
MACHINES = {"work": WORK, "sleep": SLEEP, "spread": SPREAD, "nested": NESTED}


class Gate:
    """A handler that answers when it may, one call after the other."""

    def __init__(self) -> None:
        self.calls = 0
        self._may = asyncio.Semaphore(0)

    async def work(self, event: Json, context: Any) -> Json:
        self.calls += 1
        await self._may.acquire()
        return event

    def release(self, count: int = 1) -> None:
        for _ in range(count):
            self._may.release()


def world(gate: Gate, weight_max: int, log: MemoryEventLog | None = None) -> World:
    return World(
        log or MemoryEventLog(),
        VirtualClock(),
        {"work": gate.work},
        MACHINES,
        weight_max=weight_max,
    )


def begin(
    world: World, count: int, data: Json = None, machine: str = "work"
) -> Sequence["asyncio.Task[ExecutionRow]"]:
    return [
        asyncio.ensure_future(world.start(machine, f"{machine}-{number}", data))
        for number in range(count)
    ]


def done(tasks: Sequence["asyncio.Task[ExecutionRow]"]) -> list[bool]:
    return [task.done() for task in tasks]


@pytest.mark.parametrize(
    ("size", "weight"), [(0, 1), (16_383, 1), (16_384, 2), (163_840, 11), (262_144, 17)]
)
def test_large_inputs_count_more(size: int, weight: int) -> None:
    assert weight_of(size) == weight


async def test_starts_wait_for_room_in_the_order_in_which_they_came() -> None:
    gate = Gate()
    async with world(gate, 3) as here:
        tasks = begin(here, 5)
        await settled()
        assert (done(tasks), gate.calls) == ([True] * 3 + [False] * 2, 3)
        gate.release()
        await settled()
        assert (done(tasks), gate.calls) == ([True] * 4 + [False], 4)
        gate.release(4)
        rows = await asyncio.gather(*tasks)
        assert {(await here.engine.ended(row.id)).status for row in rows} == {"SUCCEEDED"}


async def test_a_large_input_takes_more_room() -> None:
    async with world(Gate(), 10) as here:
        tasks = begin(here, 3, "x" * 100_000)
        await settled()
        assert done(tasks) == [True, True, False]


async def test_who_sleeps_takes_no_room() -> None:
    async with world(Gate(), 2) as here:
        tasks = begin(here, 20, machine="sleep")
        await settled()
        assert all(done(tasks))


async def test_a_start_that_fails_takes_no_room() -> None:
    async with world(Gate(), 2) as here:
        await here.start("work", "taken")
        for _ in range(5):
            with pytest.raises(ExecutionAlreadyExists):
                await here.start("work", "taken")
        await here.start("work", "free")


async def test_who_gives_up_waiting_starts_nothing_and_lets_the_next_in() -> None:
    gate = Gate()
    async with world(gate, 1) as here:
        tasks = begin(here, 3)
        await settled()
        tasks[1].cancel()
        await settled()
        gate.release()
        await settled()
        assert tasks[1].cancelled()
        assert (done(tasks), gate.calls) == ([True] * 3, 2)


async def test_who_gives_up_waiting_for_the_commit_has_started_it_all_the_same() -> None:
    gate = Gate()
    gate.release()
    log = MemoryEventLog()
    async with world(gate, 1, log) as here:
        (task,) = begin(here, 1)
        await asyncio.sleep(0)
        task.cancel()
        await settled()
        assert task.cancelled()
        assert [row.status for row in await log.executions()] == ["SUCCEEDED"]


async def test_children_of_a_map_run_do_not_wait_for_the_room_that_it_takes() -> None:
    gate = Gate()
    gate.release(5)
    async with world(gate, 1) as here:
        row = await here.start("spread", data=[1, 2, 3, 4, 5])
        assert (await here.engine.ended(row.id)).status == "SUCCEEDED"
        gate.release()
        later = await here.start("work")
        assert (await here.engine.ended(later.id)).status == "SUCCEEDED"


async def test_children_of_several_map_runs_share_the_room() -> None:
    gate = Gate()
    async with world(gate, 150) as here:
        starts = [
            asyncio.ensure_future(here.start("spread", f"run-{number}", list(range(300))))
            for number in range(4)
        ]
        most = 0
        for _ in range(300):
            await settled()
            most = max(most, here.engine.in_memory)
            gate.release(5)
        rows = await asyncio.gather(*starts)
        ended = await asyncio.gather(*(here.engine.ended(row.id) for row in rows))
        assert {row.status for row in ended} == {"SUCCEEDED"}
        assert gate.calls == 1_200
        # The last page that comes in may be larger than the room that is left.
        assert 150 <= most <= 150 + 100


@pytest.mark.parametrize("weight_max", [1, 2, 5])
async def test_map_runs_within_map_runs_never_wait_for_each_other(weight_max: int) -> None:
    gate = Gate()
    gate.release(27)
    items: Json = [[[1, 2, 3], [1, 2, 3], [1, 2, 3]] for _ in range(3)]
    async with world(gate, weight_max) as here:
        row = await here.start("nested", data=items)
        assert (await here.engine.ended(row.id)).status == "SUCCEEDED"
        assert gate.calls == 27
        assert here.engine._admission._inside == 0


async def test_a_map_run_that_is_stopped_while_children_wait_for_room_starts_no_more() -> None:
    gate = Gate()
    async with world(gate, 3) as here:
        row = await here.start("spread", data=[1] * 150)
        await settled()
        assert (gate.calls, here.engine.in_memory) == (100, 101)
        await here.engine.stop(row.arn, None, None)
        for _ in range(10):
            await settled()
        assert gate.calls == 100
        assert (here.engine.in_memory, here.engine._admission._inside) == (0, 0)


async def test_a_page_that_the_log_refuses_keeps_its_room() -> None:
    refusals = 3

    def refuse(transaction: Transaction) -> Exception | None:
        nonlocal refusals
        if refusals and any(row.child for row in transaction.created):
            refusals -= 1
            return LogUnavailable("disk full")
        return None

    gate = Gate()
    gate.release(5)
    async with world(gate, 2, MemoryEventLog(fail=refuse)) as here:
        row = await here.start("spread", data=[1] * 5)
        for _ in range(3):
            await settled()
            here.clock.advance(250)
        assert (await here.engine.ended(row.id)).status == "SUCCEEDED"
        assert here.engine._admission._inside == 0


async def test_sleepers_that_fall_due_come_a_page_a_second_while_there_is_no_room() -> None:
    gate, clock = Gate(), VirtualClock()
    machine = {
        "StartAt": "S",
        "States": {"S": {"Type": "Wait", "Seconds": 3600, "Next": "W"}, **WORK["States"]},
    }
    log = MemoryEventLog()
    here = World(log, clock, {"work": gate.work}, {"nap": machine}, weight_max=100)
    async with here:
        await asyncio.gather(*begin(here, 1_200, machine="nap"))
        clock.advance(3_600_000)
        await settled()
        assert here.engine.in_memory == 500  # all that are read at once
        clock.advance(1_000)
        await settled()
        assert here.engine.in_memory == 1_000
        gate.release(950)
        await settled()
        await settled()
        assert here.engine.in_memory == 250


async def test_who_waited_and_gave_up_leaves_nothing_behind() -> None:
    admission = Admission(1)
    await admission.enter(1)
    tasks = [asyncio.ensure_future(admission.enter(1)) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    await asyncio.sleep(0)
    assert len(admission._waiting) == 1
    admission.leave(1)
    await tasks[2]
    admission.leave(1)
    assert admission.room == 1


async def test_what_is_recovered_counts_and_does_not_wait() -> None:
    log = MemoryEventLog()
    async with world(Gate(), 3, log) as here:
        rows = await asyncio.gather(*begin(here, 3))
    gate = Gate()
    async with world(gate, 2, log) as here:
        await settled()
        assert gate.calls == 3
        task = asyncio.ensure_future(here.start("work", "new"))
        gate.release()
        await settled()
        assert not task.done()
        gate.release()
        await settled()
        assert task.done()
        gate.release(2)
        for row in (*rows, task.result()):
            assert (await here.engine.ended(row.id)).status == "SUCCEEDED"


async def test_one_that_was_admitted_and_cancelled_in_the_same_turn_leaves_its_room() -> None:
    admission = Admission(1)
    await admission.enter(1)
    first, second = (asyncio.ensure_future(admission.enter(1)) for _ in range(2))
    await asyncio.sleep(0)
    admission.leave(1)
    first.cancel()
    await second
    assert first.cancelled()
