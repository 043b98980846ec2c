"""A limited state machine: its executions act one after the other, whatever befalls the server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from eventmill.log.memory import MemoryEventLog
from eventmill.log.sqlite import SqliteEventLog
from eventmill.model import Json
from eventmill.ports import EventLog, Outcome, Transaction
from eventmill.rows import ExecutionRow
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

FUNCTION = "arn:aws:lambda:local:000000000000:function:work"
WORK: dict[str, Any] = {"Type": "Task", "Resource": FUNCTION}
ONE = {"StartAt": "W", "States": {"W": {**WORK, "End": True}}}
OTHER = {"StartAt": "V", "States": {"V": {**WORK, "End": True}}}
CHAIN = {"StartAt": "A", "States": {"A": {**WORK, "Next": "B"}, "B": {**WORK, "End": True}}}
HASTY = {"StartAt": "W", "States": {"W": {**WORK, "TimeoutSeconds": 60, "End": True}}}
SLEEPY = {
    "StartAt": "Nap",
    "States": {
        "Nap": {"Type": "Wait", "Seconds": 600, "Next": "W"},
        "W": {**WORK, "End": True},
    },
}
BRANCHES = {
    "StartAt": "P",
    "States": {"P": {"Type": "Parallel", "Branches": [ONE, OTHER], "End": True}},
}
SPREAD = {
    "StartAt": "M",
    "States": {
        "M": {
            "Type": "Map",
            "ItemProcessor": {
                **ONE,
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            },
            "End": True,
        }
    },
}
MIXED = {
    "StartAt": "P",
    "States": {
        "P": {
            "Type": "Parallel",
            "Branches": [
                ONE,
                {
                    "StartAt": "Nap",
                    "States": {
                        "Nap": {"Type": "Wait", "Seconds": 600, "Next": "V"},
                        "V": {**WORK, "End": True},
                    },
                },
            ],
            "End": True,
        }
    },
}
QUICK = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
MACHINES = {
    "one": ONE,
    "chain": CHAIN,
    "hasty": HASTY,
    "sleepy": SLEEPY,
    "branches": BRANCHES,
    "spread": SPREAD,
    "mixed": MIXED,
    "quick": QUICK,
}


class Gate:
    """A handler that answers when it may; it knows who is at work, and who ever was."""

    def __init__(self) -> None:
        self.at_work: list[str] = []  # names of executions, one for each call
        self.begun: list[str] = []
        self.most = 0  # executions at work at once
        self._may = asyncio.Semaphore(0)

    async def work(self, event: Json, context: Any) -> Json:
        name = context.execution_arn.rsplit(":", 1)[-1]
        self.begun.append(name)
        self.at_work.append(name)
        self.most = max(self.most, len(set(self.at_work)))
        try:
            await self._may.acquire()
        finally:
            self.at_work.remove(name)
        return event

    def release(self, count: int = 1) -> None:
        for _ in range(count):
            self._may.release()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "sqlite"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    if request.param == "memory":
        yield MemoryEventLog()
    else:
        async with SqliteEventLog.open(tmp_path / "log.db") as sqlite:
            yield sqlite


def world(gate: Gate, log: EventLog, clock: VirtualClock, **limits: int) -> World:
    return World(log, clock, {"work": gate.work}, MACHINES, limits=limits)


async def begin(
    world: World, machine: str, count: int, first: int = 0, data: Json = None
) -> list[ExecutionRow]:
    numbers = range(first, first + count)
    rows = [await world.start(machine, f"{machine}-{number}", data) for number in numbers]
    await quiet(world)
    return rows


async def quiet(world: World) -> None:
    """Let everything happen that needs no time to pass, through the threads of the log, too."""
    for _ in range(12):
        await settled()
        await world.log.commit(Transaction())
        await world.log.newest_id()


async def statuses(world: World, rows: Sequence[ExecutionRow]) -> list[str]:
    ended = await asyncio.gather(*(world.engine.ended(row.id) for row in rows))
    return [row.status for row in ended]


async def types(world: World, row: ExecutionRow) -> list[str]:
    return [event.type for event in await world.events(row.id)]


async def test_those_beyond_the_limit_are_started_and_wait_in_the_log(
    log: EventLog, clock: VirtualClock
) -> None:
    gate = Gate()
    async with world(gate, log, clock, one=2) as here:
        rows = await begin(here, "one", 5)
        assert gate.begun == ["one-0", "one-1"]
        assert here.engine.in_memory == 2
        assert [row.status for row in await log.executions()] == ["RUNNING"] * 5
        waiting = ["ExecutionStarted", "TaskStateEntered", "LambdaFunctionScheduled"]
        assert await types(here, rows[4]) == waiting
        gate.release()
        await quiet(here)
        assert gate.begun == ["one-0", "one-1", "one-2"]
        gate.release(4)
        assert await statuses(here, rows) == ["SUCCEEDED"] * 5
        assert gate.begun == [f"one-{number}" for number in range(5)]
        assert (gate.most, here.engine.in_memory) == (2, 0)
        assert [await here.proven(row) for row in rows] == [2] * 5


async def test_an_execution_keeps_its_place_to_its_end(log: EventLog, clock: VirtualClock) -> None:
    gate = Gate()
    gate.release(6)
    async with world(gate, log, clock, chain=1) as here:
        rows = await begin(here, "chain", 3)
        assert await statuses(here, rows) == ["SUCCEEDED"] * 3
        assert gate.begun == ["chain-0"] * 2 + ["chain-1"] * 2 + ["chain-2"] * 2


async def test_one_that_sleeps_keeps_its_place(log: EventLog, clock: VirtualClock) -> None:
    gate = Gate()
    gate.release(2)
    async with world(gate, log, clock, sleepy=1) as here:
        rows = await begin(here, "sleepy", 2)
        clock.advance(600_000)
        await quiet(here)
        assert gate.begun == ["sleepy-0", "sleepy-1"]
        assert await statuses(here, rows) == ["SUCCEEDED"] * 2
        assert gate.most == 1


async def test_other_machines_are_not_held_up(log: EventLog, clock: VirtualClock) -> None:
    gate = Gate()
    async with world(gate, log, clock, one=1) as here:
        await begin(here, "one", 3)
        await begin(here, "chain", 2)
        assert gate.begun == ["one-0", "chain-0", "chain-1"]


async def test_who_needs_no_turn_ends_without_one(log: EventLog, clock: VirtualClock) -> None:
    async with world(Gate(), log, clock, quick=1) as here:
        rows = await begin(here, "quick", 3)
        assert await statuses(here, rows) == ["SUCCEEDED"] * 3
        assert here.places.waiting == 0


async def test_all_branches_begin_when_the_turn_comes(log: EventLog, clock: VirtualClock) -> None:
    gate = Gate()
    async with world(gate, log, clock, branches=1) as here:
        rows = await begin(here, "branches", 2)
        assert gate.begun == ["branches-0"] * 2
        gate.release(2)
        await quiet(here)
        assert gate.begun == ["branches-0"] * 2 + ["branches-1"] * 2
        gate.release(2)
        assert await statuses(here, rows) == ["SUCCEEDED"] * 2


async def test_one_that_waits_is_stopped_at_once_and_takes_no_turn(
    log: EventLog, clock: VirtualClock
) -> None:
    gate = Gate()
    async with world(gate, log, clock, one=1) as here:
        rows = await begin(here, "one", 3)
        stopped = await here.engine.stop(rows[1].arn, "Unwanted", None)
        assert (stopped.status, gate.begun) == ("ABORTED", ["one-0"])
        gate.release(2)
        assert await statuses(here, rows) == ["SUCCEEDED", "ABORTED", "SUCCEEDED"]
        assert gate.begun == ["one-0", "one-2"]


async def test_to_stop_one_at_work_lets_the_next_begin(log: EventLog, clock: VirtualClock) -> None:
    gate = Gate()
    async with world(gate, log, clock, one=1) as here:
        rows = await begin(here, "one", 2)
        await here.engine.stop(rows[0].arn, None, None)
        await quiet(here)
        assert (gate.begun, gate.at_work) == (["one-0", "one-1"], ["one-1"])


async def test_a_tasks_time_runs_while_it_waits_for_its_turn(
    log: EventLog, clock: VirtualClock
) -> None:
    gate = Gate()
    async with world(gate, log, clock, hasty=1) as here:
        rows = await begin(here, "hasty", 1)
        clock.advance(40_000)
        rows += await begin(here, "hasty", 2, first=1)
        clock.advance(20_000)  # the first is at work too long
        await quiet(here)
        assert gate.begun == ["hasty-0", "hasty-1"]
        clock.advance(40_000)  # the second likewise, and the third has waited too long
        assert await statuses(here, rows) == ["FAILED"] * 3
        assert gate.begun == ["hasty-0", "hasty-1"]
        assert (await types(here, rows[2]))[-2:] == ["LambdaFunctionTimedOut", "ExecutionFailed"]


async def test_children_belong_to_their_parent_and_take_no_place(
    log: EventLog, clock: VirtualClock
) -> None:
    gate = Gate()
    async with world(gate, log, clock, spread=1) as here:
        rows = await begin(here, "spread", 2, data=[1, 2, 3])
        assert len(gate.begun) == 3
        gate.release(3)
        await quiet(here)
        assert len(gate.begun) == 6
        gate.release(3)
        assert await statuses(here, rows) == ["SUCCEEDED"] * 2
        parents = [(await log.map_runs(row.id))[0] for row in rows]
        assert parents[0].stop_ms is not None


async def test_after_a_crash_the_order_is_kept_and_never_two_are_at_work(
    log: EventLog, clock: VirtualClock
) -> None:
    first = Gate()
    async with world(first, log, clock, chain=1) as here:
        rows = await begin(here, "chain", 5)
        first.release(3)  # the first is done, the second in the middle
        await quiet(here)
        assert first.begun == ["chain-0"] * 2 + ["chain-1"] * 2
    gate = Gate()
    async with world(gate, log, clock, chain=1) as here:
        rows += await begin(here, "chain", 1, first=5)
        assert gate.begun == ["chain-1"]
        assert here.engine.in_memory == 1
        gate.release(9)
        assert await statuses(here, rows) == ["SUCCEEDED"] * 6
        names = [f"chain-{number}" for number in range(2, 6) for _ in "AB"]
        assert gate.begun == ["chain-1", *names]
        assert (first.most, gate.most) == (1, 1)


async def test_a_fact_that_brings_a_younger_one_first_gives_it_no_turn(
    log: EventLog, clock: VirtualClock
) -> None:
    async with world(Gate(), log, clock, hasty=1) as here:
        rows = await begin(here, "hasty", 3)
    clock.advance(10_000)
    gate = Gate()
    async with world(gate, log, clock, hasty=1) as here:
        stopping = asyncio.ensure_future(here.engine.stop(rows[2].arn, None, None))
        await quiet(here)
        assert gate.begun == ["hasty-0"]
        assert (await stopping).status == "ABORTED"
        gate.release(2)
        assert await statuses(here, rows) == ["SUCCEEDED", "SUCCEEDED", "ABORTED"]


async def test_a_crash_between_one_end_and_the_next_turn_loses_nothing(
    log: EventLog, clock: VirtualClock
) -> None:
    first = Gate()
    async with world(first, log, clock, one=1) as here:
        rows = await begin(here, "one", 3)
        first.release()
        await here.engine.ended(rows[0].id)
    gate = Gate()
    gate.release(2)
    async with world(gate, log, clock, one=1) as here:
        assert await statuses(here, rows) == ["SUCCEEDED"] * 3
        assert gate.begun == ["one-1", "one-2"]
        assert gate.most == 1


async def test_a_new_limit_holds_for_what_the_last_server_left(
    log: EventLog, clock: VirtualClock
) -> None:
    async with world(Gate(), log, clock) as here:
        rows = await begin(here, "one", 3)
    gate = Gate()
    async with world(gate, log, clock, one=1) as here:
        await quiet(here)
        assert gate.begun == ["one-0"]
    gate = Gate()
    async with world(gate, log, clock) as here:
        await quiet(here)
        assert gate.begun == ["one-0", "one-1", "one-2"]
        gate.release(3)
        assert await statuses(here, rows) == ["SUCCEEDED"] * 3


async def test_those_that_wait_take_no_room_in_memory(clock: VirtualClock) -> None:
    gate, log = Gate(), MemoryEventLog()
    here = World(log, clock, {"work": gate.work}, MACHINES, limits={"one": 1}, weight_max=2)
    async with here:
        rows = await begin(here, "one", 50)
        rows += await begin(here, "chain", 1)
        assert gate.begun == ["one-0", "chain-0"]
        gate.release(52)
        assert set(await statuses(here, rows)) == {"SUCCEEDED"}
        assert gate.most == 2


class DelayedLog(MemoryEventLog):
    """A log that takes its time with the steps of one execution."""

    def __init__(self) -> None:
        super().__init__()
        self.delayed = 0
        self._handed: list[tuple[Transaction, Outcome]] = []

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        if any(step.execution == self.delayed for step in transaction.steps):
            self._handed.append((transaction, outcome))
        else:
            super().submit(transaction, outcome)

    async def release(self) -> None:
        self.delayed = 0
        for transaction, outcome in self._handed:
            super().submit(transaction, outcome)
        await super().commit(Transaction())


async def test_a_turn_that_comes_while_a_step_is_on_its_way(clock: VirtualClock) -> None:
    gate, log = Gate(), DelayedLog()
    async with world(gate, log, clock, mixed=1) as here:
        rows = await begin(here, "mixed", 2)
        log.delayed = rows[1].id
        clock.advance(600_000)  # both are woken, and the second has a step on its way
        await quiet(here)
        assert gate.begun == ["mixed-0"] * 2
        assert here.engine.in_memory == 2
        gate.release(2)
        await quiet(here)
        # Its turn: what was durable is carried out, what is on its way is not.
        assert gate.begun == ["mixed-0"] * 2 + ["mixed-1"]
        await log.release()
        await quiet(here)
        assert gate.begun == ["mixed-0"] * 2 + ["mixed-1"] * 2
        gate.release(2)
        assert await statuses(here, rows) == ["SUCCEEDED"] * 2
