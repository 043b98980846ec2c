"""Group commit: while one batch is being written, the event loop gathers the next.

Nothing waits for company: a lone transaction is written at once, and under load the batches grow
by themselves to what arrives during one flush of the disk. Other work of the writer, such as
removing what is old, takes turns with the batches.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

from eventmill.errors import LogDamaged, LogError, LogUnavailable
from eventmill.log.connection import Connection, uninterrupted
from eventmill.log.writer import Writer
from eventmill.ports import Transaction

_T = TypeVar("_T")
_Pending: TypeAlias = "tuple[Transaction, asyncio.Future[None]]"
_Work: TypeAlias = "tuple[Callable[[Writer], Any], asyncio.Future[Any]]"

_TRANSACTIONS_MAX: Final = 1_024
_BODY_BYTES_MAX: Final = 8_388_608


class GroupCommit:
    """Carries transactions to the writer, in order and many at once, and the outcomes back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pending: deque[_Pending] = deque()
        self._work: deque[_Work] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._failed = False
        self._owner = asyncio.current_task()

    @classmethod
    @asynccontextmanager
    async def running(cls, connection: Connection) -> AsyncIterator["GroupCommit"]:
        """A group commit at work. Before it ends, all that was handed over gets its outcome.

        A mistake of ours in the writer cancels the block and is raised from it.
        """
        self = cls(connection)
        writer = await connection.run(Writer, connection.path)
        flusher = asyncio.create_task(self._flush(writer))
        try:
            yield self
        finally:
            self._closed = True
            self._wake.set()
            try:
                await uninterrupted(flusher)
            except BaseException:
                if self._failed and self._owner is not None:
                    self._owner.uncancel()
                raise

    def submit(self, transaction: Transaction) -> "asyncio.Future[None]":
        """See `EventLog.commit`."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            durable.set_exception(LogUnavailable(f"the log {self._connection.path} is closed"))
        else:
            self._pending.append((transaction, durable))
            self._wake.set()
        return durable

    async def carry_out(self, work: Callable[[Writer], _T]) -> _T:
        """Have `Writer.carry_out` do `work` between two batches, in the writer's thread.

        Commits wait for it meanwhile, so it should be done within milliseconds. Who stops waiting
        for it does not stop it.

        Raises:
            LogUnavailable: The disk refuses, or the log is closed; nothing was done.
            LogDamaged: The file is damaged; likewise.
        """
        if self._closed:
            raise LogUnavailable(f"the log {self._connection.path} is closed")
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._work.append((work, done))
        self._wake.set()
        return await done

    async def _flush(self, writer: Writer) -> None:
        while self._pending or self._work or not self._closed:
            if self._pending:
                await self._commit(writer, self._take())
            if self._work:
                await self._carry_out(writer, *self._work.popleft())
            elif not self._pending and not self._closed:
                self._wake.clear()
                await self._wake.wait()

    async def _carry_out(
        self, writer: Writer, work: Callable[[Writer], Any], done: "asyncio.Future[Any]"
    ) -> None:
        try:
            result = await self._connection.run(lambda _: writer.carry_out(work))
        except (LogUnavailable, LogDamaged) as error:
            if not done.done():
                done.set_exception(error)
            return
        except BaseException:
            self._give_up([])
            if not done.done():
                done.set_exception(LogUnavailable("the log's writer has failed"))
            raise
        if not done.done():
            done.set_result(result)

    def _take(self) -> list[_Pending]:
        batch: list[_Pending] = []
        body_bytes = 0
        while self._pending and len(batch) < _TRANSACTIONS_MAX and body_bytes < _BODY_BYTES_MAX:
            each = self._pending.popleft()
            batch.append(each)
            body_bytes += sum(len(step.body) for step in each[0].steps)
        return batch

    async def _commit(self, writer: Writer, batch: list[_Pending]) -> None:
        transactions = [transaction for transaction, _ in batch]
        try:
            refusals = await self._connection.run(lambda _: writer.commit(transactions))
        except (LogUnavailable, LogDamaged) as error:
            # Those behind may build on those that are lost.
            self._fail([*batch, *self._pending], error)
            self._pending.clear()
            return
        except BaseException:
            self._give_up(batch)
            raise
        for (_, durable), refused in zip(batch, refusals, strict=True):
            if durable.done():
                continue
            if refused is None:
                durable.set_result(None)
            else:
                durable.set_exception(refused)

    def _give_up(self, batch: list[_Pending]) -> None:
        """Our own mistake. Nobody may wait for ever, and nothing more may be written."""
        self._closed = self._failed = True
        if self._owner is not None:
            self._owner.cancel()
        error = LogUnavailable("the log's writer has failed")
        self._fail([*batch, *self._pending], error)
        self._pending.clear()
        for _, done in self._work:
            if not done.done():
                done.set_exception(LogUnavailable(*error.args))
        self._work.clear()

    def _fail(self, pending: list[_Pending], error: LogError) -> None:
        for _, durable in pending:
            if not durable.done():
                # One error for each, since a traceback grows in every place that raises it.
                each = type(error)(*error.args)
                each.__cause__ = error.__cause__
                durable.set_exception(each)
