"""Begins executions: many at once, in one commit, when there is room for them in memory."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random
from typing import TypeAlias

from eventmill.arn import Home
from eventmill.codec import encode_step
from eventmill.events import TriggerEvent
from eventmill.machine.execution import RUNNING
from eventmill.machine.facts import StartExecution
from eventmill.machine.transition import Step, advance
from eventmill.model import Payload, Quotas
from eventmill.ports import Clock, EventLog, Outcome, Transaction
from eventmill.record import record
from eventmill.rows import Child, DeliveryRow, ExecutionRow, StepRow
from eventmill.runtime.admission import Admission, weight_of
from eventmill.runtime.catalog import Catalog, Machine
from eventmill.runtime.loading import Live, Loading, Told
from eventmill.runtime.map_run_rows import map_runs_begun, map_runs_changed
from eventmill.runtime.outbox import Notice, Outbox


@record
class Start:
    """A wish for a new execution."""

    machine: Machine
    name: str
    input: Payload
    trigger: str | None = None
    child: Child | None = None
    cause: tuple[str, str] | None = None  # (source, id) of the event that starts it


_Begun: TypeAlias = tuple[Live, Step, StepRow]


def seeds() -> Callable[[], int]:
    """A source of what the random numbers of executions are drawn from."""
    # Asking the system for each would cost a call to it.
    random = Random(secrets.randbits(256))
    return lambda: random.getrandbits(62)


def weight(starts: Iterable[Start]) -> int:
    """What these count in memory, all together."""
    return sum(weight_of(len(start.input)) for start in starts)


class Starting:
    """The executions on their way into the log.

    `timer` tells when the log must wake one; `began` is given each that is durable, with the facts
    that came meanwhile.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        catalog: Catalog,
        home: Home,
        quotas: Quotas,
        admission: Admission,
        loading: Loading,
        *,
        new_seed: Callable[[], int],
        timer: Callable[[Live], int | None],
        began: Callable[[Live, Step, Sequence[Told]], None],
        outbox: Outbox | None = None,
    ) -> None:
        self._events = log
        self._clock = clock
        self._catalog = catalog
        self._home = home
        self._quotas = quotas
        self._admission = admission
        self._loading = loading
        self._new_seed = new_seed
        self._timer = timer
        self._began = began
        self._outbox = outbox
        self._last_id = 0

    def ids_after(self, id_: int) -> None:
        """Give ids that are greater: they grow also when the clock has gone back."""
        self._last_id = id_

    async def start(
        self,
        starts: Sequence[Start],
        events: Sequence[TriggerEvent] = (),
        sensor_state: Mapping[tuple[str, str], bytes | None] | None = None,
        deliveries: Sequence[DeliveryRow] = (),
    ) -> Sequence[ExecutionRow]:
        """Begin executions that were admitted; see `Engine.start`."""
        try:
            begun, notice, transaction = self._begun(starts, events, sensor_state, deliveries)
            known: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            outcome: Outcome = partial(self._started, begun, known)
            if notice is not None:
                outcome = notice.ahead_of(outcome)
            self._events.submit(transaction, outcome)
        except BaseException:
            self._admission.leave(weight(starts))
            raise
        for live, _, _ in begun:
            self._loading.expect(live.id)
        await known
        self._catalog.stored(start.machine for start in starts)
        return transaction.created

    def _begun(
        self,
        starts: Sequence[Start],
        events: Sequence[TriggerEvent],
        sensor_state: Mapping[tuple[str, str], bytes | None] | None,
        deliveries: Sequence[DeliveryRow],
    ) -> tuple[Sequence[_Begun], Notice | None, Transaction]:
        now_ms = self._clock.now_ms()
        begun = [self._begin(start, now_ms) for start in starts]
        notice = None
        if begun and self._outbox is not None:
            notice = self._outbox.begun([(live.row, live.execution) for live, _, _ in begun])
        if notice is not None:
            sensor_state = {**(sensor_state or {}), **notice.marks}
        transaction = Transaction(
            events=events,
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
            deliveries=deliveries,
            definitions=self._catalog.unstored(start.machine for start in starts),
            map_runs=[row for live, step, _ in begun for row in map_runs_begun(live.id, step)],
            map_run_changes={
                key: change
                for live, step, _ in begun
                for key, change in map_runs_changed(live.id, step).items()
            },
        )
        return begun, notice, transaction

    def _begin(self, start: Start, now_ms: int) -> _Begun:
        machine = start.machine
        row = ExecutionRow(
            id=self._new_id(now_ms),
            arn=self._home.execution(machine.name, start.name),
            state_machine_arn=machine.arn,
            name=start.name,
            definition=machine.digest,
            status=RUNNING,
            start_ms=now_ms,
            event=start.cause,
            trigger=start.trigger,
            child=start.child,
        )
        live = Live(row, machine.definition)
        live.weight = weight_of(len(start.input))
        fact = StartExecution(
            input=start.input,
            seed=self._new_seed(),
            role_arn=self._home.role("eventmill"),
            quotas=self._quotas,
        )
        step = advance(live.execution, fact, now_ms)
        live.step = 1
        live.timer_ms = self._timer(live)
        body, payloads = encode_step(now_ms, step.fact, step.events)
        return live, step, StepRow(execution=row.id, step=1, body=body, payloads=payloads)

    def _new_id(self, now_ms: int) -> int:
        """An id that grows with time, so that the newest executions lie together on disk."""
        self._last_id = max(self._last_id + 1, now_ms << 20)
        return self._last_id

    def _started(
        self,
        begun: Sequence[_Begun],
        known: "asyncio.Future[None]",
        error: Exception | None,
    ) -> None:
        if not known.done():  # whoever asked may have gone
            known.set_result(None) if error is None else known.set_exception(error)
        for live, step, _ in begun:
            told = self._loading.arrived(live.id)
            if error is None:
                self._began(live, step, told)
                continue
            self._admission.leave(live.weight)
            for _, taken in told:
                taken(False)
