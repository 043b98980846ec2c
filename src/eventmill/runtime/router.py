"""From a trigger event to the executions it starts, in one commit."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Final, TypeAlias

from eventmill.errors import (
    AuthorError,
    DuplicateEvent,
    ExecutionAlreadyExists,
    StateMachineDoesNotExist,
)
from eventmill.events import TriggerEvent
from eventmill.ports import Clock, Delivery, EventLog, Transaction
from eventmill.rows import DeliveryRow, ExecutionRow
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.engine import Engine
from eventmill.runtime.overlap import DEAD, SKIPPED, STARTED, WAITING, Overlaps, Verdict
from eventmill.runtime.starting import Start
from eventmill.runtime.waiting_deliveries import (
    WaitingDeliveries,
    after_failure,
    is_there,
    reason_of,
)
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger

_log: Final = logging.getLogger(__name__)

_State: TypeAlias = Mapping[tuple[str, str], bytes | None]


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
        self._redriving = asyncio.Lock()
        self.duplicates: Counter[str] = Counter()  # events that were there already, by sensor
        self.overlaps = Overlaps(log, engine, self._start_of)
        self.waiting = WaitingDeliveries(
            log,
            engine,
            self.overlaps,
            start_of=self._start_of,
            arn_of=lambda start: catalog.execution_arn(start.machine, start.name),
            carry_out=lambda verdict, rows: self._carry_out(verdict, (), {}, rows),
            batch_bytes_max=catalog.payload_bytes_max,
        )

    async def recover(self, triggers: Sequence[Trigger], clock: Clock) -> None:
        """Find out what runs and what waits, and go on from there; before any event comes."""
        await self.overlaps.recover(triggers, clock)
        await self.waiting.recover(triggers, clock)

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
            is_plain = verdict.is_plain and not any(row.status == WAITING for row in rows)
            try:
                await (work if is_plain else self.overlaps.carry_through(work))
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

        It is a dead letter for each trigger on the bus that it would start something for.

        Raises:
            LogUnavailable: The disk refuses; nothing was stored.
        """
        state = {(sensor, key): value for key, value in delivery.state.items()}
        try:
            event = delivery.event.published_by(sensor)
            dead = [self._decided(each, event, DEAD, reason) for each in self._bus.of(event)]
            await self._engine.start([], events=[event], sensor_state=state, deliveries=dead)
        except DuplicateEvent:
            self.duplicates[sensor] += 1
            await self._events.commit(Transaction(sensor_state=state))

    async def _carry_out(
        self,
        verdict: Verdict,
        events: Sequence[TriggerEvent],
        state: _State,
        decided: Sequence[DeliveryRow],
    ) -> Sequence[ExecutionRow]:
        state = {**state, **verdict.state}
        try:
            rows = await self._engine.start(
                verdict.starts, events=events, sensor_state=state, deliveries=decided
            )
        except BaseException:
            self.overlaps.withdraw(verdict)
            raise
        self.overlaps.confirm(verdict, rows)
        for row in decided:
            if row.status == WAITING:
                self.waiting.wake(row.trigger)
        return rows

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
                    if trigger.policies.holds:
                        rows.append(self._held(trigger, event))
                        continue
                    start = self._start_of(trigger, event)
                except (AuthorError, StateMachineDoesNotExist) as error:
                    held = self._arrived(trigger, event)
                    rows.append(after_failure(held, trigger, error, self._engine.now_ms()))
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
                    rows.append(self._decided(trigger, event, SKIPPED, is_there(arn)))

    def _decided(
        self, trigger: Trigger, event: TriggerEvent, status: str, reason: str
    ) -> DeliveryRow:
        arrived = self._arrived(trigger, event)
        return replace(
            arrived,
            status=status,
            reason=reason,
            attempts=1,
            due_ms=None,
            decided_ms=arrived.since_ms,
        )

    def _held(self, trigger: Trigger, event: TriggerEvent) -> DeliveryRow:
        keys = trigger.policies.keys_of(event)
        return replace(
            self._arrived(trigger, event),
            dedup_key=keys.dedup,
            content_key=keys.content_key,
            content=keys.content,
        )

    def _arrived(self, trigger: Trigger, event: TriggerEvent) -> DeliveryRow:
        now_ms = self._engine.now_ms()
        return DeliveryRow(
            event=(event.source, event.id),
            trigger=trigger.name,
            status=WAITING,
            reason="its trigger has policies",
            since_ms=now_ms,
            due_ms=now_ms + trigger.policies.gathering_ms,
        )

    async def redrive(self, trigger: Trigger, dead: DeliveryRow) -> DeliveryRow:
        """Try again to start what a dead letter of this trigger was to start; return its new row.

        It is durable in the same commit as the execution. When the start is impossible still, the
        row stays DEAD and says why. A trigger with policies lets it wait again, as if it came now.
        One that was sent again before is left as it is.

        Raises:
            LogUnavailable: The disk refuses; nothing was started.
        """
        return await self.overlaps.carry_through(self._redrive(trigger, dead))

    async def _redrive(self, trigger: Trigger, dead: DeliveryRow) -> DeliveryRow:
        async with self._redriving:  # else two at once would both find it dead
            known = await self._events.deliveries(event=dead.event, trigger=dead.trigger, limit=1)
            if known and known[0].status != DEAD:
                return known[0]
            return await self._try_again(trigger, dead)

    async def _try_again(self, trigger: Trigger, dead: DeliveryRow) -> DeliveryRow:
        now_ms = self._engine.now_ms()
        row = replace(
            dead, since_ms=now_ms, decided_ms=now_ms, due_ms=None, attempts=dead.attempts + 1
        )
        received = await self._events.event(*dead.event)
        if received is None:
            return await self._store(replace(row, reason="the event is no longer in the log"))
        try:
            if trigger.policies.holds:
                row = replace(self._held(trigger, received.event), reason="sent again")
                await self._carry_out(Verdict(), (), {}, [row])
                return row
            start = self._start_of(trigger, received.event)
        except (AuthorError, StateMachineDoesNotExist) as error:
            return await self._store(replace(row, reason=reason_of(error)))
        return await self._start_again(trigger, start, row)

    async def _start_again(self, trigger: Trigger, start: Start, row: DeliveryRow) -> DeliveryRow:
        arn = self._catalog.execution_arn(start.machine, start.name)
        verdict = self.overlaps.admit([(trigger, start)])
        if verdict.starts:
            row = replace(row, status=STARTED, reason="sent again", execution=arn)
        elif verdict.waiting:
            reason = f"Overlap is {trigger.overlap}: it waits until nothing of its trigger runs"
            row = replace(row, status=WAITING, reason=reason, decided_ms=None, execution=arn)
            verdict.waits(row)
        else:
            row = replace(row, status=SKIPPED, reason=f"Overlap is {trigger.overlap}")
        try:
            await self._carry_out(verdict, (), {}, [row])
        except ExecutionAlreadyExists:
            skipped = replace(row, status=SKIPPED, reason=is_there(arn), execution=None)
            return await self._store(skipped)
        return row

    async def _store(self, row: DeliveryRow) -> DeliveryRow:
        await self._events.commit(Transaction(deliveries=[row]))
        return row
