"""What became of the executions of an event, as sensors are told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from eventmill.events import TriggerEvent
from eventmill.log.memory import MemoryEventLog
from eventmill.machine.history import HistoryEvent
from eventmill.model import Json
from eventmill.ports import Delivery, Outcome, Transaction
from eventmill.rows import ExecutionRow
from eventmill.runtime.processing import EventEnds, LoggedProcessing
from eventmill.runtime.router import Router
from eventmill.sensors.afterwards import Processed
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.overlap import ALLOW, BUFFER_ONE, SKIP
from eventmill.triggers.trigger import Trigger, parse_trigger
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

REST = {"Type": "Wait", "Seconds": 60}
MACHINES = {
    "minute": {"StartAt": "Rest", "States": {"Rest": {**REST, "End": True}}},
    "bad": {
        "StartAt": "Rest",
        "States": {"Rest": {**REST, "Next": "No"}, "No": {"Type": "Fail", "Error": "No"}},
    },
}


def trigger(machine: str, policy: str = ALLOW, **policies: Json) -> Trigger:
    source: Json = {"Type": "schedule", "ScheduleExpression": "@hourly"}
    target: Json = {"StateMachine": machine, "Overlap": policy, **policies}
    return parse_trigger(f"to-{machine}", {"Source": source, "Target": target})


class SlowLog(MemoryEventLog):
    """A log in memory that keeps executions whose event is known from being durable."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Callable[[], None]] = []

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        if transaction.created and not transaction.events:
            self.held.append(partial(super().submit, transaction, outcome))
        else:
            super().submit(transaction, outcome)


class Recording:
    """A `Listener` that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def started(self, row: ExecutionRow) -> None:
        self.heard.append(f"started {row.trigger}")

    def ended(self, row: ExecutionRow, last: HistoryEvent) -> None:
        self.heard.append(f"ended {row.trigger}")


class Life:
    """One life of a server."""

    def __init__(
        self, world: World, router: Router, ends: EventEnds, triggers: Sequence[Trigger]
    ) -> None:
        self._world, self._router = world, router
        self._listeners = Listeners(triggers)
        self._processing = LoggedProcessing(world.log, ends, router)
        self.heard: list[str] = []
        self._processing.hear("test", self.heard.append)

    async def comes(self, event_id: str) -> None:
        event = TriggerEvent(
            id=event_id,
            source="test",
            detail_type="Test",
            at_ms=0,
            account="000000000000",
            region="local",
            detail={},
        )
        await self._router.publish("sensor", self._listeners, [Delivery(event=event, state={})])
        await settled()

    async def a_minute_passes(self) -> None:
        self._world.clock.advance(60_000)
        await settled()

    async def of(self, event_id: str) -> Processed:
        return await self._processing.of("test", event_id)


@asynccontextmanager
async def life(
    *triggers: Trigger, log: MemoryEventLog | None = None, listener: Recording | None = None
) -> AsyncIterator[Life]:
    ends, clock = EventEnds(listener), VirtualClock()
    async with World(log or MemoryEventLog(), clock, {}, MACHINES, listener=ends) as world:
        router = Router(world.log, world.engine, world.catalog)
        await router.recover(triggers, clock)
        waiting = asyncio.ensure_future(router.waiting.run())
        await settled()
        try:
            yield Life(world, router, ends, triggers)
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})
            await router.overlaps.close()


async def test_an_event_is_processed_when_all_that_it_started_has_succeeded() -> None:
    async with life(trigger("minute")) as server:
        assert await server.of("a") is Processed.NOTHING
        await server.comes("a")
        assert (await server.of("a"), server.heard) == (Processed.RUNNING, [])
        await server.a_minute_passes()
        assert (await server.of("a"), server.heard) == (Processed.SUCCEEDED, ["a"])


async def test_one_failure_among_several_is_a_failure() -> None:
    async with life(trigger("minute"), trigger("bad")) as server:
        await server.comes("a")
        await server.a_minute_passes()
        assert (await server.of("a"), server.heard) == (Processed.FAILED, ["a", "a"])


async def test_an_event_that_waits_is_not_processed_yet() -> None:
    async with life(trigger("minute", BUFFER_ONE)) as server:
        for event_id in ("a", "b", "c"):
            await server.comes(event_id)
        assert await server.of("b") is Processed.RUNNING
        assert await server.of("c") is Processed.NOTHING
        await server.a_minute_passes()
        assert await server.of("a") is Processed.SUCCEEDED
        assert await server.of("b") is Processed.RUNNING
        await server.a_minute_passes()
        assert (await server.of("b"), server.heard) == (Processed.SUCCEEDED, ["a", "b"])


async def test_an_event_that_has_waited_is_not_processed_while_it_starts() -> None:
    log = SlowLog()
    async with life(trigger("minute", BUFFER_ONE), log=log) as server:
        await server.comes("a")
        await server.comes("b")
        await server.a_minute_passes()
        (begin,) = log.held
        assert await server.of("b") is Processed.RUNNING
        begin()
        await settled()
        assert await server.of("b") is Processed.RUNNING
        await server.a_minute_passes()
        assert await server.of("b") is Processed.SUCCEEDED


async def test_an_event_that_was_skipped_has_started_nothing() -> None:
    async with life(trigger("minute", SKIP)) as server:
        await server.comes("a")
        await server.comes("b")
        assert await server.of("b") is Processed.NOTHING


async def test_an_event_whose_delivery_waits_is_held_until_it_runs() -> None:
    async with life(trigger("minute", Concurrency=1)) as server:
        await server.comes("a")
        await server.comes("b")
        assert await server.of("a") is Processed.RUNNING
        assert await server.of("b") is Processed.HELD
        await server.a_minute_passes()
        assert await server.of("a") is Processed.SUCCEEDED
        assert await server.of("b") is Processed.RUNNING
        await server.a_minute_passes()
        assert (await server.of("b"), server.heard) == (Processed.SUCCEEDED, ["a", "b"])


async def test_all_events_of_a_batch_are_processed_with_it() -> None:
    batching: Json = {"Size": 2, "WindowSeconds": 60}
    async with life(trigger("minute", Batching=batching)) as server:
        await server.comes("a")
        assert await server.of("a") is Processed.HELD
        await server.comes("b")
        # The execution names its first event, so nobody is told of its end for the second.
        assert await server.of("a") is Processed.RUNNING
        assert await server.of("b") is Processed.HELD
        await server.a_minute_passes()
        assert {await server.of(each) for each in "ab"} == {Processed.SUCCEEDED}


async def test_an_event_that_is_given_up_has_started_nothing() -> None:
    unique: Json = {"Key": "$.source", "WindowSeconds": 60}
    async with life(trigger("minute", Deduplication=unique)) as server:
        await server.comes("a")
        await server.comes("b")
        assert await server.of("b") is Processed.NOTHING


async def test_the_next_server_knows_what_the_last_one_knew() -> None:
    log = MemoryEventLog()
    async with life(trigger("minute", BUFFER_ONE), log=log) as server:
        await server.comes("a")
        await server.comes("b")
    async with life(trigger("minute", BUFFER_ONE), log=log) as server:
        assert await server.of("a") is Processed.RUNNING
        assert await server.of("b") is Processed.RUNNING


async def test_others_hear_of_all_that_starts_and_ends_too() -> None:
    listener = Recording()
    async with life(trigger("minute"), listener=listener) as server:
        await server.comes("a")
        await server.a_minute_passes()
    assert listener.heard == ["started to-minute", "ended to-minute"]
