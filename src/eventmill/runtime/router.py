"""From a trigger event to the executions it starts, in one commit."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Final

from eventmill.errors import DuplicateEvent, ExecutionAlreadyExists, StateMachineDoesNotExist
from eventmill.events import TriggerEvent
from eventmill.model import AuthorError
from eventmill.ports import Delivery, DeliveryRow, EventLog, Transaction
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.engine import Engine
from eventmill.runtime.overlap import Overlaps, Verdict
from eventmill.runtime.starting import Start
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger

_log: Final = logging.getLogger(__name__)

STARTED: Final = "STARTED"
SKIPPED: Final = "SKIPPED"
DEAD: Final = "DEAD"
_THERE: Final = "the execution {} is there already"


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
            event = each.event.published_by(sensor)
            events.setdefault((event.source, event.id), event)
        self.duplicates[sensor] += len(deliveries) - len(events)
        taken: set[str] = set()
        while True:
            news = tuple(events.values())
            rows: list[DeliveryRow] = []
            verdict = self.overlaps.admit(self._starts(listeners, news, taken, rows))
            work = self._carry_out(verdict, news, state, rows)
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
            event = delivery.event.published_by(sensor)
            await self._engine.start([], events=[event], sensor_state=state)
        except DuplicateEvent:
            self.duplicates[sensor] += 1
            await self._events.commit(Transaction(sensor_state=state))

    async def _carry_out(
        self,
        verdict: Verdict,
        events: Sequence[TriggerEvent],
        state: Mapping[tuple[str, str], bytes | None],
        decided: Sequence[DeliveryRow],
    ) -> None:
        state = {**state, **verdict.state}
        try:
            rows = await self._engine.start(
                verdict.starts, events=events, sensor_state=state, deliveries=decided
            )
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
        self,
        listeners: Listeners,
        events: Iterable[TriggerEvent],
        taken: Set[str],
        rows: list[DeliveryRow],
    ) -> Iterator[tuple[Trigger, Start]]:
        """What the events start, but for executions whose ARNs are `taken`, each once.

        What starts nothing, and why, is added to `rows`.
        """
        begun = {*taken}
        for event in events:
            for trigger in (*listeners.of(event), *self._bus.of(event)):
                try:
                    start = self._start_of(trigger, event)
                except (AuthorError, StateMachineDoesNotExist) as error:
                    rows.append(self._decided(trigger, event, DEAD, _reason(error)))
                    _log.error(
                        "the trigger %s starts nothing for event %s: %s",
                        trigger.name,
                        event.id,
                        rows[-1].reason,
                    )
                    continue
                arn = self._catalog.execution_arn(start.machine, start.name)
                if arn not in begun:
                    begun.add(arn)
                    yield trigger, start
                else:
                    rows.append(self._decided(trigger, event, SKIPPED, _THERE.format(arn)))

    def _decided(
        self, trigger: Trigger, event: TriggerEvent, status: str, reason: str
    ) -> DeliveryRow:
        now_ms = self._engine.now_ms()
        return DeliveryRow(
            event=(event.source, event.id),
            trigger=trigger.name,
            status=status,
            reason=reason,
            since_ms=now_ms,
            attempts=1,
            decided_ms=now_ms,
        )

    async def redrive(self, trigger: Trigger, dead: DeliveryRow) -> DeliveryRow:
        """Try again to start what a dead letter of this trigger was to start; return its new row.

        It is durable in the same commit as the execution. When the start is impossible still, the
        row stays DEAD and says why.

        Raises:
            LogUnavailable: The disk refuses; nothing was started.
        """
        now_ms = self._engine.now_ms()
        row = replace(
            dead, since_ms=now_ms, decided_ms=now_ms, due_ms=None, attempts=dead.attempts + 1
        )
        received = await self._events.event(*dead.event)
        if received is None:
            return await self._store(replace(row, reason="the event is no longer in the log"))
        try:
            start = self._start_of(trigger, received.event)
        except (AuthorError, StateMachineDoesNotExist) as error:
            return await self._store(replace(row, reason=_reason(error)))
        return await self.overlaps.carry_through(self._redrive(trigger, start, row))

    async def _redrive(self, trigger: Trigger, start: Start, row: DeliveryRow) -> DeliveryRow:
        arn = self._catalog.execution_arn(start.machine, start.name)
        verdict = self.overlaps.admit([(trigger, start)])
        if verdict.starts:
            row = replace(row, status=STARTED, reason="sent again", execution=arn)
        else:
            row = replace(row, status=SKIPPED, reason=f"Overlap is {trigger.overlap}")
        try:
            await self._carry_out(verdict, (), {}, [row])
        except ExecutionAlreadyExists:
            (known,) = await self._events.deliveries(event=row.event, trigger=row.trigger)
            if known.status != DEAD:  # somebody else has sent it again meanwhile
                return known
            skipped = replace(row, status=SKIPPED, reason=_THERE.format(arn), execution=None)
            return await self._store(skipped)
        return row

    async def _store(self, row: DeliveryRow) -> DeliveryRow:
        await self._events.commit(Transaction(deliveries=[row]))
        return row


def _reason(error: AuthorError | StateMachineDoesNotExist) -> str:
    if isinstance(error, AuthorError):
        return f"no input can be made of it: {error.failure.cause}"
    return str(error)
