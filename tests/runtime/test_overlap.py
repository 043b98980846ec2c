"""Overlap policies: what becomes of events while an execution of their trigger runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest

from eventmill.errors import LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.log.memory import MemoryEventLog
from eventmill.model import Payload
from eventmill.ports import Delivery, Outcome, Transaction
from eventmill.rows import DeliveryRow, ExecutionRow
from eventmill.runtime.overlap import SKIPPED_KEPT_MAX, skipped
from eventmill.runtime.router import Router
from eventmill.runtime.starting import Start
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.overlap import ALLOW, BUFFER_ONE, CANCEL_OTHER, SKIP
from eventmill.triggers.trigger import Trigger, parse_trigger
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

MINUTE = {"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 60, "End": True}}}


def trigger(policy: str) -> Trigger:
    return parse_trigger(
        "t",
        {
            "Source": {"Type": "schedule", "ScheduleExpression": "@hourly"},
            "Target": {
                "StateMachine": "minute",
                "Overlap": policy,
                "ExecutionName": "$.detail.name",
            },
        },
    )


def event(name: str) -> TriggerEvent:
    return TriggerEvent(
        id=name,
        source="test",
        detail_type="Test",
        at_ms=0,
        account="000000000000",
        region="local",
        detail={"name": name},
    )


class Life:
    """One life of a server with one trigger."""

    def __init__(self, world: World, router: Router, triggers: Sequence[Trigger]) -> None:
        self.world, self.router = world, router
        self._listeners = Listeners(triggers)

    async def comes(self, name: str) -> None:
        delivery = Delivery(event=event(name), state={})
        await self.router.publish("sensor", self._listeners, [delivery])
        await settled()

    async def passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds * 1000)
        await settled()


class Disk(MemoryEventLog):
    """A log in memory that can refuse."""

    fails = False
    held: "asyncio.Future[None] | None" = None  # keeps events from being durable

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        if self.held is not None and transaction.events:
            late = partial(super().submit, transaction, outcome)
            self.held.add_done_callback(lambda _: late())
        elif self.fails:
            refused = LogUnavailable("the disk is full")
            asyncio.get_running_loop().call_soon(outcome, refused)
        else:
            super().submit(transaction, outcome)


@asynccontextmanager
async def life(log: MemoryEventLog, clock: VirtualClock, policy: str) -> AsyncIterator[Life]:
    """A server from its start to its crash."""
    triggers = [trigger(policy)]
    async with World(log, clock, {}, {"minute": MINUTE}) as world:
        router = Router(log, world.engine, world.catalog)
        await router.overlaps.recover(triggers, clock)
        await settled()
        try:
            yield Life(world, router, triggers)
        finally:
            await router.overlaps.close()


async def statuses(log: MemoryEventLog) -> dict[str, str]:
    rows: Sequence[ExecutionRow] = await log.executions()
    return {row.name: row.status for row in reversed(rows)}


async def not_begun(log: MemoryEventLog) -> list[tuple[str, str]]:
    """The events that started nothing, each with what ran then."""
    return [(each.event[1], each.execution) for each in await skipped(log, trigger(SKIP))]


@pytest.fixture
def log() -> Disk:
    return Disk()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def test_overlaps_are_allowed_unless_the_trigger_says_otherwise(
    log: Disk, clock: VirtualClock
) -> None:
    async with life(log, clock, ALLOW) as server:
        await server.comes("a")
        await server.comes("b")

    assert await statuses(log) == {"a": "RUNNING", "b": "RUNNING"}
    assert await log.sensor_state("overlap:t") == {}


async def test_an_event_is_skipped_while_another_runs(log: Disk, clock: VirtualClock) -> None:
    async with life(log, clock, SKIP) as server:
        for name in ("a", "b", "c"):
            await server.comes(name)
        await server.passes(60)
        await server.comes("d")
        await server.comes("b")  # told again, it was decided

    assert await statuses(log) == {"a": "SUCCEEDED", "d": "RUNNING"}
    assert await not_begun(log) == [("b", "a"), ("c", "a")]
    assert len(await log.inbox()) == 4


async def test_what_runs_is_known_after_a_crash(log: Disk, clock: VirtualClock) -> None:
    async with life(log, clock, SKIP) as server:
        await server.comes("a")
        await server.comes("b")
    async with life(log, clock, SKIP) as server:
        await server.comes("c")
        await server.passes(60)
        await server.comes("d")

    assert await statuses(log) == {"a": "SUCCEEDED", "d": "RUNNING"}
    assert await not_begun(log) == [("b", "a"), ("c", "a")]


async def test_an_event_told_again_while_its_own_execution_runs_is_not_skipped(
    log: Disk, clock: VirtualClock
) -> None:
    async with life(log, clock, SKIP) as server:
        await server.comes("a")
        await server.comes("a")

    assert await statuses(log) == {"a": "RUNNING"}
    assert await not_begun(log) == []


async def test_one_event_waits_and_those_after_it_are_skipped(
    log: Disk, clock: VirtualClock
) -> None:
    async with life(log, clock, BUFFER_ONE) as server:
        for name in ("a", "b", "c"):
            await server.comes(name)
        assert await statuses(log) == {"a": "RUNNING"}
        await server.passes(60)
        assert await statuses(log) == {"a": "SUCCEEDED", "b": "RUNNING"}
        assert not [key for key in await log.sensor_state("overlap:t") if "buffered" in key]
        await server.comes("d")
        await server.passes(60)
        await server.passes(60)

    assert await statuses(log) == {"a": "SUCCEEDED", "b": "SUCCEEDED", "d": "SUCCEEDED"}
    assert await not_begun(log) == [("c", "a")]
    found = await log.event("test", "b")
    assert found is not None
    assert list(found.executions) == ["t"]


async def test_the_event_that_waits_starts_nothing_before_it_is_durable(
    log: Disk, clock: VirtualClock
) -> None:
    async with life(log, clock, BUFFER_ONE) as server:
        await server.comes("a")
        log.held = asyncio.get_running_loop().create_future()
        publishing = asyncio.ensure_future(server.comes("b"))
        await settled()
        await server.passes(60)
        assert await statuses(log) == {"a": "SUCCEEDED"}
        log.held.set_result(None)
        await publishing

    assert await statuses(log) == {"a": "SUCCEEDED", "b": "RUNNING"}


async def test_what_becomes_of_an_event_is_known_also_when_its_sensor_has_gone(
    log: Disk, clock: VirtualClock
) -> None:
    async with life(log, clock, SKIP) as server:
        log.held = asyncio.get_running_loop().create_future()
        publishing = asyncio.ensure_future(server.comes("a"))
        await settled()
        publishing.cancel()
        await settled()
        log.held.set_result(None)
        await settled()
        await server.comes("b")

    assert await statuses(log) == {"a": "RUNNING"}
    assert await not_begun(log) == [("b", "a")]


@pytest.mark.parametrize("seconds", [0, 60])
async def test_the_event_that_waits_survives_a_crash(
    log: Disk, clock: VirtualClock, seconds: int
) -> None:
    async with life(log, clock, BUFFER_ONE) as server:
        await server.comes("a")
        await server.comes("b")
    clock.advance(seconds * 1000)
    async with life(log, clock, BUFFER_ONE) as server:
        await server.passes(60 - seconds)
        assert await statuses(log) == {"a": "SUCCEEDED", "b": "RUNNING"}
        await server.comes("c")
    async with life(log, clock, BUFFER_ONE) as server:
        await server.passes(60)
        await server.passes(60)

    assert await statuses(log) == dict.fromkeys(("a", "b", "c"), "SUCCEEDED")


async def test_a_disk_that_refuses_leaves_nothing_decided(log: Disk, clock: VirtualClock) -> None:
    async with life(log, clock, BUFFER_ONE) as server:
        log.fails = True
        with pytest.raises(LogUnavailable):
            await server.comes("a")
        log.fails = False
        await server.comes("a")
        log.fails = True
        with pytest.raises(LogUnavailable):
            await server.comes("b")
        log.fails = False
        await server.comes("c")
        await server.comes("b")
        await server.passes(60)

    assert await statuses(log) == {"a": "SUCCEEDED", "c": "RUNNING"}
    assert await not_begun(log) == [("b", "a")]


async def test_others_are_stopped_once_the_new_one_is_durable(
    log: Disk, clock: VirtualClock
) -> None:
    async with life(log, clock, CANCEL_OTHER) as server:
        await server.comes("a")
        log.fails = True
        with pytest.raises(LogUnavailable):
            await server.comes("b")
        log.fails = False
        assert await statuses(log) == {"a": "RUNNING"}
        await server.comes("b")
        assert await statuses(log) == {"a": "ABORTED", "b": "RUNNING"}
        await server.comes("b")
        assert await statuses(log) == {"a": "ABORTED", "b": "RUNNING"}
        await server.comes("c")

    assert await statuses(log) == {"a": "ABORTED", "b": "ABORTED", "c": "RUNNING"}


async def test_stopping_others_goes_on_after_a_crash(log: Disk, clock: VirtualClock) -> None:
    async with life(log, clock, ALLOW) as server:
        for name in ("a", "b", "c"):
            await server.comes(name)
    async with life(log, clock, CANCEL_OTHER):
        pass

    assert await statuses(log) == {"a": "ABORTED", "b": "ABORTED", "c": "RUNNING"}


async def test_only_the_newest_skipped_events_are_kept(log: Disk, clock: VirtualClock) -> None:
    async with life(log, clock, SKIP) as server:
        await server.comes("a")
        listeners = Listeners([trigger(SKIP)])
        for number in range(SKIPPED_KEPT_MAX + 5):
            delivery = Delivery(event=event(f"e{number}"), state={})
            await server.router.publish("sensor", listeners, [delivery])

    kept = await not_begun(log)
    assert len(kept) == SKIPPED_KEPT_MAX
    assert (kept[0][0], kept[-1][0]) == ("e5", f"e{SKIPPED_KEPT_MAX + 4}")


async def dead_letter(log: Disk, name: str) -> DeliveryRow:
    """An event of the log that could start nothing."""
    row = DeliveryRow(
        event=("test", name), trigger="t", status="DEAD", reason="no", since_ms=0, decided_ms=0
    )
    await log.commit(Transaction(events=[event(name)], deliveries=[row]))
    return row


async def delivered(log: Disk) -> list[tuple[str, str]]:
    return [(row.event[1], row.status) for row in reversed(await log.deliveries())]


@pytest.mark.parametrize("crashes", [False, True])
async def test_a_dead_letter_that_is_sent_again_waits_as_any_event(
    log: Disk, clock: VirtualClock, crashes: bool
) -> None:
    async with life(log, clock, BUFFER_ONE) as server:
        await server.comes("a")
        for name in ("x", "y"):
            await server.router.redrive(trigger(BUFFER_ONE), await dead_letter(log, name))
        assert await delivered(log) == [("x", "WAITING"), ("y", "SKIPPED")]
        assert not await log.due_deliveries(10**15, limit=1)
        if not crashes:
            await server.passes(60)
    async with life(log, clock, BUFFER_ONE) as server:
        await server.passes(60)

    assert await delivered(log) == [("x", "STARTED"), ("y", "SKIPPED")]
    (row,) = await log.deliveries(status="STARTED")
    execution = await log.execution(row.execution or "")
    assert execution is not None
    assert (execution.name, execution.event) == ("x", ("test", "x"))
    assert (row.decided_ms, row.reason) == (
        execution.start_ms,
        "it waited until nothing of its trigger ran",
    )


async def test_a_dead_letter_that_waits_is_skipped_when_its_name_is_taken(
    log: Disk, clock: VirtualClock
) -> None:
    async with life(log, clock, BUFFER_ONE) as server:
        await server.comes("a")
        await server.router.redrive(trigger(BUFFER_ONE), await dead_letter(log, "x"))
        machine = server.world.catalog.machine("minute")
        await server.world.engine.start([Start(machine=machine, name="x", input=Payload(b"{}"))])
        await server.passes(60)
        await server.comes("b")

    assert await delivered(log) == [("x", "SKIPPED")]
    assert (await statuses(log))["b"] == "RUNNING"


@pytest.mark.parametrize("policy", [ALLOW, SKIP, BUFFER_ONE, CANCEL_OTHER])
async def test_a_dead_letter_that_is_sent_again_twice_at_once_is_decided_once(
    log: Disk, clock: VirtualClock, policy: str
) -> None:
    async with life(log, clock, policy) as server:
        dead = await dead_letter(log, "x")
        again = [server.router.redrive(trigger(policy), dead) for _ in range(3)]
        rows = await asyncio.gather(*again)

    assert {row.status for row in rows} == {"STARTED"}
    assert await delivered(log) == [("x", "STARTED")]
    assert await statuses(log) == {"x": "RUNNING"}
