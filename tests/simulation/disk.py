"""The log of a simulation: what the disk holds outlives every server, and the disk has moods."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from eventmill.errors import AppendConflict, LogUnavailable
from eventmill.log.memory import MemoryEventLog
from eventmill.log.outcomes import awaited
from eventmill.ports import Outcome, Transaction
from eventmill.rows import (
    ChildHistory,
    DeliveryRow,
    ExecutionHistory,
    ExecutionRow,
    InboxEvent,
    MapRunRow,
    Progress,
    Snapshot,
    StepRow,
    StoredStep,
)
from tests.simulation.timeline import Chaos, SimulatedClock, Trace

_T = TypeVar("_T")
_SHOCKS_MAX = 3
_SHOCK_AFTER_MS = 100  # in the middle of the pause that follows a refusal
_SHOCK_MS = -3_600_000
_Handed = tuple[Transaction, Outcome]


class Disk:
    """What is durable, and how the disk feels."""

    def __init__(self, clock: SimulatedClock, chaos: Chaos, trace: Trace) -> None:
        self.memory = MemoryEventLog()
        self.clock, self.chaos, self.trace = clock, chaos, trace
        self.is_full = False  # nothing can be written
        self.is_away = False  # nor read
        self.conflicts: set[int] = set()  # executions that somebody else seemed to extend
        self.ids: list[int] = []  # of all executions, in the order in which they began
        self.running: set[int] = set()  # executions that have durably begun, and not ended
        self.sensor_state: dict[tuple[str, str], bytes | None] = {}
        # When something ended, by the time that really passes.
        self.executions_ended: dict[int, int] = {}
        self.map_runs_ended: dict[tuple[int, int], int] = {}
        self._map_run_of: dict[int, tuple[int, int]] = {}
        self._shocks = 0
        self.children: defaultdict[tuple[int, int], set[int]] = defaultdict(set)  # that run
        self.most_at_once: defaultdict[tuple[int, int], int] = defaultdict(int)

    def store(self, transaction: Transaction) -> "asyncio.Future[None]":
        """Make a transaction durable, or refuse it, by the next turn but one."""
        stored = self.memory.commit(transaction)
        stored.add_done_callback(partial(self._count, transaction))
        return stored

    def _count(self, transaction: Transaction, stored: "asyncio.Future[None]") -> None:
        error = stored.exception()
        self.trace.note(f"disk: {described(transaction)}{f' refused: {error}' if error else ''}")
        if error is None:
            self.ids += [row.id for row in transaction.created]
            finished = transaction.finished or {}
            self._begin([row for row in transaction.created if row.id not in finished])
            for id in finished:
                self._end(id)
            for key, change in (transaction.map_run_changes or {}).items():
                if change.status is not None:
                    self.map_runs_ended[key] = self.clock.steady.now_ms()
            self.sensor_state.update(transaction.sensor_state or {})

    def refused(self) -> None:
        """Somebody has been refused, and may pause now: the clock may be set meanwhile."""
        if self._shocks < _SHOCKS_MAX and self.chaos.strikes(self.chaos.plan.shock):
            self._shocks += 1
            self.clock.call_later(_SHOCK_AFTER_MS, self._shock)

    def _shock(self) -> None:
        self.trace.note(f"clock: is set by {_SHOCK_MS} ms")
        self.clock.leap(_SHOCK_MS)

    def _begin(self, rows: Sequence[ExecutionRow]) -> None:
        for row in rows:
            self.running.add(row.id)
            if row.child is not None:
                key = (row.child.execution, row.child.map_run)
                self._map_run_of[row.id] = key
                self.children[key].add(row.id)
                self.most_at_once[key] = max(self.most_at_once[key], len(self.children[key]))

    def _end(self, id: int) -> None:
        self.running.discard(id)
        self.executions_ended[id] = self.clock.steady.now_ms()
        if id in self._map_run_of:
            self.children[self._map_run_of[id]].discard(id)


class Connection:
    """The `EventLog` of one server. Once the server is dead nothing goes through any more.

    One batch is written after the other. It is durable some time before anybody is told so.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk, self._memory, self._chaos = disk, disk.memory, disk.chaos
        self._handed: list[_Handed] = []
        self._is_writing = False
        self._is_dead = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._handed and not self._is_writing

    def die(self) -> None:
        """End; of what waits to be written, some of the oldest may still have made it."""
        if self._is_dead:
            return
        self._is_dead = True
        if not self._disk.is_full:
            kept = self._chaos.random.randint(0, len(self._handed))
            for transaction, _ in self._handed[:kept]:
                self._disk.store(transaction)

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        """See `EventLog.submit`."""
        if self._is_dead:
            return
        self._handed.append((transaction, outcome))
        self._disk.trace.note(f"handed over: {described(transaction)}")
        if not self._is_writing:
            self._is_writing = True
            self._later(self._write)

    def commit(self, transaction: Transaction) -> "asyncio.Future[None]":
        """See `EventLog.commit`."""
        durable, outcome = awaited()
        self.submit(transaction, outcome)
        return durable

    def _later(self, work: Callable[[], None]) -> None:
        moment_ms = self._chaos.moment_ms()
        if moment_ms:
            self._disk.clock.call_later(moment_ms, work)
        else:
            asyncio.get_running_loop().call_soon(work)

    def _write(self) -> None:
        if self._is_dead:
            return
        batch, self._handed = self._handed, []
        if self._disk.is_full or self._chaos.strikes(self._chaos.plan.refusal):
            self._later(partial(self._refuse, batch))
            return
        told = [(outcome, self._store(transaction)) for transaction, outcome in batch]
        loop = asyncio.get_running_loop()
        # The memory log stores in the next turn, and says so in the one after it.
        tell = partial(self._later, partial(self._tell, told))
        loop.call_soon(loop.call_soon, loop.call_soon, tell)

    def _refuse(self, batch: Sequence[_Handed]) -> None:
        """Refuse a batch, and with it all that was handed over in the meantime."""
        if self._is_dead:
            return
        self._is_writing = False
        refused, self._handed = [*batch, *self._handed], []
        self._disk.trace.note(f"disk: refuses {len(refused)} transactions")
        loop = asyncio.get_running_loop()
        for _, outcome in refused:
            loop.call_soon(outcome, LogUnavailable("disk full"))
        self._disk.refused()

    def _store(self, transaction: Transaction) -> "asyncio.Future[None]":
        if (
            transaction.steps
            and not transaction.created
            and self._chaos.strikes(self._chaos.plan.conflict)
        ):
            self._disk.trace.note(f"disk: conflict {described(transaction)}")
            step = transaction.steps[0]
            self._disk.conflicts.add(step.execution)
            return _failed(AppendConflict(step.execution, expected=step.step - 1, actual=step.step))
        return self._disk.store(transaction)

    def _tell(self, told: Sequence[tuple[Outcome, "asyncio.Future[None]"]]) -> None:
        if self._is_dead:
            return
        self._is_writing = False
        loop = asyncio.get_running_loop()
        for outcome, stored in told:
            loop.call_soon(_pass_on, outcome, stored)
        if self._handed:
            self._is_writing = True
            self._later(self._write)

    async def _ask(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        await self._wait()
        unread = self._chaos.strikes(self._chaos.plan.unread)
        if self._disk.is_away or unread:
            self._disk.trace.note("disk: cannot be read")
            self._disk.refused()
            raise LogUnavailable("input/output error")
        answer = await ask()
        await self._wait()
        return answer

    async def _wait(self) -> None:
        await self._disk.clock.pass_ms(self._chaos.moment_ms())
        if self._is_dead:
            await asyncio.Event().wait()

    async def read(self, execution: int, *, after_step: int = 0) -> Sequence[StepRow]:
        """See `EventLog.read`."""
        return await self._ask(partial(self._memory.read, execution, after_step=after_step))

    async def execution(self, arn: str) -> ExecutionRow | None:
        """See `EventLog.execution`."""
        return await self._ask(partial(self._memory.execution, arn))

    async def execution_by_id(self, execution: int) -> ExecutionRow | None:
        """See `EventLog.execution_by_id`."""
        return await self._ask(partial(self._memory.execution_by_id, execution))

    async def executions(
        self,
        *,
        state_machine_arn: str | None = None,
        status: str | None = None,
        map_run: tuple[int, int] | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> Sequence[ExecutionRow]:
        """See `EventLog.executions`."""
        ask = partial(
            self._memory.executions,
            state_machine_arn=state_machine_arn,
            status=status,
            map_run=map_run,
            before_id=before_id,
            limit=limit,
        )
        return await self._ask(ask)

    async def newest_id(self) -> int:
        """See `EventLog.newest_id`."""
        return await self._ask(self._memory.newest_id)

    async def unfinished(self) -> Sequence[int]:
        """See `EventLog.unfinished`."""
        return await self._ask(self._memory.unfinished)

    async def histories(self, executions: Sequence[int]) -> AsyncGenerator[ExecutionHistory, None]:
        """See `EventLog.histories`."""
        for execution in executions:
            for history in await self._ask(partial(self._history, execution)):
                yield history

    async def _history(self, execution: int) -> list[ExecutionHistory]:
        found = [each async for each in self._memory.histories([execution])]
        for each in found:
            if each.snapshot is not None:
                step = f"{_short(execution)}.{each.snapshot.step}"
                self._disk.trace.note(f"restores: {step} and {len(each.bodies)} steps")
        return found

    async def snapshot(self, execution: int) -> Snapshot | None:
        """See `EventLog.snapshot`."""
        return await self._ask(partial(self._memory.snapshot, execution))

    async def due(self, now_ms: int, *, limit: int) -> Sequence[tuple[int, int]]:
        """See `EventLog.due`."""
        return await self._ask(partial(self._memory.due, now_ms, limit=limit))

    async def next_due_ms(self) -> int | None:
        """See `EventLog.next_due_ms`."""
        return await self._ask(self._memory.next_due_ms)

    async def definition(self, digest: str) -> str | None:
        """See `EventLog.definition`."""
        return await self._ask(partial(self._memory.definition, digest))

    async def map_run(self, arn: str) -> MapRunRow | None:
        """See `EventLog.map_run`."""
        return await self._ask(partial(self._memory.map_run, arn))

    async def map_runs(self, execution: int) -> Sequence[MapRunRow]:
        """See `EventLog.map_runs`."""
        return await self._ask(partial(self._memory.map_runs, execution))

    async def progress(self, map_run: tuple[int, int]) -> Progress:
        """See `EventLog.progress`."""
        return await self._ask(partial(self._memory.progress, map_run))

    async def children(
        self, map_run: tuple[int, int], *, after_index: int, limit: int
    ) -> Sequence[ChildHistory]:
        """See `EventLog.children`."""
        ask = partial(self._memory.children, map_run, after_index=after_index, limit=limit)
        return await self._ask(ask)

    async def orphans(self, *, limit: int) -> Sequence[ExecutionRow]:
        """See `EventLog.orphans`."""
        return await self._ask(partial(self._memory.orphans, limit=limit))

    async def sensor_state(self, sensor: str, *, limit: int | None = None) -> Mapping[str, bytes]:
        """See `EventLog.sensor_state`."""
        return await self._ask(partial(self._memory.sensor_state, sensor, limit=limit))

    async def event(self, source: str, event_id: str) -> InboxEvent | None:
        """See `EventLog.event`."""
        return await self._ask(partial(self._memory.event, source, event_id))

    async def inbox(
        self,
        *,
        before_position: int | None = None,
        limit: int = 100,
        source: str | None = None,
        event_id: str | None = None,
        id_prefix: str | None = None,
    ) -> Sequence[InboxEvent]:
        """See `EventLog.inbox`."""
        ask = partial(
            self._memory.inbox,
            before_position=before_position,
            limit=limit,
            source=source,
            event_id=event_id,
            id_prefix=id_prefix,
        )
        return await self._ask(ask)

    async def deliveries(
        self,
        *,
        event: tuple[str, str] | None = None,
        trigger: str | None = None,
        status: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> Sequence[DeliveryRow]:
        """See `EventLog.deliveries`."""
        ask = partial(
            self._memory.deliveries,
            event=event,
            trigger=trigger,
            status=status,
            before_id=before_id,
            limit=limit,
        )
        return await self._ask(ask)

    async def due_deliveries(
        self, now_ms: int, *, trigger: str | None = None, limit: int
    ) -> Sequence[DeliveryRow]:
        """See `EventLog.due_deliveries`."""
        ask = partial(self._memory.due_deliveries, now_ms, trigger=trigger, limit=limit)
        return await self._ask(ask)

    async def accepted_delivery(
        self,
        trigger: str,
        *,
        before_id: int,
        dedup_key: str | None = None,
        content_key: str | None = None,
    ) -> DeliveryRow | None:
        """See `EventLog.accepted_delivery`."""
        ask = partial(
            self._memory.accepted_delivery,
            trigger,
            before_id=before_id,
            dedup_key=dedup_key,
            content_key=content_key,
        )
        return await self._ask(ask)

    async def waiting_triggers(self) -> Mapping[str, int]:
        """See `EventLog.waiting_triggers`."""
        return await self._ask(self._memory.waiting_triggers)

    def stored_steps(self, *, after_position: int = 0) -> AsyncIterator[StoredStep]:
        """See `EventLog.stored_steps`."""
        return self._memory.stored_steps(after_position=after_position)


def described(transaction: Transaction) -> str:
    """What is in a transaction, for the trace."""
    parts = [f"event {event.id}" for event in transaction.events]
    parts += [f"new {_short(row.id)} {row.name}" for row in transaction.created]
    parts += [f"step {_short(each.execution)}.{each.step}" for each in transaction.steps]
    parts += [f"snapshot {_short(each.execution)}.{each.step}" for each in transaction.snapshots]
    parts += [f"end {_short(id)} {end[0]}" for id, end in (transaction.finished or {}).items()]
    parts += [f"timer {_short(id)} {due}" for id, due in (transaction.timers or {}).items()]
    parts += [f"map run {_short(run.execution)}/{run.map_run}" for run in transaction.map_runs]
    for (execution, run), change in (transaction.map_run_changes or {}).items():
        parts.append(f"map run {_short(execution)}/{run} {change.status or change.items}")
    parts += [f"{key[1]} {value!r}" for key, value in (transaction.sensor_state or {}).items()]
    parts += [f"delivery {row.event[1]} {row.status}" for row in transaction.deliveries]
    return ", ".join(part for part in parts if part) or "nothing"


def _short(execution: int) -> str:
    return f"{execution >> 20 & 0xFFFFFF:06x}+{execution & 0xFFFFF}"


def _pass_on(outcome: Outcome, stored: "asyncio.Future[None]") -> None:
    error = stored.exception()
    assert error is None or isinstance(error, Exception)
    outcome(error)


def _failed(error: Exception) -> "asyncio.Future[None]":
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failed.set_exception(error)
    failed.exception()  # it is looked at in its turn
    return failed
