"""The shell around the machine: it loads, asks, records, and only then acts.

Append before acting is the whole durability argument. A crash before the append leaves no trace; a
crash after it leaves commands that recovery carries out again. So a command is carried out at
least once, and its answer is taken at most once.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeAlias

from eventmill.arn import Home
from eventmill.asl.syntax import StateMachine
from eventmill.codec import decode_step, encode_step
from eventmill.errors import AppendConflict, ExecutionDoesNotExist, LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.machine.commands import CancelTask, Command, RunMap, RunTask
from eventmill.machine.execution import RUNNING, Execution, Identity, fold
from eventmill.machine.facts import Fact, StartExecution, StopExecution, TaskHeartbeat, TimeReached
from eventmill.machine.transition import Step, advance, outstanding
from eventmill.model import Payload, Quotas, record
from eventmill.ports import Child, Clock, Datasets, EventLog, ExecutionRow, StepRow, Transaction
from eventmill.runtime.catalog import Catalog, Machine
from eventmill.runtime.map_run_rows import map_runs_begun, map_runs_changed
from eventmill.runtime.map_runs import ChildStart, MapRuns
from eventmill.runtime.timekeeper import NEVER_MS, Timekeeper

_log: Final = logging.getLogger(__name__)

# An execution that only waits leaves memory, unless its time comes as soon as this.
_STAY_MS: Final = 1_000
_RECOVERY_PAGE: Final = 500
_PAUSE_MS: Final = 250  # before a log that refuses is tried again
# Not known is when the log would wake an execution, so that it is said again in any case.
_UNKNOWN_MS: Final = -1


_Taken: TypeAlias = Callable[[bool], None]
"""Is told, once that is durable, whether a fact was taken."""


def _unheard(taken: bool) -> None:
    """For facts whose teller does not ask."""


def _new_seed() -> int:
    return secrets.randbits(62)


class Dispatch(Protocol):
    """Carries commands out: starts work, and later reports facts about it."""

    def run(
        self, execution_arn: str, command: RunTask, report: Callable[[Fact], None]
    ) -> Callable[[], None]:
        """Start the work and return at once; the function returned cancels it."""
        ...


@record
class Start:
    """A wish for a new execution."""

    machine: Machine
    name: str
    input: Payload
    trigger: str | None = None
    child: Child | None = None


class _Live:
    """An execution in memory, with what the shell has to know about it."""

    __slots__ = ("execution", "id", "in_flight", "row", "step", "timer_ms")

    def __init__(self, row: ExecutionRow, execution: Execution) -> None:
        self.id = row.id
        self.row = row
        self.execution = execution
        self.step = 0  # the last step handed to the log
        self.in_flight = 0  # steps handed to the log and not yet durable
        self.timer_ms: int | None = None  # what the log's timer row says


class Engine:
    """Runs executions: every new one comes through `start`, every fact about one through `tell`."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        catalog: Catalog,
        dispatch: Dispatch,
        datasets: Datasets,
        home: Home,
        quotas: Quotas,
        *,
        new_seed: Callable[[], int] = _new_seed,
        stay_ms: int | None = _STAY_MS,
    ) -> None:
        """Take the parts; nothing runs before `recover`.

        `new_seed` gives each execution what its random numbers are drawn from. One that only
        waits leaves memory, unless it is due within `stay_ms`; with None all of them stay.
        """
        self._events = log
        self._clock = clock
        self._catalog = catalog
        self._dispatch = dispatch
        self._home = home
        self._quotas = quotas
        self._new_seed = new_seed
        self._stay_ms = stay_ms
        self._timekeeper = Timekeeper(log, clock, self._wake)
        self._live: dict[int, _Live] = {}
        # Facts that wait for their execution to come into memory.
        self._loading: dict[int, list[tuple[Fact, _Taken]]] = {}
        # What is under way, by execution and the event that asked for it, and how to cancel it.
        self._running: dict[tuple[int, int], Callable[[], None]] = {}
        self._ends: dict[int, asyncio.Future[ExecutionRow]] = {}
        self._loads: dict[int, asyncio.Task[None]] = {}
        self._last_id = 0
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._map_runs = MapRuns(
            log,
            clock,
            catalog,
            datasets,
            quotas,
            start=self._start_children,
            stop=lambda arn, cause: self.stop(arn, None, cause),
            broken=self._break,
        )

    @property
    def in_memory(self) -> int:
        """How many executions are in memory."""
        return len(self._live)

    # Starting

    async def start(
        self,
        starts: Sequence[Start],
        *,
        event: TriggerEvent | None = None,
        sensor_state: Mapping[tuple[str, str], bytes | None] | None = None,
    ) -> Sequence[ExecutionRow]:
        """Begin executions, in one commit with the event that causes them; return after it.

        Raises:
            DuplicateEvent: The event has started its executions already.
            ExecutionAlreadyExists: A name is taken.
            LogUnavailable: The disk refuses; nothing was started.
        """
        now_ms = self._clock.now_ms()
        begun = [self._begin(start, event, now_ms) for start in starts]
        transaction = Transaction(
            event=event,
            received_ms=now_ms,
            created=[live.row for live, _, _ in begun],
            steps=[row for _, _, row in begun],
            finished={
                live.id: (live.execution.status, now_ms)
                for live, _, _ in begun
                if live.execution.status != RUNNING
            },
            timers={live.id: live.timer_ms for live, _, _ in begun if live.timer_ms is not None},
            sensor_state=sensor_state,
            definitions=self._catalog.unstored(start.machine for start in starts),
            map_runs=[row for live, step, _ in begun for row in map_runs_begun(live.id, step)],
        )
        await self._events.commit(transaction)
        self._catalog.stored(start.machine for start in starts)
        for live, step, _ in begun:
            self._live[live.id] = live
            self._act(live, step)
        return transaction.created

    async def _start_children(self, starts: Sequence[ChildStart]) -> Sequence[ExecutionRow]:
        return await self.start(
            [
                Start(machine=each.machine, name=each.name, input=each.input, child=each.child)
                for each in starts
            ]
        )

    def _begin(
        self, start: Start, event: TriggerEvent | None, now_ms: int
    ) -> tuple[_Live, Step, StepRow]:
        machine = start.machine
        row = ExecutionRow(
            id=self._new_id(now_ms),
            arn=self._home.execution(machine.name, start.name),
            state_machine_arn=machine.arn,
            name=start.name,
            definition=machine.digest,
            status=RUNNING,
            start_ms=now_ms,
            event=None if event is None else (event.source, event.id),
            trigger=start.trigger,
            child=start.child,
        )
        live = self._new(row, machine.definition)
        role_arn = self._home.role("eventmill")
        fact = StartExecution(
            input=start.input,
            seed=self._new_seed(),
            role_arn=role_arn,
            quotas=self._quotas,
        )
        step = advance(live.execution, fact, now_ms)
        live.step = 1
        live.timer_ms = self._timer(live)
        body = encode_step(now_ms, step.fact, step.events)
        return live, step, StepRow(execution=row.id, step=1, body=body)

    def _new(self, row: ExecutionRow, definition: StateMachine) -> _Live:
        identity = Identity.of(row.arn, row.state_machine_arn)
        return _Live(row, Execution(identity, definition))

    def _new_id(self, now_ms: int) -> int:
        """An id that grows with time, so that the newest executions lie together on disk."""
        self._last_id = max(self._last_id + 1, now_ms << 20)
        return self._last_id

    # Facts

    def tell(self, execution: int, fact: Fact, taken: _Taken = _unheard) -> None:
        """Take a fact about an execution; one that is no longer news changes nothing.

        `taken` is called with True once the fact is durable, with False when it is no news or
        came too late.
        """
        live = self._live.get(execution)
        if live is not None:
            self._absorb(live, fact, taken)
        else:
            self._load(execution, fact, taken)

    async def told(self, execution: int, fact: Fact) -> bool:
        """Tell a fact and return, once that is durable, whether it was taken.

        A log that refuses is tried again until it takes the fact.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def taken(was_news: bool) -> None:
            if not answer.done():  # whoever asked may have gone
                answer.set_result(was_news)

        self.tell(execution, fact, taken)
        return await answer

    async def stop(self, arn: str, error: str | None, cause: str | None) -> ExecutionRow:
        """Abort an execution and return it once that is durable; an ended one stays as it is.

        Raises:
            ExecutionDoesNotExist: There is none with this ARN.
        """
        row = await self._events.execution(arn)
        if row is None:
            raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
        if row.status == RUNNING:
            self.tell(row.id, StopExecution(error=error, cause=cause))
        return await self.ended(row.id)

    async def ended(self, execution: int) -> ExecutionRow:
        """Wait until an execution has ended, durably.

        Raises:
            ExecutionDoesNotExist: There is none with this id.
        """
        future = self._ends.setdefault(execution, asyncio.get_running_loop().create_future())
        if execution in self._live:
            return await asyncio.shield(future)  # it has not been announced yet
        row = await self._events.execution_by_id(execution)
        if row is None:
            self._ends.pop(execution, None)
            raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{execution}'")
        if row.status != RUNNING:
            self._ends.pop(execution, None)
            if not future.done():
                future.set_result(row)  # others may wait for it already
        return await asyncio.shield(future)

    def _absorb(self, live: _Live, fact: Fact, taken: _Taken) -> None:
        now_ms = self._clock.now_ms()
        step = advance(live.execution, fact, now_ms)
        if not step.events:
            taken(False)
            return
        live.step += 1
        live.in_flight += 1
        due_ms, status = self._timer(live), live.execution.status
        body = encode_step(now_ms, step.fact, step.events)
        transaction = Transaction(
            steps=(StepRow(execution=live.id, step=live.step, body=body),),
            finished=None if status == RUNNING else {live.id: (status, now_ms)},
            timers=None if due_ms == live.timer_ms else {live.id: due_ms},
            map_runs=map_runs_begun(live.id, step),
            map_run_changes=map_runs_changed(live.id, step),
        )
        live.timer_ms = due_ms
        future = self._events.commit(transaction)
        future.add_done_callback(lambda done: self._committed(live, step, taken, done))

    def _timer(self, live: _Live) -> int | None:
        """When the log must wake this execution, or None when it stays in memory."""
        execution = live.execution
        if execution.status != RUNNING or self._stay_ms is None or not execution.waits_only():
            return None
        due_ms = execution.next_due_ms()
        if due_ms is None:
            return NEVER_MS
        return due_ms if due_ms > self._clock.now_ms() + self._stay_ms else None

    def _committed(
        self, live: _Live, step: Step, taken: _Taken, done: "asyncio.Future[None]"
    ) -> None:
        live.in_flight -= 1
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            taken(not isinstance(step.fact, TimeReached))  # what comes too late counts as that
            self._act(live, step)
        elif isinstance(error, (LogUnavailable, AppendConflict)):
            # What is in memory is not what the log holds: forget it, and take the fact again.
            _log.warning("%s: %s", live.row.arn, error)
            self._forget(live)
            self._load(live.id, step.fact, taken, pause_ms=_PAUSE_MS)
        else:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    # Acting on what is durable

    def _act(self, live: _Live, step: Step) -> None:
        point("before-dispatch")
        for command in step.commands:
            if isinstance(command, RunTask):
                self._run(live, command)
            elif isinstance(command, RunMap):
                self._run_map(live, command)
            else:
                id = command.task if isinstance(command, CancelTask) else command.map_run
                self._cancel(live.id, id)
        point("after-dispatch")
        if live.in_flight == 0:
            self._rest(live)

    def _run(self, live: _Live, command: RunTask) -> None:
        key = (live.id, command.task)
        # A task may have ended in the meantime, and after a reload it may still be under way.
        if command.task not in live.execution.tasks or key in self._running:
            return

        def report(fact: Fact) -> None:
            point("before-answer")
            if not isinstance(fact, TaskHeartbeat):
                self._running.pop(key, None)
            self.tell(live.id, fact)

        self._running[key] = self._dispatch.run(live.row.arn, command, report)

    def _run_map(self, live: _Live, command: RunMap) -> None:
        key = (live.id, command.map_run)
        if command.map_run not in live.execution.map_runs or key in self._running:
            return

        def report(fact: Fact) -> None:
            self._running.pop(key, None)
            self.tell(live.id, fact)

        self._running[key] = self._map_runs.run(live.row, command, report)

    def _cancel(self, execution: int, event: int) -> None:
        cancel = self._running.pop((execution, event), None)
        if cancel is not None:
            cancel()

    def _rest(self, live: _Live) -> None:
        """All that is known of the execution is durable: keep it in memory only if it is busy."""
        if live.execution.status != RUNNING:
            self._forget(live)
            self._announce(live)
        elif live.timer_ms is not None:
            self._forget(live)
            self._timekeeper.sleeps(live.timer_ms)
        else:
            due_ms = live.execution.next_due_ms()
            if due_ms is not None:
                self._timekeeper.remember(live.id, due_ms)

    def _announce(self, live: _Live) -> None:
        if live.row.child is not None:
            self._map_runs.ended(live.row, live.execution.status)
        future = self._ends.pop(live.id, None)
        if future is not None:
            status, stop_ms = live.execution.status, live.execution.stop_ms
            future.set_result(replace(live.row, status=status, stop_ms=stop_ms, steps=live.step))

    def _forget(self, live: _Live) -> None:
        if self._live.get(live.id) is live:
            del self._live[live.id]

    # Loading and recovery

    async def recover(self) -> int:
        """Take up every execution that the last server left under way; return how many.

        Those that wait for their time stay on disk.
        """
        # Ids grow also when the clock has gone back since.
        self._last_id = await self._events.newest_id()
        taken, after_id = 0, 0
        while page := await self._events.unfinished(after_id=after_id, limit=_RECOVERY_PAGE):
            for row in page:
                live = self._live[row.id] = await self._fold(row)
                self._run_all(live, outstanding(live.execution))
                self._rest(live)
            taken += len(page)
            after_id = page[-1].id
        self._map_runs.begin_stopping_orphans()
        await self._timekeeper.look_into_log()
        return taken

    async def keep_time(self) -> None:
        """Wake executions whose time has come, until cancelled.

        Raises:
            LogDamaged: The log cannot be trusted any more; nothing runs on.
        """
        time = asyncio.ensure_future(self._timekeeper.run())
        try:
            await asyncio.wait((time, self._broken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            time.cancel()
        await (self._broken if self._broken.done() else time)

    async def _wake(self, executions: Iterable[int]) -> None:
        for execution in executions:
            self.tell(execution, TimeReached())
        await asyncio.gather(*self._loads.values())
        # Transactions become durable in order, so an empty one says that all before it are.
        await self._events.commit(Transaction())

    def _load(self, execution: int, fact: Fact, taken: _Taken, pause_ms: int = 0) -> None:
        """Bring an execution into memory and give it `fact`, after all that wait already."""
        if execution in self._loading:
            self._loading[execution].append((fact, taken))
            return
        self._loading[execution] = [(fact, taken)]
        task = asyncio.get_running_loop().create_task(self._read_and_absorb(execution, pause_ms))
        self._loads[execution] = task
        task.add_done_callback(lambda done: self._loads.pop(execution, None))

    async def _read_and_absorb(self, execution: int, pause_ms: int) -> None:
        live = await self._read(execution, pause_ms)
        facts = self._loading.pop(execution)
        if live is None:
            # It has ended; should a timer row be left over, nobody must be woken by it again.
            self._events.commit(Transaction(timers={execution: None}))
            for _, taken in facts:
                taken(False)
            return
        live.timer_ms = _UNKNOWN_MS
        self._live[execution] = live
        durable = outstanding(live.execution)
        for fact, taken in facts:
            self._absorb(live, fact, taken)
        self._run_all(live, durable)
        if live.in_flight == 0:
            live.timer_ms = self._timer(live)
            self._events.commit(Transaction(timers={execution: live.timer_ms}))
            self._rest(live)

    async def _read(self, execution: int, pause_ms: int) -> _Live | None:
        """The execution as the log has it, or None when it has ended."""
        while True:
            if pause_ms:
                await self._clock.sleep_until(self._clock.now_ms() + pause_ms)
            try:
                row = await self._events.execution_by_id(execution)
                return None if row is None or row.status != RUNNING else await self._fold(row)
            except LogUnavailable as error:
                _log.warning("execution %s cannot be read, trying again: %s", execution, error)
                pause_ms = _PAUSE_MS

    async def _fold(self, row: ExecutionRow) -> _Live:
        definition = await self._catalog.definition(row.definition)
        live = self._new(row, definition)
        for stored in await self._events.read(row.id):
            fold(live.execution, decode_step(stored.body).events)
            live.step = stored.step
        live.execution.abandoned.clear()
        live.execution.abandoned_runs.clear()
        return live

    def _run_all(self, live: _Live, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, RunTask):
                self._run(live, command)
            elif isinstance(command, RunMap):
                self._run_map(live, command)

    def close(self) -> None:
        """Stop loading; what was acknowledged is in the log."""
        self._map_runs.close()
        for task in list(self._loads.values()):
            task.cancel()
