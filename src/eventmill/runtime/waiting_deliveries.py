"""Deliveries that wait in the log: who starts them, when their time has come, in which order.

An event for a trigger with a policy becomes a row that is WAITING, in the event's own commit. Here
such rows are decided one after the other, in order of arrival, each in one commit with what it
starts. So nothing is kept in memory but what runs, and a crash changes nothing: what waits goes on
waiting, and what runs is found in the log.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from eventmill.errors import (
    AuthorError,
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    LogUnavailable,
    StateMachineDoesNotExist,
)
from eventmill.events import TriggerEvent
from eventmill.machine.execution import RUNNING
from eventmill.model import Payload
from eventmill.ports import Clock, EventLog, Transaction
from eventmill.rows import DeliveryRow, ExecutionRow
from eventmill.runtime.engine import Engine
from eventmill.runtime.overlap import DEAD, SKIPPED, STARTED, WAITING, Overlaps, Verdict
from eventmill.runtime.starting import Start
from eventmill.triggers.policies import Batching, RetryPolicy
from eventmill.triggers.trigger import Trigger

_log: Final = logging.getLogger(__name__)


_PAGE: Final = 100
_RUNNING_PAGE: Final = 1_000
_PAUSE_MS: Final = 1_000
_EVER_MS: Final = 1 << 62

StartOf: TypeAlias = Callable[[Trigger, TriggerEvent], Start]
ArnOf: TypeAlias = Callable[[Start], str]
CarryOut: TypeAlias = Callable[[Verdict, Sequence[DeliveryRow]], Awaitable[Sequence[ExecutionRow]]]


class _Lane:
    """One trigger whose events may wait, and what its policies must know of its executions."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self.woken = asyncio.Event()
        self.running: set[int] = set()
        self.starts_ms: deque[int] = deque()  # those that RateLimit counts, oldest first

    def room(self, now_ms: int) -> int:
        """How many executions may start now, `_PAGE` at most."""
        policies, room = self.trigger.policies, _PAGE
        if policies.concurrency is not None:
            room = min(room, policies.concurrency - len(self.running))
        if policies.rate_limit is not None:
            while self.starts_ms and self.starts_ms[0] <= now_ms - policies.rate_limit.per_ms:
                self.starts_ms.popleft()
            room = min(room, policies.rate_limit.executions - len(self.starts_ms))
        return max(room, 0)

    def more_at_ms(self, now_ms: int) -> int:
        """When there may be room, if there is none now and nothing ends."""
        rate = self.trigger.policies.rate_limit
        if rate is None or len(self.starts_ms) < rate.executions:
            return _EVER_MS
        return max(self.starts_ms[0] + rate.per_ms, now_ms + 1)


class _Plan:
    """What is decided about some rows that wait, until it is durable."""

    def __init__(self) -> None:
        self.starts: dict[str, tuple[Start, list[DeliveryRow]]] = {}  # by ARN
        self.decided: list[DeliveryRow] = []

    @property
    def given_up(self) -> set[int]:
        """The ids of those that will start nothing."""
        return {row.id for row in self.decided if row.status != WAITING}

    def __bool__(self) -> bool:
        return bool(self.starts or self.decided)


class WaitingDeliveries:
    """Decides about the deliveries that wait, for all triggers that have such."""

    def __init__(
        self,
        log: EventLog,
        engine: Engine,
        overlaps: Overlaps,
        *,
        start_of: StartOf,
        arn_of: ArnOf,
        carry_out: CarryOut,
        batch_bytes_max: int,
    ) -> None:
        """Start what `start_of` makes of an event; `carry_out` makes it durable.

        A batch of several inputs has `batch_bytes_max` bytes at most.
        """
        self._events = log
        self._engine = engine
        self._overlaps = overlaps
        self._start_of = start_of
        self._arn_of = arn_of
        self._carry_out = carry_out
        self._batch_bytes_max = batch_bytes_max
        self._lanes: dict[str, _Lane] = {}
        self._watches: set[asyncio.Task[None]] = set()

    async def recover(self, triggers: Iterable[Trigger], clock: Clock) -> None:
        """Find out what runs and what started lately; before any event comes.

        Events that wait for a trigger that is switched off go on waiting. Those of a trigger that
        is not there any more become dead letters.
        """
        self._clock = clock
        known = {each.name: each for each in triggers}
        waiting = await self._events.waiting_triggers()
        for name in waiting:
            if name not in known:
                await self._bury(name)
        lanes = {
            each.name: _Lane(each)
            for each in known.values()
            if each.enabled
            and (each.policies.holds or each.policies.retry is not None or each.name in waiting)
        }
        await self._take_up(
            {n: each for n, each in lanes.items() if each.trigger.policies.concurrency is not None}
        )
        for lane in lanes.values():
            await self._recall_starts(lane)
        self._lanes = lanes

    def wake(self, trigger: str) -> None:
        """Take note that a delivery of a trigger waits, durably."""
        lane = self._lanes.get(trigger)
        if lane is not None:
            lane.woken.set()

    async def run(self) -> None:
        """Decide about all that waits, until cancelled.

        Raises:
            LogDamaged: The log cannot be trusted any more.
        """
        tasks = [asyncio.ensure_future(self._keep(lane)) for lane in self._lanes.values()]
        try:
            await asyncio.gather(*tasks)
        finally:
            ending = [*tasks, *self._watches]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def _keep(self, lane: _Lane) -> None:
        while True:
            lane.woken.clear()
            try:
                while await self._decide_some(lane):
                    pass
                at_ms = await self._look_again_ms(lane)
            except LogUnavailable as error:
                _log.warning("what waits for the trigger %s waits on: %s", lane.trigger.name, error)
                await self._clock.pause(_PAUSE_MS)
            else:
                await self._until(at_ms, lane.woken)

    async def _until(self, at_ms: int, woken: asyncio.Event) -> None:
        first: list[Coroutine[Any, Any, object]] = [woken.wait()]
        if at_ms < _EVER_MS:
            first.append(self._clock.sleep_until(at_ms))
        tasks = [asyncio.ensure_future(each) for each in first]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _look_again_ms(self, lane: _Lane) -> int:
        """When something may have to be decided, if nothing comes and nothing ends."""
        now_ms = self._clock.now_ms()
        head = await self._events.due_deliveries(_EVER_MS, trigger=lane.trigger.name, limit=1)
        if not head or head[0].due_ms is None:
            return _EVER_MS
        if lane.room(now_ms):
            return head[0].due_ms
        retry = lane.trigger.policies.retry
        old_ms = _EVER_MS if retry is None else retry.too_old_ms(head[0].since_ms)
        return min(lane.more_at_ms(now_ms), max(old_ms, head[0].due_ms))

    async def _decide_some(self, lane: _Lane) -> bool:
        """Decide about some that wait; return whether there were any to decide about."""
        plan, batching = _Plan(), lane.trigger.policies.batching
        if batching is None:
            await self._plan_singles(lane, plan)
        else:
            await self._plan_batch(lane, batching, plan)
        if plan:
            await self._make_durable(lane, plan)
        return bool(plan)

    async def _plan_singles(self, lane: _Lane, plan: _Plan) -> None:
        now_ms = self._clock.now_ms()
        room = lane.room(now_ms)
        rows = await self._events.due_deliveries(
            now_ms, trigger=lane.trigger.name, limit=min(room + 1, _PAGE)
        )
        for row in rows:
            start = await self._start_for(lane.trigger, row, plan)
            if start is None:
                continue
            if len(plan.starts) >= room:
                return
            arn = self._arn_of(start)
            if arn in plan.starts:
                plan.decided.append(self._as(SKIPPED, row, is_there(arn)))
            else:
                plan.starts[arn] = start, [row]

    async def _plan_batch(self, lane: _Lane, batching: Batching, plan: _Plan) -> None:
        """Plan one batch, if it is full or its time has come, and there is room."""
        now_ms = self._clock.now_ms()
        rows = [
            row
            for row in await self._events.due_deliveries(
                _EVER_MS, trigger=lane.trigger.name, limit=batching.size
            )
            if row.attempts == 0 or _is_due(row, now_ms)
        ]
        if len(rows) < batching.size and not any(_is_due(row, now_ms) for row in rows):
            return
        members: list[tuple[DeliveryRow, Start]] = []
        left = self._batch_bytes_max - 2
        for row in rows:
            start = await self._start_for(lane.trigger, row, plan)
            if start is None:
                continue
            left -= len(start.input) + 1
            if members and left < 0:
                break
            members.append((row, start))
        # With some of them gone the batch may have to wait on: that is seen when it is durable.
        if members and not plan.decided and lane.room(now_ms):
            start = _batch_of(lane.trigger, [each for _, each in members])
            plan.starts[self._arn_of(start)] = start, [row for row, _ in members]

    async def _start_for(self, trigger: Trigger, row: DeliveryRow, plan: _Plan) -> Start | None:
        """What one that waits may start; None if something else is decided, and planned."""
        retry = trigger.policies.retry
        if retry is not None and self._clock.now_ms() >= retry.too_old_ms(row.since_ms):
            plan.decided.append(self._as(DEAD, row, _too_old(retry, row)))
            return None
        received = await self._events.event(*row.event)
        if received is None:
            plan.decided.append(self._as(DEAD, row, "the event is no longer in the log"))
            return None
        forgone = await self._why_forgo(trigger, row, plan)
        if forgone is not None:
            plan.decided.append(self._as(SKIPPED, row, forgone))
            return None
        try:
            return self._start_of(trigger, received.event)
        except (AuthorError, StateMachineDoesNotExist) as error:
            plan.decided.append(after_failure(row, trigger, error, self._clock.now_ms()))
            return None

    async def _why_forgo(self, trigger: Trigger, row: DeliveryRow, plan: _Plan) -> str | None:
        """Why an event starts nothing because of one before it; None if it may start."""
        unique = trigger.policies.deduplication
        if unique is not None and row.dedup_key is not None:
            first = await self._accepted(row, plan, dedup_key=row.dedup_key)
            if first is not None and row.since_ms - first.since_ms < unique.window_ms:
                return f"the event {first.event[1]} came first with the same key (Deduplication)"
        if trigger.policies.skip_unchanged is not None and row.content_key is not None:
            last = await self._accepted(row, plan, content_key=row.content_key)
            if last is not None and last.content == row.content:
                return f"nothing has changed since the event {last.event[1]} (SkipUnchanged)"
        return None

    async def _accepted(
        self,
        row: DeliveryRow,
        plan: _Plan,
        *,
        dedup_key: str | None = None,
        content_key: str | None = None,
    ) -> DeliveryRow | None:
        """The last one before this that has started something, or will."""
        before_id = row.id
        while True:
            found = await self._events.accepted_delivery(
                row.trigger, before_id=before_id, dedup_key=dedup_key, content_key=content_key
            )
            if found is None or found.id not in plan.given_up:
                return found
            before_id = found.id

    async def _make_durable(self, lane: _Lane, plan: _Plan) -> None:
        taken: set[str] = set()
        while True:
            fresh = [start for arn, (start, _) in plan.starts.items() if arn not in taken]
            verdict = self._overlaps.admit([(lane.trigger, start) for start in fresh])
            rows = [*plan.decided, *self._decided_by(verdict, plan, taken, lane.trigger)]
            try:
                begun = await self._carry_out(verdict, rows)
            except ExecutionAlreadyExists as error:
                if not error.arns:
                    raise
                taken.update(error.arns)
            else:
                break
        for row in plan.decided:
            if row.status == DEAD:
                _log.error("the trigger %s starts nothing: %s", lane.trigger.name, row.reason)
        for execution in begun:
            self._note_begun(lane, execution)

    def _decided_by(
        self, verdict: Verdict, plan: _Plan, taken: set[str], trigger: Trigger
    ) -> Iterable[DeliveryRow]:
        admitted = {id(start) for start in verdict.starts}
        for arn, (start, rows) in plan.starts.items():
            for row in rows:
                if arn in taken:
                    yield self._as(SKIPPED, row, is_there(arn))
                elif id(start) in admitted:
                    reason = row.reason
                    if trigger.policies.batching is not None:
                        reason = f"one of {len(rows)} in a batch"
                    yield replace(self._as(STARTED, row, reason), execution=arn)
                else:
                    yield self._as(SKIPPED, row, f"Overlap is {trigger.overlap}")

    def _as(self, status: str, row: DeliveryRow, reason: str) -> DeliveryRow:
        row = replace(
            row, status=status, reason=reason, due_ms=None, decided_ms=self._clock.now_ms()
        )
        # Others are compared with what has started, not with what was skipped.
        if status == SKIPPED:
            return replace(row, dedup_key=None, content_key=None, content=None)
        return row

    # What runs, and what started lately

    def _note_begun(self, lane: _Lane, execution: ExecutionRow) -> None:
        if lane.trigger.policies.rate_limit is not None:
            lane.starts_ms.append(execution.start_ms)
        if lane.trigger.policies.concurrency is not None:
            self._note_running(lane, execution.id)

    def _note_running(self, lane: _Lane, execution: int) -> None:
        lane.running.add(execution)
        task = asyncio.get_running_loop().create_task(self._watch(lane, execution))
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    async def _watch(self, lane: _Lane, execution: int) -> None:
        """Wait for the end of an execution: then another may start."""
        while True:
            try:
                await self._engine.ended(execution)
            except LogUnavailable:
                await self._clock.pause(_PAUSE_MS)
                continue
            except ExecutionDoesNotExist:
                pass  # retention has removed it
            lane.running.discard(execution)
            lane.woken.set()
            return

    async def _take_up(self, lanes: Mapping[str, _Lane]) -> None:
        before_id: int | None = None
        while lanes:
            page = await self._events.executions(
                status=RUNNING, before_id=before_id, limit=_RUNNING_PAGE
            )
            for row in page:
                lane = lanes.get(row.trigger or "")
                if lane is not None:
                    self._note_running(lane, row.id)
            if len(page) < _RUNNING_PAGE:
                return
            before_id = page[-1].id

    async def _recall_starts(self, lane: _Lane) -> None:
        """Find what started within the window of RateLimit, newest first."""
        rate = lane.trigger.policies.rate_limit
        if rate is None:
            return
        after_ms = self._clock.now_ms() - rate.per_ms
        found: dict[str | None, int] = {}
        before_id: int | None = None
        while len(found) < rate.executions:
            page = await self._events.deliveries(
                trigger=lane.trigger.name, status=STARTED, before_id=before_id, limit=_PAGE
            )
            recent = [row for row in page if (row.decided_ms or 0) > after_ms]
            found |= {row.execution: row.decided_ms or 0 for row in recent}
            if len(recent) < _PAGE:
                break
            before_id = page[-1].id
        lane.starts_ms.extend(sorted(found.values()))

    async def _bury(self, trigger: str) -> None:
        """Let the events that wait for a trigger which is not there any more be dead letters."""
        reason = "the trigger is not there any more"
        while rows := await self._events.due_deliveries(_EVER_MS, trigger=trigger, limit=_PAGE):
            dead = [self._as(DEAD, row, reason) for row in rows]
            await self._events.commit(Transaction(deliveries=dead))


def _is_due(row: DeliveryRow, now_ms: int) -> bool:
    return row.due_ms is not None and row.due_ms <= now_ms


def _batch_of(trigger: Trigger, starts: Sequence[Start]) -> Start:
    """One start with the inputs of all, as an array; it names the event of the first."""
    causes = [start.cause for start in starts if start.cause is not None]
    return replace(
        starts[0],
        name=trigger.batch_name(causes),
        input=Payload(b"[" + b",".join(start.input.text for start in starts) + b"]"),
    )


def after_failure(
    row: DeliveryRow,
    trigger: Trigger,
    error: AuthorError | StateMachineDoesNotExist,
    now_ms: int,
) -> DeliveryRow:
    """What becomes of a delivery that could not start anything: tried again, or a dead letter."""
    retry, failed = trigger.policies.retry, row.attempts + 1
    due_ms = None
    # An input that cannot be made will not be made another time either.
    if retry is not None and isinstance(error, StateMachineDoesNotExist):
        due_ms = retry.next_ms(row.since_ms, failed, now_ms)
    return replace(
        row,
        status=DEAD if due_ms is None else WAITING,
        reason=reason_of(error),
        attempts=failed,
        due_ms=due_ms,
        decided_ms=now_ms if due_ms is None else None,
    )


def _too_old(retry: RetryPolicy, row: DeliveryRow) -> str:
    age = f"older than {retry.age_ms // 1000} seconds (MaximumEventAgeInSeconds)"
    return f"{age}; it waited: {row.reason}"


def reason_of(error: AuthorError | StateMachineDoesNotExist) -> str:
    """Why nothing can be started, for people."""
    if isinstance(error, AuthorError):
        return f"no input can be made of it: {error.failure.cause}"
    return str(error)


def is_there(arn: str) -> str:
    """Why an event starts nothing whose execution is there, for people."""
    return f"the execution {arn} is there already"
