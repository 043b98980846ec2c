"""Group commit: while one batch is being written, the event loop gathers the next.

Nothing waits for company: what one turn of the loop hands over is written after it, together with
all that waits by then, so under load the batches grow by themselves. But only so far: if all that
is in flight were in one batch, the loop would have nothing to do while the writer works, nor the
writer while the loop does. Other work of the writer, such as removing what is old, takes turns with
the batches.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import Final, TypeAlias, TypeVar

from eventmill.errors import LogDamaged, LogError, LogUnavailable
from eventmill.log.connection import Connection, uninterrupted
from eventmill.log.outcomes import awaited
from eventmill.log.writer import Writer
from eventmill.ports import Outcome, Transaction

_T = TypeVar("_T")

_TRANSACTIONS_MAX: Final = 128
_BODY_BYTES_MAX: Final = 8_388_608


class _Batch:
    """Transactions for one commit; all of them were handed over before or after the same losses."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.transactions: list[Transaction] = []
        self.bytes = 0

    def add(self, transaction: Transaction) -> None:
        self.transactions.append(transaction)
        for step in transaction.steps:
            self.bytes += len(step.body)

    @property
    def is_full(self) -> bool:
        return len(self.transactions) >= _TRANSACTIONS_MAX or self.bytes >= _BODY_BYTES_MAX

    def takes(self, job: "_Job | None") -> bool:
        """Whether a job that waits behind this batch is one that can be written with it."""
        return (
            isinstance(job, _Batch)
            and job.generation == self.generation
            and len(self.transactions) + len(job.transactions) <= _TRANSACTIONS_MAX
            and self.bytes + job.bytes <= _BODY_BYTES_MAX
        )

    def join(self, batch: "_Batch") -> None:
        self.transactions += batch.transactions
        self.bytes += batch.bytes


_Job: TypeAlias = _Batch | Callable[[Writer], None]


class GroupCommit:
    """Carries transactions to the writer, in order and many at once, and the outcomes back.

    The writer's thread takes one job after the other and never waits for the loop in between.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._owner = asyncio.current_task()
        self._gathered = _Batch(0)
        self._outcomes: list[Outcome] = []  # of what is gathered
        # Jobs for the writer's thread, for each of which the bell rings; None is the last.
        self._jobs: deque[_Job | None] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        # Who is to be told of the transactions and jobs that were handed over, in their order.
        self._waiting: deque[Outcome] = deque()
        # Grows when the loop learns that transactions are lost. What it has handed over before may
        # build on them, so the writer's thread refuses all of that generation.
        self._generation = 0
        self._refused: tuple[int, LogError] | None = None
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def running(
        cls, connection: Connection, kind: type[Writer] = Writer
    ) -> AsyncIterator["GroupCommit"]:
        """A group commit at work. Before it ends, all that was handed over gets its outcome.

        A mistake of ours in the writer cancels the block and is raised from it.
        """
        self = cls(connection)
        writer = await connection.run(kind, connection.path)
        work = asyncio.create_task(connection.run(lambda _: self._work_off(writer)))
        work.add_done_callback(self._give_up)
        try:
            yield self
        finally:
            self._hand_over()
            self._closed = True
            self._put(None)
            try:
                await uninterrupted(work)
            except BaseException:
                if self._owner is not None and work.done() and not work.cancelled():
                    self._owner.uncancel()
                raise

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        """See `EventLog.submit`."""
        if self._closed:
            self._loop.call_soon(outcome, self._is_closed())
            return
        gathered = self._gathered
        if not gathered.transactions:
            self._loop.call_soon(self._hand_over)
        gathered.add(transaction)
        self._outcomes.append(outcome)
        if gathered.is_full:
            self._hand_over()

    async def carry_out(self, work: Callable[[Writer], _T]) -> _T:
        """Have `Writer.carry_out` do `work` between two batches, in the writer's thread.

        Commits wait for it meanwhile, so it should be done within milliseconds. Who stops waiting
        for it does not stop it.

        Raises:
            LogUnavailable: The disk refuses, or the log is closed; nothing was done.
            LogDamaged: The file is damaged; likewise.
        """
        if self._closed:
            raise self._is_closed()
        results: list[_T] = []

        def job(writer: Writer) -> None:
            try:
                results.append(writer.carry_out(work))
            except (LogUnavailable, LogDamaged) as error:
                self._report(self._tell, [error])
            else:
                self._report(self._tell, [None])

        self._hand_over()
        done, outcome = awaited()
        self._waiting.append(outcome)
        self._put(job)
        await done
        return results[0]

    def _is_closed(self) -> LogUnavailable:
        return LogUnavailable(f"the log {self._connection.path} is closed")

    def _hand_over(self) -> None:
        batch = self._gathered
        if batch.transactions:
            self._gathered = _Batch(self._generation)
            self._waiting += self._outcomes
            self._outcomes = []
            self._put(batch)

    def _put(self, job: _Job | None) -> None:
        self._jobs.append(job)
        self._bell.put(None)

    # In the writer's thread

    def _work_off(self, writer: Writer) -> None:
        while (job := self._next()) is not None:
            if isinstance(job, _Batch):
                self._commit(writer, job)
            else:
                job(writer)

    def _next(self) -> _Job | None:
        self._bell.get()
        job = self._jobs.popleft()
        if isinstance(job, _Batch):
            while self._jobs and job.takes(self._jobs[0]):
                self._bell.get()
                following = self._jobs.popleft()
                assert isinstance(following, _Batch)
                job.join(following)
        return job

    def _commit(self, writer: Writer, batch: _Batch) -> None:
        if self._refused is not None and self._refused[0] == batch.generation:
            self._report_lost(batch, self._refused[1])
            return
        try:
            refusals = writer.commit(batch.transactions)
        except (LogUnavailable, LogDamaged) as error:
            self._refused = batch.generation, error
            self._report_lost(batch, error)
        else:
            self._report(self._tell, refusals)

    def _report_lost(self, batch: _Batch, error: LogError) -> None:
        self._report(self._lost, len(batch.transactions), error, batch.generation)

    def _report(self, to: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(to, *arguments)

    # In the loop again

    def _tell(self, refusals: Sequence[Exception | None]) -> None:
        """So many transactions and jobs have come back: durable, or refused."""
        told = [self._waiting.popleft() for _ in refusals]
        self._tell_each(zip(told, refusals, strict=True))

    def _tell_each(self, told: Iterator[tuple[Outcome, Exception | None]]) -> None:
        try:
            for outcome, refused in told:
                outcome(refused)
        except BaseException:
            self._loop.call_soon(self._tell_each, told)  # the mistake of one is not the others'
            raise

    def _lost(self, count: int, error: LogError, generation: int) -> None:
        lost = [self._waiting.popleft() for _ in range(count)]
        if generation == self._generation:
            self._generation += 1
            lost += self._outcomes
            self._gathered, self._outcomes = _Batch(self._generation), []
        # One error for each, since a traceback grows in every place that raises it.
        self._tell_each((outcome, _again(error)) for outcome in lost)

    def _give_up(self, work: "asyncio.Task[None]") -> None:
        """Our own mistake. Nobody may wait for ever, and nothing more may be written."""
        if not work.cancelled() and work.exception() is None:
            return
        self._closed = True
        if self._owner is not None:
            self._owner.cancel()
        error = LogUnavailable("the log's writer has failed")
        self._lost(len(self._waiting), error, self._generation)


def _again(error: LogError) -> LogError:
    each = type(error)(*error.args)
    each.__cause__ = error.__cause__
    return each
