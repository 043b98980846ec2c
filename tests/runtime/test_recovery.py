"""Recovery while everything goes on: what the last server left is taken up in pages.

Facts race with it, servers die in the middle of it, and nothing is lost or run twice.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from eventmill.errors import LogDamaged, LogUnavailable
from eventmill.log.memory import MemoryEventLog
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.facts import TaskHeartbeat
from eventmill.model import Json
from eventmill.ports import EventLog, Transaction
from eventmill.rows import ExecutionHistory, ExecutionRow
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

FUNCTION = "arn:aws:lambda:local:000000000000:function:work"
CHAIN = {
    "StartAt": "A",
    "States": {
        "A": {"Type": "Task", "Resource": FUNCTION, "Next": "B"},
        "B": {"Type": "Task", "Resource": FUNCTION, "End": True},
    },
}
SLEEP = {
    "StartAt": "Sleep",
    "States": {
        "Sleep": {"Type": "Wait", "Seconds": 3600, "Next": "A"},
        "A": {"Type": "Task", "Resource": FUNCTION, "End": True},
    },
}
MACHINES = {"chain": CHAIN, "sleep": SLEEP}
PAGE = 200  # executions that recovery takes up at a time


class GatedLog(MemoryEventLog):
    """A log that tells which histories were asked for, and shows them when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Sequence[int]] = []
        self.gates: list[asyncio.Event] = []  # for each reading in turn; those behind are open
        self.failures: list[Exception] = []  # likewise

    async def histories(self, executions: Sequence[int]) -> AsyncGenerator[ExecutionHistory, None]:
        self.asked.append(executions)
        if self.gates:
            await self.gates.pop(0).wait()
        if self.failures:
            raise self.failures.pop(0)
        async for history in super().histories(executions):
            yield history


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


async def hang(event: Json, context: Any) -> Json:
    return await asyncio.Event().wait() and None


class Work:
    """Handlers that answer; their calls are counted by idempotency key."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def answer(self, event: Json, context: Any) -> Json:
        self.calls[context.idempotency_key] += 1
        return event

    def of(self, row: ExecutionRow) -> int:
        return sum(count for key, count in self.calls.items() if key.startswith(row.arn))


async def left_behind(
    log: EventLog, clock: VirtualClock, count: int, machine: str = "chain"
) -> list[ExecutionRow]:
    """Executions of a server that died while their handlers were at work, or while they slept."""
    async with World(log, clock, {"work": hang}, MACHINES) as world:
        rows = [await world.start(machine, f"{machine}-{number}") for number in range(count)]
        await settled()
    return rows


async def all_ended(world: World, rows: Sequence[ExecutionRow]) -> list[str]:
    ended = await asyncio.gather(*(world.engine.ended(row.id) for row in rows))
    return [row.status for row in ended]


async def test_the_server_is_ready_before_anything_was_read(clock: VirtualClock) -> None:
    log = GatedLog()
    rows = await left_behind(log, clock, 3)
    gate = asyncio.Event()
    log.gates.append(gate)
    async with World(log, clock, {"work": Work().answer}, MACHINES) as world:
        assert world.recovered == 3
        new = await world.start("chain", "new")
        assert (await world.engine.ended(new.id)).status == "SUCCEEDED"
        assert world.engine.in_memory == 0
        gate.set()
        assert await all_ended(world, rows) == ["SUCCEEDED"] * 3


async def test_what_was_left_behind_is_taken_up_in_pages_and_run_once(
    log: EventLog, clock: VirtualClock
) -> None:
    rows = await left_behind(log, clock, 2 * PAGE + 50)
    work = Work()
    async with World(log, clock, {"work": work.answer}, MACHINES) as world:
        assert world.recovered == len(rows)
        assert set(await all_ended(world, rows)) == {"SUCCEEDED"}
    assert len(work.calls) == 2 * len(rows)
    assert set(work.calls.values()) == {1}
    assert [await world.proven(row) for row in (rows[0], rows[-1])] == [3, 3]


async def test_a_fact_brings_an_execution_before_its_turn_and_only_once(
    clock: VirtualClock,
) -> None:
    log = GatedLog()
    rows = await left_behind(log, clock, 2 * PAGE)
    gate = asyncio.Event()
    log.gates.append(gate)
    work = Work()
    async with World(log, clock, {"work": work.answer}, MACHINES) as world:
        await settled()
        stopped = asyncio.ensure_future(world.engine.stop(rows[-1].arn, "E", "C"))
        await settled()
        gate.set()
        assert (await stopped).status == "ABORTED"
        assert set(await all_ended(world, rows[:-1])) == {"SUCCEEDED"}
    assert [list(ids) for ids in log.asked[:2]] == [
        [row.id for row in rows[:PAGE]],
        [rows[-1].id],
    ]
    assert work.of(rows[-1]) == 0
    assert set(work.calls.values()) == {1}


async def test_a_fact_about_an_execution_that_is_being_read_waits_for_it(
    clock: VirtualClock,
) -> None:
    log = GatedLog()
    (row,) = await left_behind(log, clock, 1)
    gate = asyncio.Event()
    log.gates.append(gate)
    work = Work()
    async with World(log, clock, {"work": work.answer}, MACHINES) as world:
        await settled()
        assert len(log.asked) == 1
        stopped = asyncio.ensure_future(world.engine.stop(row.arn, "E", "C"))
        await settled()
        gate.set()
        assert (await stopped).status == "ABORTED"
    assert (len(log.asked), work.calls) == (1, {})


async def test_one_that_a_fact_has_brought_and_ended_is_not_taken_up_again(
    clock: VirtualClock,
) -> None:
    log = GatedLog()
    rows = await left_behind(log, clock, PAGE + 1)
    gate = asyncio.Event()
    log.gates += [gate, asyncio.Event()]
    log.gates[1].set()
    async with World(log, clock, {"work": Work().answer}, MACHINES) as world:
        await settled()
        stopped = asyncio.ensure_future(world.engine.stop(rows[-1].arn, None, None))
        await settled()
        gate.set()
        await stopped
        before = await log.read(rows[-1].id)
        await all_ended(world, rows[:-1])
        await settled()
        assert world.engine.in_memory == 0
        assert await log.read(rows[-1].id) == before


async def test_a_server_that_dies_in_the_middle_of_recovery_leaves_the_rest_to_the_next(
    clock: VirtualClock,
) -> None:
    log = GatedLog()
    rows = await left_behind(log, clock, 2 * PAGE)
    first, second = Work(), Work()
    log.gates += [asyncio.Event(), asyncio.Event()]
    log.gates[0].set()
    async with World(log, clock, {"work": first.answer}, MACHINES) as world:
        assert set(await all_ended(world, rows[:PAGE])) == {"SUCCEEDED"}
        assert len(log.asked) == 2
    async with World(log, clock, {"work": second.answer}, MACHINES) as world:
        assert world.recovered == PAGE
        assert set(await all_ended(world, rows)) == {"SUCCEEDED"}
    assert not first.calls.keys() & second.calls.keys()
    assert len(first.calls | second.calls) == 2 * len(rows)


async def test_sleepers_that_fall_due_during_recovery_wake_once(clock: VirtualClock) -> None:
    log = GatedLog()
    sleepers = await left_behind(log, clock, 20, "sleep")
    busy = await left_behind(log, clock, 20)
    gate = asyncio.Event()
    log.gates.append(gate)
    work = Work()
    async with World(log, clock, {"work": work.answer}, MACHINES) as world:
        assert world.recovered == 20
        await settled()
        clock.advance(3_600_000)
        await settled()
        gate.set()
        assert set(await all_ended(world, [*sleepers, *busy])) == {"SUCCEEDED"}
        assert await log.next_due_ms() is None
    assert (len(work.calls), set(work.calls.values())) == (60, {1})


async def test_a_log_that_cannot_be_read_for_a_while_delays_recovery(clock: VirtualClock) -> None:
    log = GatedLog()
    rows = await left_behind(log, clock, 3)
    log.failures += [LogUnavailable("no such disk"), LogUnavailable("no such disk")]
    work = Work()
    async with World(log, clock, {"work": work.answer}, MACHINES) as world:
        for read in (1, 2):
            await settled()
            assert (len(log.asked), work.calls) == (read, {})
            clock.advance(250)
        assert await all_ended(world, rows) == ["SUCCEEDED"] * 3
    assert set(work.calls.values()) == {1}


async def test_a_damaged_history_stops_the_engine(clock: VirtualClock) -> None:
    log = GatedLog()
    await left_behind(log, clock, 1)
    log.failures.append(LogDamaged("the file is no database any more"))
    async with World(log, clock, {"work": Work().answer}, MACHINES) as world:
        with pytest.raises(LogDamaged):
            await world.time


async def test_a_timer_that_an_ended_execution_left_is_removed(
    log: EventLog, clock: VirtualClock
) -> None:
    async with World(log, clock, {"work": Work().answer}, MACHINES) as world:
        row = await world.start("chain")
        await world.engine.ended(row.id)
        await log.commit(Transaction(timers={row.id: clock.now_ms()}))
    async with World(log, clock, {"work": Work().answer}, MACHINES):
        while await log.next_due_ms() is not None:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(5))
async def test_facts_at_random_instants_of_recovery_lose_and_double_nothing(
    seed: int, log: EventLog, clock: VirtualClock
) -> None:
    random = Random(seed)
    rows = await left_behind(log, clock, PAGE + 100)
    rows += await left_behind(log, clock, 100, "sleep")
    stops = set(random.sample(range(len(rows)), 60))
    work = Work()
    async with World(log, clock, {"work": work.answer}, MACHINES) as world:
        clock.advance(3_600_000)
        stopping = []
        for index in random.sample(range(len(rows)), len(rows)):
            if random.random() < 0.3:
                await asyncio.sleep(0)
            if index in stops:
                stopping.append(asyncio.ensure_future(world.engine.stop(rows[index].arn, "E", "")))
            else:
                world.engine.tell(rows[index].id, TaskHeartbeat(task=3))
        stopped = await asyncio.gather(*stopping)
        statuses = dict(zip((row.id for row in rows), await all_ended(world, rows), strict=True))
        assert world.engine.in_memory == 0
        for row in rows:
            await world.proven(row)
    assert set(work.calls.values()) == {1}
    for index, row in enumerate(rows):
        # A stop may have come after the end.
        assert statuses[row.id] == "SUCCEEDED" or index in stops
    assert {row.status for row in stopped} <= {"ABORTED", "SUCCEEDED"}
    assert "ABORTED" in {row.status for row in stopped}
