"""A server with one trigger whose events may have to wait, over any log, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from eventmill.errors import LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.log.memory import MemoryEventLog
from eventmill.ports import Delivery, EventLog, Transaction
from eventmill.runtime.router import Router
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger, parse_trigger
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

MINUTE = {"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 60, "End": True}}}
DAY = {"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 86_400, "End": True}}}
AT_ONCE = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
AN_HOUR = {"MaximumEventAgeInSeconds": 3600}
BY_ORDER = {"Key": "$.detail.order", "WindowSeconds": 60}
MACHINES: Mapping[str, Any] = {"minute": MINUTE, "day": DAY, "at-once": AT_ONCE}


class Log(MemoryEventLog):
    """A log in memory that keeps what was committed, and can refuse."""

    def __init__(self) -> None:
        super().__init__(fail=self._look)
        self.transactions: list[Transaction] = []
        self.is_full = False

    def _look(self, transaction: Transaction) -> Exception | None:
        self.transactions.append(transaction)
        return LogUnavailable("the disk is full") if self.is_full else None


def trigger(name: str = "t", **target: Any) -> Trigger:
    named = {} if "Batching" in target else {"ExecutionName": "$.id"}
    return parse_trigger(
        name,
        {
            "Source": {"Type": "schedule", "ScheduleExpression": "@hourly"},
            "Target": {"StateMachine": "minute", **named, **target},
        },
    )


def delivery(name: str, /, **detail: Any) -> Delivery:
    event = TriggerEvent(
        id=name,
        source="test",
        detail_type="Test",
        at_ms=0,
        account="000000000000",
        region="local",
        detail=detail,
    )
    return Delivery(event=event, state={})


class Life:
    """One life of the server."""

    def __init__(self, world: World, router: Router, triggers: Sequence[Trigger]) -> None:
        self.world, self.router = world, router
        self._listeners = Listeners(triggers)

    async def come(self, *names: str, **detail: Any) -> None:
        """Events with these ids are published together."""
        await self.publish(*(delivery(name, **detail) for name in names))
        await settled()

    async def publish(self, *deliveries: Delivery) -> None:
        """Events are published together; nothing more has happened when it returns."""
        await self.router.publish("sensor", self._listeners, deliveries)

    async def pass_(self, seconds: float) -> None:
        self.world.clock.advance(int(seconds * 1000))
        await settled()


@asynccontextmanager
async def life(
    log: EventLog,
    clock: VirtualClock,
    *triggers: Trigger,
    machines: Mapping[str, Any] = MACHINES,
) -> AsyncIterator[Life]:
    """A server from its start to its crash."""
    async with World(log, clock, {}, machines) as world:
        router = Router(log, world.engine, world.catalog)
        await router.recover(triggers, clock)
        deciding = asyncio.ensure_future(router.waiting.run())
        await settled()
        try:
            yield Life(world, router, triggers)
        finally:
            deciding.cancel()
            await asyncio.gather(deciding, return_exceptions=True)
            await router.overlaps.close()


async def statuses(log: EventLog) -> dict[str, str]:
    """The executions by name, in the order in which they started."""
    return {row.name: row.status for row in reversed(await log.executions())}


async def running(log: EventLog) -> list[str]:
    return [name for name, status in (await statuses(log)).items() if status == "RUNNING"]


async def decided(log: EventLog) -> dict[str, str]:
    """What became of each event that did not simply start, in order of arrival."""
    return {row.event[1]: row.status for row in reversed(await log.deliveries())}


async def reason(log: EventLog, name: str) -> str:
    (row,) = await log.deliveries(event=("test", name))
    return row.reason
