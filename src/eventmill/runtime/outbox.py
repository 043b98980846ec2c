"""What executions put on the bus: durable in the commit of their start or end, published after it.

The event is kept as a mark among what the log remembers of sensors, under the name of the bus. When
it is published, the mark is taken away in the commit of all that it starts. So a crash in between
leaves the mark, and the next server publishes it; one after that leaves nothing to do.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from eventmill.errors import LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.machine.execution import RUNNING, Execution
from eventmill.model import decode_json, encode_json
from eventmill.ports import Clock, Delivery, EventLog, Outcome
from eventmill.rows import ExecutionRow
from eventmill.runtime.status_changes import SOURCE, StatusChanges

_log: Final = logging.getLogger(__name__)

BUS: Final = "bus"
"""The name under which events without a sensor are published, and the marks kept."""

_AT_ONCE: Final = 64
_KNOWN_MAX: Final = 10_000
_PAUSE_MS: Final = 1_000

_State: TypeAlias = Mapping[tuple[str, str], bytes | None]
Put: TypeAlias = Callable[[Delivery, str | None], Awaitable[None]]
"""Publishes an event of the outbox; with a reason it must start nothing."""


class Notice:
    """What a transaction puts on the bus: `marks` go into it."""

    def __init__(self, outbox: "Outbox", events: Sequence[TriggerEvent]) -> None:
        self._outbox = outbox
        self._events = events
        self.marks: _State = {(BUS, event.id): _written(event) for event in events}

    def ahead_of(self, outcome: Outcome) -> Outcome:
        """Who is to be told of the transaction, when the outbox is told first."""

        def told(error: Exception | None) -> None:
            if error is None:
                self._outbox.send(self._events)
            outcome(error)

        return told


class Outbox:
    """The events of executions, on their way to the bus."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        changes: StatusChanges,
        *,
        hops_max: int,
        in_memory_max: int = 1_000,
    ) -> None:
        """Tell of `changes`; what more than `hops_max` executions led to starts nothing.

        Of what waits `in_memory_max` events are kept in memory; the others stand in the log.
        """
        self._events = log
        self._clock = clock
        self._changes = changes
        self._hops_max = hops_max
        self._in_memory_max = in_memory_max
        self._waiting: dict[str, TriggerEvent] = {}
        self._has_more = True  # there may be marks that are not in memory
        self._woken = asyncio.Event()
        self._hops: dict[str, int] = {}

    @property
    def in_memory(self) -> int:
        """How many events wait that need not be read from the log."""
        return len(self._waiting)

    def begun(self, executions: Sequence[tuple[ExecutionRow, Execution]]) -> Notice | None:
        """What new executions put on the bus; those that have ended at once tell of both."""
        events = []
        for row, execution in executions:
            for status in dict.fromkeys((RUNNING, execution.status)):
                event = self._changes.of(row, execution, status)
                if event is not None:
                    events.append(event)
        return Notice(self, events) if events else None

    def ended(self, row: ExecutionRow, execution: Execution) -> Notice | None:
        """What an execution puts on the bus as it ends."""
        event = self._changes.of(row, execution, execution.status)
        return None if event is None else Notice(self, (event,))

    def send(self, events: Sequence[TriggerEvent]) -> None:
        """Publish events soon whose marks are durable."""
        for event in events:
            if len(self._waiting) < self._in_memory_max:
                self._waiting[event.id] = event
            else:
                self._has_more = True  # they are read when there is room
        self._woken.set()

    async def run(self, put: Put) -> None:
        """Publish what is there and what comes, until cancelled."""
        while True:
            try:
                await self._work_off(put)
            except LogUnavailable as error:
                _log.warning("the bus waits: %s", error)
                await self._clock.pause(_PAUSE_MS)
            else:
                await self._woken.wait()

    async def _work_off(self, put: Put) -> None:
        self._woken.clear()
        while self._waiting or self._has_more:
            if not self._waiting:
                await self._recall()
            batch = list(self._waiting.values())[:_AT_ONCE]
            outcomes = await asyncio.gather(
                *(self._publish(event, put) for event in batch), return_exceptions=True
            )
            for error in outcomes:
                if error is not None:
                    raise error

    async def _recall(self) -> None:
        """Read the marks that are not in memory."""
        self._has_more = False
        marks = await self._events.sensor_state(BUS, limit=self._in_memory_max)
        for event in map(_read, marks.values()):
            self._waiting[event.id] = event
        if len(marks) == self._in_memory_max:
            self._has_more = True

    async def _publish(self, event: TriggerEvent, put: Put) -> None:
        point("before-outbox")
        hops = await self._count(event)
        reason = None
        if hops > self._hops_max:
            reason = (
                f"{hops} executions led to it, each started by a status change of the one before; "
                f"events.hops_max allows {self._hops_max}"
            )
            _log.error("the event %s of %s starts nothing: %s", event.id, _cause(event), reason)
        await put(Delivery(event=event, state={event.id: None}), reason)
        point("after-outbox")
        self._waiting.pop(event.id, None)

    async def _count(self, event: TriggerEvent) -> int:
        """How many executions led to an event, each started by a status change of the one before.

        The log tells; what is counted once is remembered, so that a chain costs one look a hop.
        """
        hops, told = 0, event
        while hops <= self._hops_max:
            known = self._hops.get(told.id)
            if known is not None:
                hops += known
                break
            hops += 1
            cause = await self._led_to(told)
            found = (
                None if cause is None or cause[0] != SOURCE else await self._events.event(*cause)
            )
            if found is None:
                break
            told = found.event
        if len(self._hops) >= _KNOWN_MAX:
            self._hops.pop(next(iter(self._hops)))
        self._hops[event.id] = hops
        return hops

    async def _led_to(self, event: TriggerEvent) -> tuple[str, str] | None:
        """The event that has started the execution that `event` tells of."""
        row = await self._events.execution(_cause(event))
        while row is not None and row.child is not None:
            row = await self._events.execution_by_id(row.child.execution)
        return None if row is None else row.event


def _cause(event: TriggerEvent) -> str:
    """The ARN of the execution that an event tells of."""
    return str(event.detail.get("executionArn"))


def _written(event: TriggerEvent) -> bytes:
    return encode_json({"at_ms": event.at_ms, **event.envelope()})


def _read(mark: bytes) -> TriggerEvent:
    read = decode_json(mark)
    assert isinstance(read, dict)
    at_ms, resources, detail = read["at_ms"], read["resources"], read["detail"]
    assert isinstance(at_ms, int)
    assert isinstance(resources, list)
    assert isinstance(detail, dict)
    return TriggerEvent(
        id=str(read["id"]),
        source=str(read["source"]),
        detail_type=str(read["detail-type"]),
        at_ms=at_ms,
        account=str(read["account"]),
        region=str(read["region"]),
        resources=tuple(map(str, resources)),
        detail=detail,
    )
