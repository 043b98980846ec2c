"""From a trigger event to the executions it starts, in one commit."""

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from eventmill.errors import DuplicateEvent, ExecutionAlreadyExists
from eventmill.events import TriggerEvent
from eventmill.model import AuthorError
from eventmill.ports import Delivery, EventLog, Transaction
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.engine import Engine
from eventmill.runtime.starting import Start
from eventmill.triggers.listeners import Listeners

_log: Final = logging.getLogger(__name__)


class Router:
    """Matches events of a sensor against the triggers that use this sensor."""

    def __init__(self, log: EventLog, engine: Engine, catalog: Catalog) -> None:
        self._events = log
        self._engine = engine
        self._catalog = catalog

    async def publish(self, sensor: str, listeners: Listeners, delivery: Delivery) -> None:
        """Make an event durable with every execution it starts; return after the commit.

        An event that was published before starts nothing again, but what the sensor wants
        remembered is stored all the same.

        Raises:
            LogUnavailable: The disk refuses; nothing was stored.
        """
        state = {(sensor, key): value for key, value in delivery.state.items()}
        starts = list(self._starts(listeners, delivery.event))
        try:
            await self._engine.start(starts, event=delivery.event, sensor_state=state)
        except DuplicateEvent:
            await self._events.commit(Transaction(sensor_state=state))
        except ExecutionAlreadyExists as error:
            # Names follow from the event, so somebody has taken one by hand. The rest must start.
            _log.error("%s: %s", delivery.event.id, error)
            await self._start_one_by_one(starts, delivery.event, state)

    def _starts(self, listeners: Listeners, event: TriggerEvent) -> Iterable[Start]:
        for trigger in listeners.of(event):
            try:
                yield Start(
                    machine=self._catalog.machine(trigger.state_machine),
                    name=trigger.execution_name(event),
                    input=trigger.input_for(event),
                    trigger=trigger.name,
                )
            except AuthorError as error:
                _log.error(
                    "the trigger %s cannot make an input of event %s: %s",
                    trigger.name,
                    event.id,
                    error.failure.cause,
                )

    async def _start_one_by_one(
        self,
        starts: Iterable[Start],
        event: TriggerEvent,
        state: Mapping[tuple[str, str], bytes | None],
    ) -> None:
        for start in starts:
            try:
                await self._engine.start([start])
            except ExecutionAlreadyExists:
                continue
        await self._engine.start([], event=event, sensor_state=state)
