"""From a trigger event to the executions it starts, in one commit."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from eventmill.errors import DuplicateEvent, ExecutionAlreadyExists
from eventmill.events import TriggerEvent
from eventmill.model import AuthorError
from eventmill.ports import Delivery, EventLog, ExecutionRow, Transaction
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.engine import Engine
from eventmill.runtime.overlap import Overlaps, Verdict
from eventmill.runtime.starting import Start
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger

_log: Final = logging.getLogger(__name__)


class Router:
    """Matches events of a sensor against the triggers that use this sensor."""

    def __init__(self, log: EventLog, engine: Engine, catalog: Catalog) -> None:
        self._events = log
        self._engine = engine
        self._catalog = catalog
        self.overlaps = Overlaps(log, engine, self._start_of)

    async def publish(self, sensor: str, listeners: Listeners, delivery: Delivery) -> None:
        """Make an event durable with every execution it starts; return after the commit.

        An event that was published before starts nothing again, but what the sensor wants
        remembered is stored all the same.

        Raises:
            LogUnavailable: The disk refuses; nothing was stored.
        """
        state = {(sensor, key): value for key, value in delivery.state.items()}
        verdict = self.overlaps.admit(self._starts(listeners, delivery.event), delivery.event)
        work = self._carry_out(verdict, delivery.event, state)
        await (work if verdict.is_plain else self.overlaps.carry_through(work))

    async def _carry_out(
        self,
        verdict: Verdict,
        event: TriggerEvent,
        state: Mapping[tuple[str, str], bytes | None],
    ) -> None:
        try:
            rows = await self._start(verdict, event, state)
        except DuplicateEvent:
            self.overlaps.withdraw(verdict)
            await self._events.commit(Transaction(sensor_state=state))
        except BaseException:
            self.overlaps.withdraw(verdict)
            raise
        else:
            self.overlaps.confirm(verdict, rows)

    async def _start(
        self,
        verdict: Verdict,
        event: TriggerEvent,
        state: Mapping[tuple[str, str], bytes | None],
    ) -> Sequence[ExecutionRow]:
        starts, state = verdict.starts, {**state, **verdict.state}
        try:
            return await self._engine.start(starts, event=event, sensor_state=state)
        except ExecutionAlreadyExists as error:
            # Names follow from the event, so somebody has taken one by hand. The rest must start.
            _log.error("%s: %s", event.id, error)
            return await self._start_one_by_one(starts, event, state)

    def _start_of(self, trigger: Trigger, event: TriggerEvent) -> Start:
        return Start(
            machine=self._catalog.machine(trigger.state_machine),
            name=trigger.execution_name(event),
            input=trigger.input_for(event),
            trigger=trigger.name,
            cause=(event.source, event.id),
        )

    def _starts(self, listeners: Listeners, event: TriggerEvent) -> Iterable[tuple[Trigger, Start]]:
        for trigger in listeners.of(event):
            try:
                yield trigger, self._start_of(trigger, event)
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
    ) -> Sequence[ExecutionRow]:
        rows: list[ExecutionRow] = []
        for start in starts:
            try:
                rows += await self._engine.start([start])
            except ExecutionAlreadyExists:
                continue
        await self._engine.start([], event=event, sensor_state=state)
        return rows
