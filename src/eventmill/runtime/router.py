"""From a trigger event to the executions it starts, in one commit."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Final

from eventmill.errors import DuplicateEvent, ExecutionAlreadyExists
from eventmill.events import TriggerEvent
from eventmill.model import AuthorError
from eventmill.ports import Delivery, EventLog, Transaction
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.engine import Engine
from eventmill.runtime.overlap import Overlaps, Verdict
from eventmill.runtime.starting import Start
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger

_log: Final = logging.getLogger(__name__)


class Router:
    """Matches events against the triggers of their sensor, and those that listen to the bus."""

    def __init__(
        self, log: EventLog, engine: Engine, catalog: Catalog, bus: Listeners | None = None
    ) -> None:
        """Start what triggers say; those in `bus` are asked about every event."""
        self._bus = bus or Listeners(())
        self._events = log
        self._engine = engine
        self._catalog = catalog
        self.duplicates: Counter[str] = Counter()  # events that were there already, by sensor
        self.overlaps = Overlaps(log, engine, self._start_of)

    async def publish(
        self, sensor: str, listeners: Listeners, deliveries: Sequence[Delivery]
    ) -> None:
        """Make events durable with every execution they start; return after the commit.

        They come in order and in one transaction: all of them become durable, or none. An event
        that was published before starts nothing again, but what the sensor wants remembered is
        stored all the same.

        Raises:
            LogUnavailable: The disk refuses; nothing was stored.
        """
        state = {(sensor, key): value for each in deliveries for key, value in each.state.items()}
        events: dict[tuple[str, str], TriggerEvent] = {}
        for each in deliveries:
            event = replace(each.event, sensor=sensor)
            events.setdefault((event.source, event.id), event)
        self.duplicates[sensor] += len(deliveries) - len(events)
        taken: set[str] = set()
        while True:
            news = tuple(events.values())
            verdict = self.overlaps.admit(self._starts(listeners, news, taken))
            work = self._carry_out(verdict, news, state)
            try:
                await (work if verdict.is_plain else self.overlaps.carry_through(work))
            except DuplicateEvent as error:
                self.duplicates[sensor] += len(error.events)
                for known in error.events:
                    del events[known]
            except ExecutionAlreadyExists as error:
                if not error.arns:
                    raise
                # Names follow from the event, so somebody has taken them by hand. The rest starts.
                for arn in error.arns:
                    _log.error("the execution %s is there already: its event starts none", arn)
                taken.update(error.arns)
            else:
                return

    async def refuse(self, sensor: str, delivery: Delivery, reason: str) -> None:
        """Make an event durable that must start nothing, for this reason.

        Raises:
            LogUnavailable: The disk refuses; nothing was stored.
        """
        state = {(sensor, key): value for key, value in delivery.state.items()}
        try:
            event = replace(delivery.event, sensor=sensor)
            await self._engine.start([], events=[event], sensor_state=state)
        except DuplicateEvent:
            self.duplicates[sensor] += 1
            await self._events.commit(Transaction(sensor_state=state))

    async def _carry_out(
        self,
        verdict: Verdict,
        events: Sequence[TriggerEvent],
        state: Mapping[tuple[str, str], bytes | None],
    ) -> None:
        state = {**state, **verdict.state}
        try:
            rows = await self._engine.start(verdict.starts, events=events, sensor_state=state)
        except BaseException:
            self.overlaps.withdraw(verdict)
            raise
        self.overlaps.confirm(verdict, rows)

    def _start_of(self, trigger: Trigger, event: TriggerEvent) -> Start:
        return Start(
            machine=self._catalog.machine(trigger.state_machine),
            name=trigger.execution_name(event),
            input=trigger.input_for(event),
            trigger=trigger.name,
            cause=(event.source, event.id),
        )

    def _starts(
        self, listeners: Listeners, events: Iterable[TriggerEvent], taken: Set[str]
    ) -> Iterator[tuple[Trigger, Start]]:
        """What the events start, but for executions whose ARNs are `taken`, each once."""
        begun = {*taken}
        for event in events:
            for trigger in (*listeners.of(event), *self._bus.of(event)):
                try:
                    start = self._start_of(trigger, event)
                except AuthorError as error:
                    _log.error(
                        "the trigger %s cannot make an input of event %s: %s",
                        trigger.name,
                        event.id,
                        error.failure.cause,
                    )
                    continue
                arn = self._catalog.execution_arn(start.machine, start.name)
                if arn not in begun:
                    begun.add(arn)
                    yield trigger, start
