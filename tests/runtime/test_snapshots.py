"""Executions with long histories come back from a snapshot, and all the same without it."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eventmill.log.memory import MemoryEventLog
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.snapshot import LAYOUT
from eventmill.model import Json
from eventmill.ports import EventLog, Outcome, Transaction
from eventmill.rows import Snapshot
from eventmill.runtime import loading
from eventmill.runtime.snapshots import SnapshotRule
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

HOUR_MS = 3_600_000
ROUNDS = 40
# A callback after each round of a loop, which counts in a variable.
LOOP = {
    "StartAt": "Rest",
    "States": {
        "Rest": {"Type": "Wait", "Seconds": 3600, "Next": "Count"},
        "Count": {
            "Type": "Pass",
            "Parameters": {"n.$": "States.MathAdd($.n, 1)"},
            "Assign": {"id.$": "States.UUID()"},
            "Next": "Enough?",
        },
        "Enough?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": ROUNDS, "Next": "Rest"}],
            "Default": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}


class CountingLog(MemoryEventLog):
    """A log that tells how many steps were read for each execution that came into memory."""

    def __init__(self) -> None:
        super().__init__()
        self.steps_read: list[int] = []
        self.snapshots: list[Snapshot] = []

    async def histories(self, executions: Any) -> Any:
        async for history in super().histories(executions):
            self.steps_read.append(len(history.bodies))
            yield history

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        self.snapshots += transaction.snapshots
        super().submit(transaction, outcome)


async def asleep(world: World, execution: int, *, steps: int) -> None:
    """Wait until an execution has so many steps and has left memory."""
    while world.engine.in_memory or len(await world.log.read(execution)) < steps:
        await settled()
    await settled()


async def sleep_through(
    log: EventLog, rule: SnapshotRule, rounds: int = ROUNDS
) -> tuple[World, int, Json]:
    """Let an execution sleep and wake so often; its id and, if it has ended, its output."""
    clock = VirtualClock()
    world = World(log, clock, {}, {"loop": LOOP}, snapshot_rule=rule)
    async with world:
        row = await world.start("loop", data={"n": 0})
        await asleep(world, row.id, steps=1)
        for number in range(rounds):
            clock.advance(HOUR_MS)
            await asleep(world, row.id, steps=number + 2)
        output = (await world.events(row.id))[-1]
        shown = output.payload("output").value if output.type == "ExecutionSucceeded" else None
        assert await world.proven(row) == len(await log.read(row.id))
    return world, row.id, shown


EAGER = SnapshotRule(leaving_us=200, staying_us=200, snapshot_us=0, snapshot_byte_us=0)
NEVER = SnapshotRule(leaving_us=1e12, staying_us=1e12)


async def test_waking_costs_the_work_since_the_last_snapshot_and_not_the_history() -> None:
    eager, never = CountingLog(), CountingLog()
    outputs = [
        (await sleep_through(log, rule))[2] for log, rule in ((eager, EAGER), (never, NEVER))
    ]

    assert outputs == [{"n": ROUNDS}] * 2
    assert max(never.steps_read) == ROUNDS
    assert len(eager.steps_read) == ROUNDS
    assert max(eager.steps_read) < 12
    assert len(eager.snapshots) > 3


async def test_what_is_decided_is_the_same_with_snapshots_and_without() -> None:
    logs = MemoryEventLog(), MemoryEventLog()
    always = SnapshotRule(leaving_us=0, staying_us=0, snapshot_us=0, snapshot_byte_us=0)
    found = []
    for log, rule in zip(logs, (always, NEVER), strict=True):
        world, execution, _ = await sleep_through(log, rule)
        types = [(event.type, event.details) for event in await world.events(execution)]
        found.append(
            [(type, set(details or {}) - {"assignedVariables"}) for type, details in types]
        )
    assert found[0] == found[1]


async def test_short_histories_have_none() -> None:
    log = CountingLog()
    await sleep_through(log, SnapshotRule(), rounds=5)

    assert log.snapshots == []


async def test_a_large_state_is_not_written_again_for_a_little_news() -> None:
    small, large = CountingLog(), CountingLog()
    for log, byte_us in ((small, 0.0), (large, 2.0)):
        rule = SnapshotRule(leaving_us=100, staying_us=100, snapshot_us=0, snapshot_byte_us=byte_us)
        await sleep_through(log, rule)

    assert 1 < len(large.snapshots) < len(small.snapshots) / 2


async def test_nothing_is_left_when_it_has_ended(tmp_path: Path) -> None:
    async with SqliteEventLog.open(tmp_path / "log.db") as log:
        _, execution, output = await sleep_through(log, EAGER)
        assert output == {"n": ROUNDS}
        assert await log.snapshot(execution) is None


CHANGES = {
    "body": "UPDATE snapshots SET body = zeroblob(length(body))",
    "digest": "UPDATE snapshots SET digest = zeroblob(32)",
    "step": "UPDATE snapshots SET step = step - 1",
    "step that is not there": "UPDATE snapshots SET step = step + 100",
    "chain": "UPDATE steps SET hash = zeroblob(32) WHERE step = (SELECT step FROM snapshots)",
}


@pytest.mark.parametrize("what", CHANGES)
async def test_one_that_was_changed_is_ignored_with_a_warning(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log.db"
    async with SqliteEventLog.open(path) as log:
        _, execution, _ = await sleep_through(log, EAGER, rounds=ROUNDS - 2)
        assert await log.snapshot(execution) is not None
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(CHANGES[what])

    async with SqliteEventLog.open(path) as log:
        assert await went_on(log, execution) == {"n": ROUNDS}

    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert [f"snapshot of execution {execution} is not" in each.getMessage() for each in warnings][
        :1
    ] == [True]


@pytest.mark.parametrize(
    ("layout", "body", "is_told"),
    [
        (LAYOUT, b"something else", True),
        (LAYOUT + 1, b"of the future", False),
        (0, b"of the past", False),
    ],
    ids=["unreadable", "newer", "older"],
)
async def test_one_that_cannot_be_read_is_no_loss(
    layout: int, body: bytes, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = MemoryEventLog()
    _, execution, _ = await sleep_through(log, EAGER, rounds=ROUNDS - 2)
    steps = len(await log.read(execution))
    other = Snapshot(execution=execution, step=steps - 1, layout=layout, body=body)
    await log.commit(Transaction(snapshots=[other]))

    assert await went_on(log, execution) == {"n": ROUNDS}

    told = [each for each in caplog.records if each.name == loading.__name__]
    assert bool(told) == is_told


async def went_on(log: EventLog, execution: int) -> Json:
    """What an execution comes to on the next server."""
    clock = VirtualClock(VirtualClock().now_ms() + (ROUNDS - 2) * HOUR_MS)
    async with World(log, clock, {}, {"loop": LOOP}, snapshot_rule=NEVER) as world:
        steps = len(await log.read(execution))
        for number in range(ROUNDS + 1 - steps):
            clock.advance(HOUR_MS)
            await asleep(world, execution, steps=steps + number + 1)
        ended = await world.engine.ended(execution)
        assert await world.proven(ended) == ended.steps
        return (await world.events(execution))[-1].payload("output").value
