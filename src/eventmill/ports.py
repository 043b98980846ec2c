"""The seam: what the shell needs from its adapters, as promises.

An adapter is done when it passes the suite of its port in `tests/conformance`.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from typing import Protocol, TypeAlias, runtime_checkable

from eventmill.events import TriggerEvent
from eventmill.machine.map_run import Item, Reading, Writing
from eventmill.model import Payload
from eventmill.record import record
from eventmill.rows import (
    ChildHistory,
    ChildResult,
    DeliveryRow,
    ExecutionHistory,
    ExecutionRow,
    InboxEvent,
    MapRunChange,
    MapRunRow,
    Progress,
    Snapshot,
    StepRow,
    StoredStep,
)

Outcome: TypeAlias = Callable[[Exception | None], None]
"""Told, once, what became of a transaction: None when it is durable, else why it is not."""


@record
class Transaction:
    """What must become durable together, or not at all.

    * `events` go into the inbox, in order, each unique by (source, id).
    * `created` are new executions, unique by ARN; their steps come in `steps`.
    * `steps` extend histories: each must be the next of its execution.
    * `finished` maps executions to their final status and the time they stopped.
    * `timers` maps executions to when they must be woken; None removes the timer.
    * `sensor_state` maps (sensor, key) to what the sensor remembers; None forgets it.
    * `definitions` maps digests to definition texts; those already known are left alone.
    * `map_runs` are new Map Runs, and `map_run_changes` maps (execution, event) to what is new.
    * `snapshots` take the place of those from before. That of a step which is not there is left
      out; that of an execution goes when it has ended.
    * `deliveries` take the place of those from before of the same event and trigger, whose ids
      they keep.
    """

    events: Sequence[TriggerEvent] = ()
    received_ms: int = 0
    created: Sequence[ExecutionRow] = ()
    steps: Sequence[StepRow] = ()
    finished: Mapping[int, tuple[str, int]] | None = None
    timers: Mapping[int, int | None] | None = None
    sensor_state: Mapping[tuple[str, str], bytes | None] | None = None
    definitions: Mapping[str, str] | None = None
    map_runs: Sequence[MapRunRow] = ()
    map_run_changes: Mapping[tuple[int, int], MapRunChange] | None = None
    snapshots: Sequence[Snapshot] = ()
    deliveries: Sequence[DeliveryRow] = ()


class EventLog(Protocol):
    """The durable, append-only record of everything: the only source of truth.

    There is one writer. Transactions become durable in the order in which they were handed over,
    many in one commit. When one fails for a reason of its own it alone leaves no trace; when the
    disk fails, every transaction not yet durable fails with `LogUnavailable` and leaves no trace
    either. Who stops waiting for a transaction does not stop it.
    """

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        """Hand a transaction over; `outcome` is called in the event loop, later and once.

        It is given None when the transaction is durable, else what `commit` fails with.
        """
        ...

    def commit(self, transaction: Transaction) -> "asyncio.Future[None]":
        """Hand a transaction over; the future is done when it is durable.

        The future fails with ValueError (text that UTF-8 cannot hold), DuplicateEvent (the inbox
        has some of the events, or one comes twice), ExecutionAlreadyExists (ARNs or an id are
        taken), AppendConflict (a step
        is not the next of its execution) or ExecutionDoesNotExist (a step, end or timer of an
        execution that was never created); of several reasons with the first in this order.
        It fails with LogUnavailable when the disk refuses, and then nothing that was not durable
        will become so; with LogDamaged when the file turns out to be damaged.
        """
        ...

    async def read(self, execution: int, *, after_step: int = 0) -> Sequence[StepRow]:
        """The durable steps of an execution after `after_step`, in order.

        They share the payloads that several of them refer to, as all that is read in one go does.
        """
        ...

    async def execution(self, arn: str) -> ExecutionRow | None:
        """The execution with this ARN."""
        ...

    async def execution_by_id(self, execution: int) -> ExecutionRow | None:
        """The execution with this id."""
        ...

    async def executions(
        self,
        *,
        state_machine_arn: str | None = None,
        status: str | None = None,
        map_run: tuple[int, int] | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> Sequence[ExecutionRow]:
        """Executions, newest first (ids grow with time), narrowed by each argument given.

        They are the children of `map_run`, else those that no Map Run started.
        """
        ...

    async def newest_id(self) -> int:
        """The largest id of an execution; 0 when there is none."""
        ...

    async def unfinished(self) -> Sequence[int]:
        """The ids of RUNNING executions without a timer, in order: what recovery must look at."""
        ...

    def histories(self, executions: Sequence[int]) -> AsyncGenerator[ExecutionHistory, None]:
        """Executions by their ids, in order of these, each as it stood at one instant.

        Ids that no execution has are passed over. Many are read at once, but never more than some
        MiB and one execution. A snapshot that is not as it was written, or not of a step of this
        log, is told in a warning and passed over.
        """
        ...

    async def snapshot(self, execution: int) -> Snapshot | None:
        """The snapshot of an execution, as `histories` would give it."""
        ...

    async def due(self, now_ms: int, *, limit: int) -> Sequence[tuple[int, int]]:
        """`(due_ms, execution)` of timers due at `now_ms` or before, soonest first."""
        ...

    async def next_due_ms(self) -> int | None:
        """When the soonest timer is due."""
        ...

    async def definition(self, digest: str) -> str | None:
        """The definition text stored under this digest."""
        ...

    async def map_run(self, arn: str) -> MapRunRow | None:
        """The Map Run with this ARN."""
        ...

    async def map_runs(self, execution: int) -> Sequence[MapRunRow]:
        """The Map Runs of an execution, newest first."""
        ...

    async def progress(self, map_run: tuple[int, int]) -> Progress:
        """How far a Map Run has come, at one instant."""
        ...

    async def children(
        self, map_run: tuple[int, int], *, after_index: int, limit: int
    ) -> Sequence[ChildHistory]:
        """The children of a Map Run after `after_index`, in order of their indexes."""
        ...

    async def orphans(self, *, limit: int) -> Sequence[ExecutionRow]:
        """RUNNING children whose Map Run has ended: those that must be stopped."""
        ...

    async def sensor_state(self, sensor: str, *, limit: int | None = None) -> Mapping[str, bytes]:
        """Everything a sensor remembers, or as much of it as `limit` says."""
        ...

    async def event(self, source: str, event_id: str) -> InboxEvent | None:
        """The event of the inbox with this source and id."""
        ...

    async def inbox(
        self,
        *,
        before_position: int | None = None,
        limit: int = 100,
        source: str | None = None,
        event_id: str | None = None,
        id_prefix: str | None = None,
    ) -> Sequence[InboxEvent]:
        """Events of the inbox, newest first, narrowed by each argument given."""
        ...

    async def deliveries(
        self,
        *,
        event: tuple[str, str] | None = None,
        trigger: str | None = None,
        status: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> Sequence[DeliveryRow]:
        """Deliveries, newest first, narrowed by each argument given."""
        ...

    async def due_deliveries(
        self, now_ms: int, *, trigger: str | None = None, limit: int
    ) -> Sequence[DeliveryRow]:
        """WAITING deliveries due at `now_ms` or before, soonest first, then in order of ids."""
        ...

    async def accepted_delivery(
        self,
        trigger: str,
        *,
        before_id: int,
        dedup_key: str | None = None,
        content_key: str | None = None,
    ) -> DeliveryRow | None:
        """The newest STARTED or WAITING delivery before `before_id`, by each key given."""
        ...

    async def waiting_triggers(self) -> Mapping[str, int]:
        """The triggers with WAITING deliveries, and when the soonest of each is due."""
        ...

    def stored_steps(self, *, after_position: int = 0) -> AsyncIterator[StoredStep]:
        """Every step row of the log in order of position: what an audit reads."""
        ...


@record
class Invocation:
    """One call of a handler."""

    id: int  # unique within this process, to cancel by
    function: str
    payload: Payload
    execution_arn: str
    state: str
    token: str  # of a `.waitForTaskToken` task, else empty
    idempotency_key: str
    attempt: int
    deadline_ms: int | None


@record
class Returned:
    """The handler returned this value."""

    output: Payload


@record
class Raised:
    """The handler failed: Lambda's errorType, and Lambda's error object as JSON text."""

    error: str
    cause: str


Answer: TypeAlias = Returned | Raised


class Executor(Protocol):
    """Runs handlers.

    Every invocation gets exactly one answer, whatever becomes of the handler: it returns, raises,
    returns what is not JSON, dies, blocks past its deadline or does not exist. An invocation that
    was cancelled may get none.
    """

    def invoke(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        """Start a call and return at once; `answer` is called later, in the event loop."""
        ...

    def cancel(self, invocation: int) -> None:
        """Stop a call whose answer nobody waits for; unknown ids are ignored."""
        ...


@record
class Delivery:
    """An event from a sensor, and what to remember in the same commit."""

    event: TriggerEvent
    state: Mapping[str, bytes | None]  # what the sensor will find in `EventLog.sensor_state`


Publish: TypeAlias = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Make events durable with all they start, in order and in one transaction: all, or none of them.
Returns after the commit. An event that was there already is no error: what the sensor wants
remembered is stored all the same; of what is remembered under one key the last counts."""


Remember: TypeAlias = Callable[[Mapping[str, bytes | None]], Awaitable[None]]
"""Make durable what a sensor will find in its state, without an event; returns after the commit."""


class Pulse:
    """What a sensor tells of itself while it runs, for whoever watches over it.

    A sensor that has one as its attribute `pulse` gives signs of life: before it does something or
    waits, it says by when it will say something again. One that waits for the world without a limit
    says None, and is not stuck however long that takes.
    """

    __slots__ = ("signs", "until_ms")

    def __init__(self) -> None:
        self.until_ms: int | None = None  # by steady time
        self.signs = 0  # how many there were

    def until(self, at_ms: int | None) -> None:
        """Give a sign of life; the next comes at `at_ms` (steady time) at the latest, if any."""
        self.until_ms = at_ms
        self.signs += 1


@runtime_checkable
class Lagging(Protocol):
    """A sensor that knows how many events wait at its source."""

    @property
    def lag(self) -> Mapping[tuple[str, int], int]:
        """How many wait, by topic and partition or the like; empty while it is not known."""
        ...


class Sensor(Protocol):
    """Turns change in the world into trigger events. It publishes, waits, then goes on."""

    @property
    def name(self) -> str:
        """Under which its state is kept: stable over restarts, different for each source."""
        ...

    async def run(self, publish: Publish, state: Mapping[str, bytes]) -> None:
        """Watch until cancelled; `state` is what it remembered.

        Raises:
            SensorError: The source cannot be watched now; the supervisor starts it again.
        """
        ...


@record
class StoredObject:
    """What a listing tells of an object. `modified_ms` is in milliseconds since the epoch."""

    key: str
    size: int
    etag: str  # in double quotes, as S3 writes it
    modified_ms: int
    storage_class: str = "STANDARD"


class ObjectStore(Protocol):
    """Objects by bucket and key, as S3 has them.

    All methods raise `ObjectDoesNotExist` when there is no such bucket or object, and
    `ObjectStoreError` when the store refuses or cannot be reached.
    """

    def read(self, bucket: str, key: str, *, version: str | None = None) -> AsyncIterator[bytes]:
        """The content of an object, in pieces of at most a few MiB."""
        ...

    def list(self, bucket: str, prefix: str = "") -> AsyncIterator[StoredObject]:
        """The objects whose keys begin with `prefix`, in the order of the bytes of their keys."""
        ...

    async def write(self, bucket: str, key: str, content: AsyncIterable[bytes]) -> int:
        """Store an object, whole or not at all, in the place of any before; return its size."""
        ...


class Datasets(Protocol):
    """The items that Map Runs read, and the results that they leave.

    All methods raise `AuthorError` with the error that the Map Run then fails with.
    """

    def read(self, reading: Reading) -> AsyncGenerator[Item, None]:
        """The items of a dataset, in order; States.ItemReaderFailed."""
        ...

    async def write(
        self, writing: Writing, map_run_arn: str, folder: str, results: AsyncIterator[ChildResult]
    ) -> str:
        """Store results under `folder` and return the key of their manifest.

        Doing it again takes the place of what was there. States.ResultWriterFailed.
        """
        ...

    async def gather(
        self,
        writing: Writing | None,
        results: AsyncIterator[ChildResult],
        *,
        bytes_max: int,
        cause: str,
    ) -> Payload:
        """Results as the output of the Map state; States.DataLimitExceeded for this `cause`."""
        ...


class Clock(Protocol):
    """The time: points in time by the wall clock, lengths of time by one that is never set.

    All in milliseconds. A wall clock may be set forward or back while somebody sleeps.
    """

    def now_ms(self) -> int:
        """Now, since the epoch, as histories record it."""
        ...

    def steady_ms(self) -> int:
        """How long it is since some moment: only differences mean anything."""
        ...

    async def sleep_until(self, at_ms: int) -> None:
        """Return when `now_ms` is `at_ms` or a little later; at once when it has passed.

        A clock that is set meanwhile is noticed within a minute.
        """
        ...

    async def pause(self, length_ms: int) -> None:
        """Return after so much time, wherever the wall clock is set meanwhile."""
        ...
