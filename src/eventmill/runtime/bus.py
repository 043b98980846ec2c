"""The bus: events that come through no sensor, and the triggers that listen to all events."""

import asyncio
from collections.abc import Sequence
from typing import Final

from eventmill.errors import LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.ports import Clock, Delivery
from eventmill.runtime.outbox import BUS
from eventmill.runtime.router import Router
from eventmill.triggers.listeners import Listeners

_NOBODY: Final = Listeners(())
_TOGETHER: Final = 500  # events in one transaction


class Bus:
    """Where events go that somebody sends: by PutEvents, by HTTP, or from within."""

    def __init__(self, router: Router, listeners: Listeners, clock: Clock) -> None:
        self._router = router
        self._clock = clock
        self.listeners: Final = listeners

    def now_ms(self) -> int:
        """The time of an event that does not say when it was."""
        return self._clock.now_ms()

    async def put(self, events: Sequence[TriggerEvent]) -> list[LogUnavailable | None]:
        """Make events durable, each with all that it starts, in this order; return after that.

        Up to 500 are durable together or not at all. What could not be stored is told for each. An
        event that the log has starts nothing again.
        """
        groups = [events[first : first + _TOGETHER] for first in range(0, len(events), _TOGETHER)]
        point("before-publish")
        outcomes = await asyncio.gather(*map(self._put, groups))
        point("before-acknowledge")
        return [outcome for group, outcome in zip(groups, outcomes, strict=True) for _ in group]

    async def publish(self, event: TriggerEvent) -> None:
        """Publish an event; it starts what listens to the bus.

        Raises:
            LogUnavailable: The disk refuses; nothing was stored.
        """
        await self.deliver(Delivery(event=event, state={}))

    async def deliver(self, delivery: Delivery, reason: str | None = None) -> None:
        """Publish one event with what is to be remembered; with a `reason` it starts nothing.

        Raises:
            LogUnavailable: The disk refuses; nothing was stored.
        """
        if reason is None:
            await self._router.publish(BUS, _NOBODY, [delivery])
        else:
            await self._router.refuse(BUS, delivery, reason)

    async def _put(self, events: Sequence[TriggerEvent]) -> LogUnavailable | None:
        deliveries = [Delivery(event=event, state={}) for event in events]
        try:
            await self._router.publish(BUS, _NOBODY, deliveries)
        except LogUnavailable as error:
            return error
        return None
