"""An `EventLog` in one SQLite file, for one machine."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Final, Self, TypeVar

from eventmill.errors import LogUnavailable
from eventmill.log import deliveries, lock, queries, snapshots
from eventmill.log.checkpoints import Checkpoint, Sign, store_checkpoint
from eventmill.log.connection import Connection, connected
from eventmill.log.database import open_for_reading, open_for_writing
from eventmill.log.group_commit import GroupCommit
from eventmill.log.outcomes import awaited
from eventmill.log.writer import Writer
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

_T = TypeVar("_T")

_STEPS_PER_READ: Final = 500
_HISTORIES_PER_READ: Final = 500
_BYTES_PER_READ: Final = 4_194_304


class SqliteEventLog:
    """An `EventLog` in an SQLite file: one connection writes, another one reads beside it.

    Reads see all that is durable, raise LogUnavailable or LogDamaged, and never hold up a commit.
    """

    kind_of_writer: type[Writer] = Writer

    def __init__(self, path: Path, reader: Connection, writing: GroupCommit | None) -> None:
        """Use `SqliteEventLog.open`."""
        self._path = path
        self._reader = reader
        self._writing = writing

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | PathLike[str],
        *,
        read_only: bool = False,
        busy_timeout_ms: int = 5_000,
    ) -> AsyncIterator[Self]:
        """The log in the file `path`, which is created in its folder when it is missing.

        It belongs to this process until the end of the block, which waits for the outcome of all
        that was handed over. With `read_only` it is opened beside a server or without one, needs a
        file that exists, and `commit` raises. A database that another process has locked is
        waited for, `busy_timeout_ms` long.

        Raises:
            LogInUse: Another process holds the log.
            LogUnavailable: The file cannot be opened.
            LogDamaged: The file is no event log.
            LogFromTheFuture: A newer version of Eventmill wrote it.
        """
        path = Path(path)
        async with AsyncExitStack() as stack:
            writing = None
            if not read_only:
                stack.enter_context(lock.held(path))
                opened = connected(path, partial(open_for_writing, path, busy_timeout_ms))
                writer = await stack.enter_async_context(opened)
                writing = await stack.enter_async_context(
                    GroupCommit.running(writer, cls.kind_of_writer)
                )
            opened = connected(path, partial(open_for_reading, path, busy_timeout_ms))
            reader = await stack.enter_async_context(opened)
            yield cls(path, reader, writing)

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        """See `EventLog.submit`.

        Raises:
            LogUnavailable: The log was opened with `read_only`.
        """
        self._writer().submit(transaction, outcome)

    def commit(self, transaction: Transaction) -> "asyncio.Future[None]":
        """See `EventLog.commit`.

        Raises:
            LogUnavailable: The log was opened with `read_only`.
        """
        durable, outcome = awaited()
        self.submit(transaction, outcome)
        return durable

    @property
    def path(self) -> Path:
        """The file of the log."""
        return self._path

    async def carry_out(self, work: Callable[[Writer], _T]) -> _T:
        """Let the writer do `work` in a transaction of its own, between two batches of commits.

        Raises:
            LogUnavailable: The disk refuses, the log is closed, or open for reading only.
            LogDamaged: The file is damaged.
        """
        return await self._writer().carry_out(work)

    async def checkpoint(
        self, at_ms: int, sign: Sign | None = None, *, rows_min: int = 1
    ) -> Checkpoint | None:
        """Store a checkpoint, if `rows_min` rows or more were added since the last one.

        Raises:
            LogUnavailable: The disk refuses, the log is closed, or open for reading only.
            LogDamaged: The file is damaged.
        """
        return await self.carry_out(
            partial(store_checkpoint, at_ms=at_ms, sign=sign, rows_min=rows_min)
        )

    def _writer(self) -> GroupCommit:
        if self._writing is None:
            raise LogUnavailable(f"the log {self._path} is open for reading only")
        return self._writing

    async def read(self, execution: int, *, after_step: int = 0) -> Sequence[StepRow]:
        """See `EventLog.read`."""
        return await self._reader.run(queries.read, execution, after_step)

    async def execution(self, arn: str) -> ExecutionRow | None:
        """See `EventLog.execution`."""
        return await self._reader.run(queries.execution, arn)

    async def execution_by_id(self, execution: int) -> ExecutionRow | None:
        """See `EventLog.execution_by_id`."""
        return await self._reader.run(queries.execution_by_id, execution)

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
        return await self._reader.run(
            queries.executions, state_machine_arn, status, map_run, before_id, limit
        )

    async def newest_id(self) -> int:
        """See `EventLog.newest_id`."""
        return await self._reader.run(queries.newest_id)

    async def map_run(self, arn: str) -> MapRunRow | None:
        """See `EventLog.map_run`."""
        return await self._reader.run(queries.map_run, arn)

    async def map_runs(self, execution: int) -> Sequence[MapRunRow]:
        """See `EventLog.map_runs`."""
        return await self._reader.run(queries.map_runs, execution)

    async def progress(self, map_run: tuple[int, int]) -> Progress:
        """See `EventLog.progress`."""
        return await self._reader.run(queries.progress, map_run)

    async def children(
        self, map_run: tuple[int, int], *, after_index: int, limit: int
    ) -> Sequence[ChildHistory]:
        """See `EventLog.children`."""
        return await self._reader.run(queries.children, map_run, after_index, limit)

    async def orphans(self, *, limit: int) -> Sequence[ExecutionRow]:
        """See `EventLog.orphans`."""
        return await self._reader.run(queries.orphans, limit)

    async def unfinished(self) -> Sequence[int]:
        """See `EventLog.unfinished`."""
        return await self._reader.run(queries.unfinished)

    async def histories(self, executions: Sequence[int]) -> AsyncGenerator[ExecutionHistory, None]:
        """See `EventLog.histories`."""
        rest = sorted(set(executions))
        while rest:
            asked = rest[:_HISTORIES_PER_READ]
            page, last = await self._reader.run(queries.histories, asked, _BYTES_PER_READ)
            for history in page:
                yield history
            rest = rest[bisect_right(rest, last) :]

    async def snapshot(self, execution: int) -> Snapshot | None:
        """See `EventLog.snapshot`."""
        return await self._reader.run(snapshots.read, execution)

    async def due(self, now_ms: int, *, limit: int) -> Sequence[tuple[int, int]]:
        """See `EventLog.due`."""
        return await self._reader.run(queries.due, now_ms, limit)

    async def next_due_ms(self) -> int | None:
        """See `EventLog.next_due_ms`."""
        return await self._reader.run(queries.next_due_ms)

    async def definition(self, digest: str) -> str | None:
        """See `EventLog.definition`."""
        return await self._reader.run(queries.definition, digest)

    async def sensor_state(self, sensor: str, *, limit: int | None = None) -> Mapping[str, bytes]:
        """See `EventLog.sensor_state`."""
        return await self._reader.run(queries.sensor_state, sensor, limit)

    async def event(self, source: str, event_id: str) -> InboxEvent | None:
        """See `EventLog.event`."""
        return await self._reader.run(queries.event, source, event_id)

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
        return await self._reader.run(
            queries.inbox, before_position, limit, source, event_id, id_prefix
        )

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
        ask = deliveries.listed
        return await self._reader.run(ask, event, trigger, status, before_id, limit)

    async def due_deliveries(
        self, now_ms: int, *, trigger: str | None = None, limit: int
    ) -> Sequence[DeliveryRow]:
        """See `EventLog.due_deliveries`."""
        return await self._reader.run(deliveries.due, now_ms, trigger, limit)

    async def accepted_delivery(
        self,
        trigger: str,
        *,
        before_id: int,
        dedup_key: str | None = None,
        content_key: str | None = None,
    ) -> DeliveryRow | None:
        """See `EventLog.accepted_delivery`."""
        ask = deliveries.accepted
        return await self._reader.run(ask, trigger, before_id, dedup_key, content_key)

    async def waiting_triggers(self) -> Mapping[str, int]:
        """See `EventLog.waiting_triggers`."""
        return await self._reader.run(deliveries.waiting_triggers)

    async def stored_steps(self, *, after_position: int = 0) -> AsyncIterator[StoredStep]:
        """See `EventLog.stored_steps`."""
        # Each page is a read of its own: a long one would keep the write-ahead log from shrinking.
        while page := await self._reader.run(
            queries.stored_steps, after_position, _STEPS_PER_READ, _BYTES_PER_READ
        ):
            for stored in page:
                yield stored
            after_position = page[-1].position
