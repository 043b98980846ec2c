"""The shell around the machine: it loads, asks, records, and only then acts.

Append before acting is the whole durability argument. A crash before the append leaves no trace; a
crash after it leaves commands that recovery carries out again. So a command is carried out at
least once, and its answer is taken at most once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from eventmill.arn import Home
from eventmill.codec import encode_step
from eventmill.errors import AppendConflict, ExecutionDoesNotExist, LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.machine.execution import RUNNING
from eventmill.machine.facts import Fact, StopExecution, TimeReached
from eventmill.machine.history import HistoryEvent
from eventmill.machine.transition import Step, advance, outstanding
from eventmill.model import Quotas
from eventmill.ports import Clock, Datasets, EventLog, Outcome, Transaction
from eventmill.rows import DeliveryRow, ExecutionRow, StepRow
from eventmill.runtime.admission import Admission, weight_of
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.ends import Ends
from eventmill.runtime.loading import Live, Loading, Taken, Told
from eventmill.runtime.map_run_rows import map_runs_begun, map_runs_changed
from eventmill.runtime.map_runs import ChildStart, MapRuns
from eventmill.runtime.outbox import Outbox
from eventmill.runtime.places import Places
from eventmill.runtime.snapshots import SnapshotRule
from eventmill.runtime.starting import Start, Starting, seeds, weight
from eventmill.runtime.timekeeper import NEVER_MS, Timekeeper
from eventmill.runtime.work import Dispatch, Work, asked_by

_log: Final = logging.getLogger(__name__)

# An execution that only waits leaves memory, unless its time comes as soon as this.
_STAY_MS: Final = 1_000
# As many executions may be in memory, or fewer with large inputs, before a start has to wait.
_WEIGHT_MAX: Final = 20_000
# So many are taken up from the last server at a time; facts about others come in between.
_RECOVERY_PAGE: Final = 200


def _unheard(taken: bool) -> None:
    """For facts whose teller does not ask."""


class Listener(Protocol):
    """Hears at once, and without a look into the log, what has become durable.

    It is called within the engine's own work, so it must return at once and must not raise.
    """

    def started(self, row: ExecutionRow) -> None:
        """An execution, or a child of a Map Run, has begun."""
        ...

    def ended(self, row: ExecutionRow, last: HistoryEvent) -> None:
        """One has ended, whoever started it and however; `last` is the event that says so."""
        ...


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
        listener: Listener | None = None,
        new_seed: Callable[[], int] | None = None,
        stay_ms: int | None = _STAY_MS,
        weight_max: int = _WEIGHT_MAX,
        snapshot_rule: SnapshotRule | None = None,
        places: Places | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        """Take the parts; nothing runs before `recover`.

        `listener` hears of each execution that starts or ends. `new_seed` gives each what its
        random numbers are drawn from. One that only waits leaves memory, unless it is due within
        `stay_ms`; with None all of them stay. With `weight_max` executions in memory (one of
        160 KiB counts as eleven) a start waits. `snapshot_rule` says when to store them as they
        are, `places` which of them may act, `outbox` what they tell the bus.
        """
        self._events = log
        self._clock = clock
        self._listener = listener
        self._outbox = outbox
        self._stay_ms = stay_ms
        self._snapshot_rule = snapshot_rule or SnapshotRule()
        self._admission = Admission(weight_max)
        self._timekeeper = Timekeeper(log, clock, self._wake, self._admission)
        self._places = places or Places()
        self._live: dict[int, Live] = {}
        self._loading = Loading(
            log, clock, catalog, loaded=self._loaded, gone=self._gone, broken=self._break
        )
        self._starting = Starting(
            log,
            clock,
            catalog,
            home,
            quotas,
            self._admission,
            self._loading,
            new_seed=new_seed or seeds(),
            timer=self._timer,
            began=self._began,
            outbox=outbox,
        )
        self._recovery: asyncio.Task[None] | None = None
        self._is_closed = False
        self._ends = Ends()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._map_runs = self._new_map_runs(catalog, datasets, quotas)
        self._work = Work(dispatch, self._map_runs, self._places, self.tell)

    def _new_map_runs(self, catalog: Catalog, datasets: Datasets, quotas: Quotas) -> MapRuns:
        return MapRuns(
            self._events,
            self._clock,
            catalog,
            datasets,
            quotas,
            self._admission,
            start=self._start_children,
            stop=lambda arn, cause: self.stop(arn, None, cause),
            broken=self._break,
        )

    @property
    def in_memory(self) -> int:
        """How many executions are in memory."""
        return len(self._live)

    def now_ms(self) -> int:
        """Now, by the clock of the executions."""
        return self._clock.now_ms()

    # Starting

    async def start(
        self,
        starts: Sequence[Start],
        *,
        events: Sequence[TriggerEvent] = (),
        sensor_state: Mapping[tuple[str, str], bytes | None] | None = None,
        deliveries: Sequence[DeliveryRow] = (),
    ) -> Sequence[ExecutionRow]:
        """Begin executions, in one commit with the events that cause them; return after it.

        While memory holds as many executions as it may, this waits until some of them have ended
        or wait for their time. Who stops waiting for the commit does not stop it.

        Raises:
            DuplicateEvent: Some of the events have started their executions already.
            ExecutionAlreadyExists: Some names are taken.
            LogUnavailable: The disk refuses; nothing was started.
        """
        await self._admission.enter(weight(starts))
        return await self._starting.start(starts, events, sensor_state, deliveries)

    async def _start_children(self, children: Sequence[ChildStart]) -> Sequence[ExecutionRow]:
        starts = [
            Start(machine=each.machine, name=each.name, input=each.input, child=each.child)
            for each in children
        ]
        return await self._starting.start(starts)

    def _began(self, live: Live, step: Step, told: Sequence[Told]) -> None:
        """A new execution is durable, and these facts have waited for that."""
        if self._is_closed:
            self._admission.leave(live.weight)
            return
        self._live[live.id] = live
        self._places.enter(live.row, live.execution.status)
        if self._listener is not None:
            self._listener.started(live.row)
        self._act(live, step)
        for fact, taken in told:
            self.tell(live.id, fact, taken)

    # Facts

    def tell(self, execution: int, fact: Fact, taken: Taken = _unheard) -> None:
        """Take a fact about an execution; one that is no longer news changes nothing.

        `taken` is called with True once the fact is durable, with False when it is no news or
        came too late.
        """
        live = self._live.get(execution)
        if live is not None:
            self._absorb(live, fact, taken)
        else:
            self._loading.want(execution, (fact, taken))

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
        end = self._ends.of(execution)
        try:
            if execution in self._live:
                return await end  # it has not been announced yet
            row = await self._events.execution_by_id(execution)
            if row is None:
                raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{execution}'")
            return row if row.status != RUNNING else await end
        finally:
            self._ends.leave(execution, end)

    def _absorb(self, live: Live, fact: Fact, taken: Taken) -> None:
        now_ms = self._clock.now_ms()
        step = advance(live.execution, fact, now_ms)
        if not step.events:
            self._old_news(live, fact, taken)
            return
        live.step += 1
        live.in_flight += 1
        due_ms, status = self._timer(live), live.execution.status
        body, payloads = encode_step(now_ms, step.fact, step.events)
        live.tail_bytes += len(body)
        notice = None
        if status != RUNNING and self._outbox is not None:
            notice = self._outbox.ended(live.row, live.execution)
        transaction = Transaction(
            steps=(StepRow(execution=live.id, step=live.step, body=body, payloads=payloads),),
            finished=None if status == RUNNING else {live.id: (status, now_ms)},
            timers=None if due_ms == live.timer_ms else {live.id: due_ms},
            map_runs=map_runs_begun(live.id, step),
            map_run_changes=map_runs_changed(live.id, step),
            snapshots=()
            if status != RUNNING
            else self._snapshot_rule.taken(live, leaves=due_ms is not None),
            sensor_state=None if notice is None else notice.marks,
        )
        live.timer_ms = due_ms
        outcome: Outcome = partial(self._committed, live, step, taken)
        if notice is not None:
            outcome = notice.ahead_of(outcome)
        self._events.submit(transaction, outcome)

    def _old_news(self, live: Live, fact: Fact, taken: Taken) -> None:
        """Answer a fact that changes nothing, once all that makes it old news is durable."""
        if live.in_flight == 0 or taken is _unheard:
            taken(False)
            return
        # Transactions become durable in order, so an empty one says that all before it are.
        self._events.submit(Transaction(), partial(self._is_old, live, fact, taken))

    def _is_old(self, live: Live, fact: Fact, taken: Taken, error: Exception | None) -> None:
        if error is None and self._live.get(live.id) is live:
            taken(False)
        elif error is None or isinstance(error, LogUnavailable):
            # Something before it may have been refused: what the log holds decides.
            self.tell(live.id, fact, taken)
        else:
            self._break(error)

    def _timer(self, live: Live) -> int | None:
        """When the log must wake this execution, or None when it stays in memory."""
        execution = live.execution
        if execution.status != RUNNING or self._stay_ms is None or not execution.waits_only():
            return None
        due_ms = execution.next_due_ms()
        if due_ms is None:
            return NEVER_MS
        return due_ms if due_ms > self._clock.now_ms() + self._stay_ms else None

    def _committed(self, live: Live, step: Step, taken: Taken, error: Exception | None) -> None:
        live.in_flight -= 1
        if error is None:
            taken(not isinstance(step.fact, TimeReached))  # what comes too late counts as that
            self._act(live, step)
        elif isinstance(error, (LogUnavailable, AppendConflict)):
            # What is in memory is not what the log holds: forget it, and take the fact again.
            _log.warning("%s: %s", live.row.arn, error)
            self._read_again(live, (step.fact, taken))
        else:
            self._break(error)

    def _read_again(self, live: Live, *told: Told) -> None:
        self._forget(live)
        if live.id not in self._live:
            self._loading.want_later(live.id, *told)
            return
        for fact, taken in told:  # another transaction was refused before, and it is back already
            self.tell(live.id, fact, taken)

    def _break(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    # Acting on what is durable

    def _act(self, live: Live, step: Step) -> None:
        if self._is_closed:
            return
        point("before-dispatch")
        self._work.carry_out(live, step.commands)
        point("after-dispatch")
        if live.in_flight > 0:
            return
        if live.execution.status == RUNNING:
            self._rest(live)
        else:
            self._forget(live)
            self._announce(live, step)

    def _take_turn(self, execution: int) -> None:
        """It is the turn of an execution: carry out what it waits with."""
        live = self._live.get(execution)
        if live is None:
            self._loading.want(execution)
        else:
            self._work.carry_out(live, self._places.withheld(execution))

    def _rest(self, live: Live) -> None:
        """All that is known of a running execution is durable: if it is idle, it leaves memory."""
        if live.timer_ms is not None:
            self._forget(live)
            self._timekeeper.sleeps(live.timer_ms)
        else:
            due_ms = live.execution.next_due_ms()
            if not self._places.has(live.row):
                self._forget(live)
            if due_ms is not None:
                self._timekeeper.remember(live.id, due_ms)

    def _announce(self, live: Live, last: Step) -> None:
        status, stop_ms = live.execution.status, live.execution.stop_ms
        if live.row.child is not None:
            self._map_runs.ended(live.row, status)
        follower = self._places.leave(live.row)
        if follower is not None:
            self._take_turn(follower)
        if self._listener is None and not self._ends.is_awaited(live.id):
            return
        row = replace(live.row, status=status, stop_ms=stop_ms, steps=live.step)
        if self._listener is not None:
            self._listener.ended(row, last.events[-1])
        self._ends.came(row)

    def _forget(self, live: Live) -> None:
        if self._live.get(live.id) is live:
            del self._live[live.id]
            self._places.withheld(live.id)
            self._timekeeper.forget(live.id)
            self._admission.leave(live.weight)

    # Loading and recovery

    async def recover(self) -> int:
        """Begin to take up every execution that the last server left under way; return how many.

        They are read while everything else goes on, the oldest first; a fact about one brings it
        at once. Those that wait for their time stay on disk.
        """
        point("before-recovery")
        self._starting.ids_after(await self._events.newest_id())
        await self._places.take_up(self._events)
        left = await self._events.unfinished()
        await self._timekeeper.look_into_log()
        self._map_runs.begin_stopping_orphans()
        self._recovery = asyncio.get_running_loop().create_task(self._take_up(left))
        return len(left)

    async def _take_up(self, executions: Sequence[int]) -> None:
        for first in range(0, len(executions), _RECOVERY_PAGE):
            for execution in executions[first : first + _RECOVERY_PAGE]:
                if execution not in self._live:  # or a fact has brought it already
                    self._loading.want(execution)
            await self._loading.caught_up()
        point("after-recovery")

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
        await self._loading.caught_up()
        # Transactions become durable in order, so an empty one says that all before it are.
        await self._events.commit(Transaction())

    def _loaded(self, live: Live, told: Sequence[Told]) -> None:
        """An execution has come into memory, and these facts have waited for it."""
        assert live.id not in self._live, "what is in memory is not read again"
        self._live[live.id] = live
        live.weight = weight_of(len(live.execution.input))
        self._admission.push_in(live.weight)
        durable = outstanding(live.execution)
        if told:
            for fact, taken in told:
                self._absorb(live, fact, taken)
            # What they have answered is not asked again.
            still = {asked_by(command) for command in outstanding(live.execution)}
            durable = [command for command in durable if asked_by(command) in still]
        self._work.carry_out(live, durable)
        if live.in_flight == 0:
            due_ms = self._timer(live)
            if due_ms == live.timer_ms:
                self._rest(live)
            else:
                self._set_timer(live, due_ms)

    def _set_timer(self, live: Live, due_ms: int | None) -> None:
        live.timer_ms = due_ms
        live.in_flight += 1
        transaction = Transaction(timers={live.id: due_ms})
        self._events.submit(transaction, partial(self._timer_set, live))

    def _timer_set(self, live: Live, error: Exception | None) -> None:
        live.in_flight -= 1
        if error is None:
            if live.in_flight == 0:
                self._rest(live)
        elif isinstance(error, LogUnavailable):
            self._read_again(live)
        else:
            self._break(error)

    def _gone(self, execution: int, timer_ms: int | None, told: Iterable[Told]) -> None:
        """An execution that was wanted has ended; these facts come too late."""
        for _, taken in told:
            taken(False)
        if timer_ms is not None:
            # Nobody must be woken by it again; if it cannot be removed now, it will be next time.
            self._events.submit(Transaction(timers={execution: None}), lambda _: None)

    def close(self) -> None:
        """Begin nothing more; what was acknowledged is in the log."""
        self._is_closed = True
        self._map_runs.close()
        self._loading.close()
        if self._recovery is not None:
            self._recovery.cancel()
