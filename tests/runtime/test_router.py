"""Events handed over together: they and all that they start are one transaction."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventmill.errors import LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.log.memory import MemoryEventLog
from eventmill.model import Payload
from eventmill.ports import Delivery, Transaction
from eventmill.runtime.router import Router
from eventmill.runtime.starting import Start
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger, parse_trigger
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

MINUTE = {"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 60, "End": True}}}
PAYLOAD = Payload(b"{}")


class Log(MemoryEventLog):
    """A log in memory that says what begins in which transaction, and can refuse."""

    def __init__(self) -> None:
        super().__init__(fail=self._look)
        self.transactions: list[Transaction] = []
        self.is_full = False

    def _look(self, transaction: Transaction) -> Exception | None:
        if transaction.events or transaction.created:
            self.transactions.append(transaction)
        return LogUnavailable("the disk is full") if self.is_full else None

    async def names(self) -> list[str]:
        return [row.name for row in reversed(await self.executions())]

    async def events(self) -> list[str]:
        return [each.event.id for each in reversed(await self.inbox())]


def trigger(name: str = "t", **target: Any) -> Trigger:
    return parse_trigger(
        name,
        {
            "Source": {"Type": "schedule", "ScheduleExpression": "@hourly"},
            "EventPattern": {"detail-type": ["Test"]},
            "Target": {
                "StateMachine": "minute",
                "ExecutionName": "$.detail.name",
                **target,
            },
        },
    )


def delivery(name: str, id: str = "", *, kind: str = "Test", **state: bytes) -> Delivery:
    event = TriggerEvent(
        id=id or name,
        source="test",
        detail_type=kind,
        at_ms=0,
        account="000000000000",
        region="local",
        detail={"name": name},
    )
    return Delivery(event=event, state=state)


class Server:
    """A server with some triggers, all for the same sensor."""

    def __init__(self, world: World, router: Router, triggers: Sequence[Trigger]) -> None:
        self.world, self.router = world, router
        self._listeners = Listeners(triggers)

    async def publish(self, *deliveries: Delivery) -> None:
        await self.router.publish("sensor", self._listeners, deliveries)


@asynccontextmanager
async def serving(log: Log, *triggers: Trigger) -> AsyncIterator[Server]:
    clock = VirtualClock()
    async with World(log, clock, {}, {"minute": MINUTE}) as world:
        router = Router(log, world.engine, world.catalog)
        await router.overlaps.recover(triggers, clock)
        await settled()
        log.transactions.clear()
        try:
            yield Server(world, router, triggers or [trigger()])
        finally:
            await router.overlaps.close()


@pytest.fixture
def log() -> Log:
    return Log()


async def test_a_sequence_and_what_it_starts_is_one_transaction_in_order(log: Log) -> None:
    async with serving(log) as server:
        await server.publish(
            delivery("a", x=b"1"), delivery("b", kind="Other", y=b"1"), delivery("c", x=b"2")
        )

    (transaction,) = log.transactions
    assert [each.id for each in transaction.events] == ["a", "b", "c"]
    assert [(row.name, row.event) for row in transaction.created] == [
        ("a", ("test", "a")),
        ("c", ("test", "c")),
    ]
    assert await log.sensor_state("sensor") == {"x": b"2", "y": b"1"}
    assert await log.events() == ["a", "b", "c"]


async def test_what_was_there_already_starts_nothing_and_keeps_nobody_back(log: Log) -> None:
    async with serving(log) as server:
        await server.publish(delivery("a"), delivery("c"))
        await server.publish(
            delivery("a", x=b"1"), delivery("b", x=b"2"), delivery("c", x=b"3"), delivery("d")
        )
        await server.publish(delivery("b", x=b"4"), delivery("d"))

    assert await log.events() == ["a", "c", "b", "d"]
    assert await log.names() == ["a", "c", "b", "d"]
    assert await log.sensor_state("sensor") == {"x": b"4"}


async def test_of_the_same_event_twice_in_a_sequence_the_first_counts(log: Log) -> None:
    async with serving(log) as server:
        await server.publish(delivery("a", "1", x=b"1"), delivery("b", "1", x=b"2"))

    assert len(log.transactions) == 1
    assert await log.names() == ["a"]
    assert await log.sensor_state("sensor") == {"x": b"2"}


async def test_events_that_share_an_execution_start_it_once(log: Log) -> None:
    async with serving(log, trigger(), trigger("u", ExecutionName="$.id")) as server:
        await server.publish(delivery("a", "1"), delivery("a", "2"))

    (transaction,) = log.transactions
    assert [(row.name, row.trigger) for row in transaction.created] == [
        ("a", "t"),
        ("1", "u"),
        ("2", "u"),
    ]


async def test_a_name_that_is_taken_keeps_the_others_from_nothing(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(log) as server:
        machine = server.world.catalog.machine("minute")
        for name in ("a", "c"):
            await server.world.engine.start([Start(machine=machine, name=name, input=PAYLOAD)])
        await server.publish(*(delivery(name, x=name.encode()) for name in "abcd"))

    assert await log.names() == ["a", "c", "b", "d"]
    assert await log.events() == ["a", "b", "c", "d"]
    assert [len(each.events) for each in log.transactions if each.created] == [0, 0, 4, 4]
    assert await log.sensor_state("sensor") == {"x": b"d"}
    told = [record.getMessage() for record in caplog.records]
    assert [each.split()[2].rpartition(":")[2] for each in told] == ["a", "c"]


async def test_what_the_disk_refuses_leaves_no_trace_of_any(log: Log) -> None:
    async with serving(log) as server:
        log.is_full = True
        with pytest.raises(LogUnavailable):
            await server.publish(delivery("a", x=b"1"), delivery("b"))
        log.is_full = False
        assert (await log.events(), await log.names()) == ([], [])
        assert await log.sensor_state("sensor") == {}
        await server.publish(delivery("a", x=b"1"), delivery("b"))

    assert await log.names() == ["a", "b"]


async def test_overlaps_within_a_sequence_are_decided_in_order(log: Log) -> None:
    async with serving(log, trigger(Overlap="buffer-one")) as server:
        await server.publish(*(delivery(name) for name in "abc"))
        assert await log.names() == ["a"]
        server.world.clock.advance(60_000)
        await settled()
        assert await log.names() == ["a", "b"]
        server.world.clock.advance(60_000)
        await settled()

    assert await log.names() == ["a", "b"]


async def test_a_duplicate_is_not_what_another_event_is_skipped_for(log: Log) -> None:
    async with serving(log, trigger(Overlap="skip")) as server:
        await server.publish(delivery("a"))
        server.world.clock.advance(60_000)
        await settled()
        await server.publish(delivery("a"), delivery("b"), delivery("c"))

    assert await log.names() == ["a", "b"]


async def test_nothing_is_published_of_nothing(log: Log) -> None:
    async with serving(log) as server:
        await server.publish()

    assert await log.events() == []


async def decided(log: Log) -> list[tuple[str, str, str, str]]:
    rows = await log.deliveries()
    return [(row.event[1], row.trigger, row.status, row.reason) for row in reversed(rows)]


NAMELESS = "no input can be made of it: "


async def test_an_event_of_which_no_input_can_be_made_becomes_a_dead_letter_in_its_own_commit(
    log: Log,
) -> None:
    picky = trigger("picky", InputPath="$.detail.size", ExecutionName="$.id")
    async with serving(log, picky, trigger()) as server:
        await server.publish(delivery("a"), delivery("b"))

    (transaction,) = log.transactions
    assert [row.event[1] for row in transaction.deliveries] == ["a", "b"]
    assert [row.name for row in transaction.created] == ["a", "b"]
    found = await log.deliveries(status="DEAD")
    assert [(row.event, row.trigger, row.attempts) for row in found] == [
        (("test", "b"), "picky", 1),
        (("test", "a"), "picky", 1),
    ]
    assert all(row.reason.startswith(NAMELESS) and "size" in row.reason for row in found)


async def test_a_state_machine_that_is_not_there_makes_dead_letters_and_stops_nobody(
    log: Log,
) -> None:
    async with serving(log, trigger("lost", StateMachine="nowhere"), trigger()) as server:
        await server.publish(delivery("a"))

    assert await log.names() == ["a"]
    ((event, name, status, reason),) = await decided(log)
    assert (event, name, status) == ("a", "lost", "DEAD")
    assert "nowhere" in reason


async def test_an_event_whose_execution_is_there_already_is_told_as_skipped(log: Log) -> None:
    async with serving(log) as server:
        await server.publish(delivery("a", "1"))
        await server.publish(delivery("a", "2"), delivery("b", "3"), delivery("b", "4"))
        await server.publish(delivery("a", "2"))

    assert await log.names() == ["a", "b"]
    there = "the execution arn:aws:states:local:000000000000:execution:minute:{} is there already"
    assert await decided(log) == [
        ("2", "t", "SKIPPED", there.format("a")),
        ("4", "t", "SKIPPED", there.format("b")),
    ]


async def test_what_starts_at_once_leaves_no_delivery(log: Log) -> None:
    async with serving(log) as server:
        await server.publish(delivery("a"), delivery("b", kind="Other"))
    assert await decided(log) == []


async def test_a_dead_letter_is_sent_again_in_the_commit_of_its_execution(log: Log) -> None:
    async with serving(log, trigger("t", StateMachine="nowhere")) as server:
        await server.publish(delivery("a"))
    async with serving(log) as server:
        (dead,) = await log.deliveries()
        first, second = await asyncio.gather(
            server.router.redrive(trigger(), dead), server.router.redrive(trigger(), dead)
        )

    assert first == second or {first.status, second.status} == {"STARTED"}
    (row,) = await log.deliveries()
    (execution,) = await log.executions()
    assert (row.status, row.execution, row.attempts) == ("STARTED", execution.arn, 2)
    assert execution.event == ("test", "a")
    assert execution.trigger == "t"
    begun = [each for each in log.transactions if each.created and each.deliveries]
    assert begun
    assert begun[0].deliveries[0].status == "STARTED"


async def test_a_dead_letter_that_is_impossible_still_stays_one(log: Log) -> None:
    picky = trigger(InputPath="$.detail.size")
    async with serving(log, picky) as server:
        await server.publish(delivery("a"))
        (dead,) = await log.deliveries()
        row = await server.router.redrive(picky, dead)

    assert (row.status, row.attempts) == ("DEAD", 2)
    assert list(await log.deliveries()) == [row]
    assert await log.names() == []


async def test_a_full_disk_leaves_a_dead_letter_as_it_was(log: Log) -> None:
    async with serving(log, trigger("t", StateMachine="nowhere")) as server:
        await server.publish(delivery("a"))
    async with serving(log) as server:
        (dead,) = await log.deliveries()
        log.is_full = True
        with pytest.raises(LogUnavailable):
            await server.router.redrive(trigger(), dead)
        log.is_full = False
        assert list(await log.deliveries()) == [dead]
        assert (await server.router.redrive(trigger(), dead)).status == "STARTED"
