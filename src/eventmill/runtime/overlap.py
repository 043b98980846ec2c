"""What becomes of an event while an execution that its trigger started before still runs.

The decision is made in the event loop, without waiting, and becomes durable in the same commit as
the event. So every event is decided once, and what was decided can be read from the log:

* `skip`: the event starts nothing.
* `buffer-one`: one event waits until nothing of its trigger runs; those after it start nothing.
* `cancel-other`: the event starts its execution, and the others of its trigger are stopped.

Only executions that events have started count, not those that somebody starts by hand.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias, TypeVar

from eventmill.errors import (
    AuthorError,
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    LogUnavailable,
    StateMachineDoesNotExist,
)
from eventmill.events import TriggerEvent
from eventmill.machine.execution import RUNNING
from eventmill.model import Json, decode_json, encode_json
from eventmill.ports import Clock, EventLog, Transaction
from eventmill.record import record
from eventmill.rows import DeliveryRow, ExecutionRow
from eventmill.runtime.engine import Engine
from eventmill.runtime.starting import Start
from eventmill.triggers.overlap import ALLOW, BUFFER_ONE, CANCEL_OTHER
from eventmill.triggers.trigger import Trigger

_log: Final = logging.getLogger(__name__)

_T = TypeVar("_T")

# What becomes of an event for a trigger.
WAITING: Final = "WAITING"
STARTED: Final = "STARTED"
SKIPPED: Final = "SKIPPED"
DEAD: Final = "DEAD"

SKIPPED_KEPT_MAX: Final = 1_000
_BUFFERED: Final = "buffered-"
_SKIPPED: Final = "skipped-"
_WAITED: Final = "it waited until nothing of its trigger ran"
_PAGE: Final = 1_000
_PAUSE_MS: Final = 1_000

_Event: TypeAlias = tuple[str, str]  # (source, id)
_State: TypeAlias = dict[tuple[str, str], bytes | None]
StartOf: TypeAlias = Callable[[Trigger, TriggerEvent], Start]


@record
class Skipped:
    """An event that started nothing, by its source and id, and the execution that ran then."""

    number: int
    event: _Event
    execution: str


class _Waiting:
    """An event that waits, as the start that it will be, and its key in the log.

    `row` is its delivery, if it has one: a dead letter that was sent again has.
    """

    def __init__(
        self, start: Start, key: str, *, is_durable: bool, row: DeliveryRow | None = None
    ) -> None:
        self.start = start
        self.key = key
        self.is_durable = is_durable
        self.row = row

    def decided(self, status: str, reason: str, now_ms: int) -> list[DeliveryRow]:
        """What is stored of its delivery when the waiting is over."""
        if self.row is None:
            return []
        return [replace(self.row, status=status, reason=reason, decided_ms=now_ms)]


class _Lane:
    """The executions of one trigger that run or are being started, and the event that waits."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self.taken: dict[str, ExecutionRow | None] = {}  # by name; None until it is durable
        self.waiting: list[_Waiting] = []  # one; two if the last server ended as it started one
        self.beginning: _Event | None = None  # it waited, and its execution is not durable yet
        self.decided = 0  # how many events were skipped or had to wait

    @property
    def memory(self) -> str:
        return memory_of(self.trigger)


class Verdict:
    """What was decided about the starts of some events, until it is known to be durable or not."""

    def __init__(self) -> None:
        self.starts: list[Start] = []  # in order
        self.state: _State = {}
        self.begun: list[tuple[_Lane, Start]] = []
        self.waiting: list[tuple[_Lane, _Waiting]] = []

    @property
    def is_plain(self) -> bool:
        """Whether nobody needs to know what becomes of it."""
        return not self.begun and not self.waiting

    def waits(self, row: DeliveryRow) -> None:
        """Store `row` of the event that waits as decided once the waiting is over."""
        ((_, waiting),) = self.waiting
        waiting.row = row


class Overlaps:
    """Decides about overlaps for all triggers that do not simply allow them."""

    def __init__(self, log: EventLog, engine: Engine, start_of: StartOf) -> None:
        """Start with `start_of` what an event of the log has waited for."""
        self._events = log
        self._clock: Clock | None = None
        self._engine = engine
        self._start_of = start_of
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def recover(self, triggers: Iterable[Trigger], clock: Clock) -> None:
        """Find out what runs, and go on where the last server ended; before any event comes."""
        self._clock = clock
        lanes = {each.name: _Lane(each) for each in triggers if each.overlap != ALLOW}
        if lanes:
            await self._take_up(lanes)
        for lane in lanes.values():
            await self._recall(lane, await self._events.sensor_state(lane.memory))
            self._stop_others(lane)
            self._next(lane)
        self._lanes = lanes

    def admit(self, wished: Iterable[tuple[Trigger, Start]]) -> Verdict:
        """Decide about what events would start; `confirm` or `withdraw` must follow."""
        verdict = Verdict()
        for trigger, start in wished:
            lane = self._lanes.get(trigger.name)
            if lane is None:
                verdict.starts.append(start)
            elif not lane.taken or trigger.overlap == CANCEL_OTHER:
                if start.name not in lane.taken:
                    lane.taken[start.name] = None
                    verdict.begun.append((lane, start))
                verdict.starts.append(start)
            elif trigger.overlap == BUFFER_ONE and not lane.waiting:
                key, told = _decision(lane, _BUFFERED, start)
                waiting = _Waiting(start, key, is_durable=False)
                lane.waiting.append(waiting)
                verdict.waiting.append((lane, waiting))
                verdict.state[lane.memory, key] = told
            else:
                key, told = _decision(lane, _SKIPPED, start)
                verdict.state[lane.memory, key] = told
        return verdict

    def confirm(self, verdict: Verdict, rows: Sequence[ExecutionRow]) -> None:
        """Take note that what was decided is durable; `rows` are the executions begun."""
        by_name = {row.name: row for row in rows}
        for lane, start in verdict.begun:
            row = by_name.get(start.name)
            if row is None:
                lane.taken.pop(start.name, None)  # its name was taken
            else:
                lane.taken[start.name] = row
                self._spawn(self._wait(lane, row))
                self._stop_others(lane)
            self._next(lane)
        for lane, waiting in verdict.waiting:
            waiting.is_durable = True
            self._next(lane)

    def withdraw(self, verdict: Verdict) -> None:
        """Take note that nothing of it became durable."""
        for lane, waiting in verdict.waiting:
            lane.waiting.remove(waiting)
        for lane, start in verdict.begun:
            lane.taken.pop(start.name, None)
            self._next(lane)

    def holds_back(self, source: str, event_id: str) -> bool:
        """Whether an event waits, or what it waited for is not durable yet."""
        event = (source, event_id)
        return any(
            lane.beginning == event or any(each.start.cause == event for each in lane.waiting)
            for lane in self._lanes.values()
        )

    async def carry_through(self, work: Coroutine[None, None, _T]) -> _T:
        """Do work to its end, also when nobody waits for it any more."""
        task = self._spawn(work)
        # Whoever has gone does not hear what went wrong.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End; what waits is in the log."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _next(self, lane: _Lane) -> None:
        """Start what waits, if its time has come."""
        if lane.waiting and lane.waiting[0].is_durable and not lane.taken:
            waiting = lane.waiting.pop(0)
            lane.taken[waiting.start.name] = None
            lane.beginning = waiting.start.cause
            self._spawn(self._start_waiting(lane, waiting))

    async def _start_waiting(self, lane: _Lane, waiting: _Waiting) -> None:
        name, done = waiting.start.name, {(lane.memory, waiting.key): None}
        now_ms = self._engine.now_ms()
        while True:
            try:
                try:
                    (row,) = await self._engine.start(
                        [waiting.start],
                        sensor_state=done,
                        deliveries=waiting.decided(STARTED, _WAITED, now_ms),
                    )
                except ExecutionAlreadyExists:
                    rows = waiting.decided(SKIPPED, "the name of its execution was taken", now_ms)
                    await self._events.commit(Transaction(sensor_state=done, deliveries=rows))
                    lane.taken.pop(name)
                    lane.beginning = None
                    self._next(lane)
                    return
            except LogUnavailable:
                await self._pause()
                continue
            lane.taken[name] = row
            lane.beginning = None
            self._spawn(self._wait(lane, row))
            return

    async def _pause(self) -> None:
        assert self._clock is not None
        await self._clock.pause(_PAUSE_MS)

    async def _wait(self, lane: _Lane, row: ExecutionRow) -> None:
        while True:
            try:
                await self._engine.ended(row.id)
            except LogUnavailable:
                await self._pause()
                continue
            except ExecutionDoesNotExist:
                pass  # retention has removed it
            lane.taken.pop(row.name, None)
            self._next(lane)
            return

    def _stop_others(self, lane: _Lane) -> None:
        """Stop all executions of a trigger but the newest, where its policy says so."""
        rows = [row for row in lane.taken.values() if row is not None]
        if lane.trigger.overlap != CANCEL_OTHER or len(rows) < 2:
            return
        newest = max(rows, key=lambda row: row.id)
        for row in rows:
            if row is not newest:
                cause = f"The trigger {lane.trigger.name} has started {newest.arn}"
                self._spawn(self._stop(row, cause))

    async def _stop(self, row: ExecutionRow, cause: str) -> None:
        await self._engine.stop(row.arn, "Eventmill.Overlap", cause)

    async def _take_up(self, lanes: Mapping[str, _Lane]) -> None:
        """Find the executions that run, oldest first."""
        found: list[tuple[_Lane, ExecutionRow]] = []
        before_id: int | None = None
        while True:
            page = await self._events.executions(status=RUNNING, before_id=before_id, limit=_PAGE)
            for row in page:
                lane = lanes.get(row.trigger or "")
                if lane is not None:
                    found.append((lane, row))
            if len(page) < _PAGE:
                break
            before_id = page[-1].id
        for lane, row in reversed(found):
            lane.taken[row.name] = row
            self._spawn(self._wait(lane, row))

    async def _recall(self, lane: _Lane, state: Mapping[str, bytes]) -> None:
        """Take up what was decided before."""
        decided = sorted((*_decided(each), key) for key, each in state.items())
        for number, source, event_id, _, key in decided:
            lane.decided = number
            if not key.startswith(_BUFFERED):
                continue
            found = await self._events.event(source, event_id)
            if found is None:
                continue  # retention has removed it
            try:
                start = self._start_of(lane.trigger, found.event)
            except (AuthorError, StateMachineDoesNotExist) as error:
                _log.error("the event %s that waits cannot start anything: %s", event_id, error)
                continue
            rows = await self._events.deliveries(
                event=(source, event_id), trigger=lane.trigger.name, limit=1
            )
            row = rows[0] if rows and rows[0].status == WAITING else None
            lane.waiting.append(_Waiting(start, key, is_durable=True, row=row))

    def _spawn(self, work: Coroutine[None, None, _T]) -> "asyncio.Task[_T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _decision(lane: _Lane, kind: str, start: Start) -> tuple[str, bytes]:
    """The key and the text of what is remembered of an event that starts nothing now."""
    assert start.cause is not None
    lane.decided += 1
    told: Json = [lane.decided, *start.cause, next(reversed(lane.taken))]
    return f"{kind}{lane.decided % SKIPPED_KEPT_MAX:03}", encode_json(told)


def _decided(value: bytes) -> tuple[int, str, str, str]:
    told = decode_json(value)
    assert isinstance(told, list)
    number, source, event_id, execution = told
    assert isinstance(number, int)
    return number, str(source), str(event_id), str(execution)


def memory_of(trigger: Trigger) -> str:
    """Under which the log remembers what was decided, beside what sensors remember."""
    return f"overlap:{trigger.name}"


async def skipped(log: EventLog, trigger: Trigger) -> list[Skipped]:
    """The events that started nothing because of the trigger's overlap policy, oldest first.

    At most the newest `SKIPPED_KEPT_MAX` are kept.
    """
    state = await log.sensor_state(memory_of(trigger))
    return [
        Skipped(number=number, event=(source, event_id), execution=execution)
        for number, source, event_id, execution in sorted(
            _decided(value) for key, value in state.items() if key.startswith(_SKIPPED)
        )
    ]
