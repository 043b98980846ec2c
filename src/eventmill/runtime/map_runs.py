"""Carries out Map Runs: starts their children, counts how they end, gathers their results.

A Map Run keeps nothing that the log does not have. Its children are executions that know their
place in it, so after a restart their number says where to go on, and their statuses what they came
to. In memory are the children that run, and one page of items.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final, TypeVar
from uuid import NAMESPACE_URL, uuid3

from eventmill.asl.error_names import EXCEED_TOLERATED_FAILURE_THRESHOLD
from eventmill.errors import AuthorError, LogUnavailable
from eventmill.faults import point
from eventmill.machine.commands import RunMap
from eventmill.machine.decision import too_large
from eventmill.machine.facts import Fact, MapRunFailed, MapRunSucceeded
from eventmill.machine.map_run import Item
from eventmill.model import Failure, Json, Payload, Quotas
from eventmill.ports import Clock, Datasets, EventLog, Transaction
from eventmill.record import record
from eventmill.rows import Child, ChildResult, ExecutionRow, MapRunChange
from eventmill.runtime.admission import Admission, weight_of
from eventmill.runtime.catalog import Catalog, Machine
from eventmill.runtime.map_batches import Batch, batches
from eventmill.runtime.map_results import results

_log: Final = logging.getLogger(__name__)

_PAGE: Final = 100  # children that are started in one commit
_PAGE_BYTES: Final = 1_048_576  # of their inputs
_PAUSE_MS: Final = 250  # before a log that refuses is tried again

_T = TypeVar("_T")


@record
class ChildStart:
    """A wish for a child."""

    machine: Machine
    name: str
    input: Payload
    child: Child


StartChildren = Callable[[Sequence[ChildStart]], Awaitable[Sequence[ExecutionRow]]]
StopChild = Callable[[str, str], Awaitable[object]]


def _weight(page: Iterable[Batch]) -> int:
    return sum(weight_of(len(batch.input)) for batch in page)


class _Run:
    """A Map Run under way."""

    def __init__(
        self, row: ExecutionRow, command: RunMap, report: Callable[[Fact], None], at_once: int
    ) -> None:
        self.row = row
        self.command = command
        self.report = report
        self.at_once = at_once
        self.key = (row.id, command.map_run)
        self.is_cancelled = False
        self.open: dict[int, int] = {}  # children that run -> their items
        self.early: dict[int, str] = {}  # children that ended before they were known here
        self.started = 0
        self.failed_items = 0
        self.items: int | None = None if command.items is None else len(command.items)
        self.news = asyncio.Event()

    def ended(self, child: int, status: str) -> None:
        """Take note that a child has ended."""
        items = self.open.pop(child, None)
        if items is None:
            self.early[child] = status
        else:
            self._count(status, items)
        self.news.set()

    def begun(self, child: int, items: int) -> None:
        """Take note of a child that was started; it may have ended since."""
        status = self.early.pop(child, None)
        if status is None:
            self.open[child] = items
        else:
            self._count(status, items)

    def _count(self, status: str, items: int) -> None:
        if status != "SUCCEEDED":
            self.failed_items += items

    @property
    def is_intolerable(self) -> bool:
        """Whether more has failed than the Map tolerates; of a share once all items are known."""
        failed, count = self.failed_items, self.command.tolerated_count
        share = self.command.tolerated_percentage
        if not count and not share:
            return failed > 0
        is_over_share = share and self.items and 100 * failed / self.items > share
        return bool((count and failed > count) or is_over_share)

    @property
    def is_over(self) -> bool:
        """Whether no more children are wanted."""
        return self.is_cancelled or self.is_intolerable


class MapRuns:
    """The Map Runs of a server; the engine hands them over and tells of each child that ended.

    Their children wait for room in memory as all who start do, but for the only one of a Map Run.
    `start` begins children that were admitted and returns when that is durable; `stop` aborts the
    child with an ARN for a reason and returns when it has ended; `broken` is told of errors that
    nothing survives.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        catalog: Catalog,
        datasets: Datasets,
        quotas: Quotas,
        admission: Admission,
        *,
        start: StartChildren,
        stop: StopChild,
        broken: Callable[[BaseException], None],
    ) -> None:
        self._events = log
        self._clock = clock
        self._catalog = catalog
        self._datasets = datasets
        self._quotas = quotas
        self._admission = admission
        self._start = start
        self._stop = stop
        self._broken = broken
        self._runs: dict[tuple[int, int], _Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def run(
        self, row: ExecutionRow, command: RunMap, report: Callable[[Fact], None]
    ) -> Callable[[], None]:
        """Carry a Map Run out, from where it is, and report its end; the result aborts it."""
        quota = self._quotas.map_run_concurrency_max
        at_once = min(command.max_concurrency or quota, quota)
        run = self._runs[row.id, command.map_run] = _Run(row, command, report, at_once)
        self._in_background(self._carry_out(run))

        def cancel() -> None:
            run.is_cancelled = True
            run.news.set()

        return cancel

    def ended(self, child: ExecutionRow, status: str) -> None:
        """Take note that a child has ended, durably."""
        assert child.child is not None
        run = self._runs.get((child.child.execution, child.child.map_run))
        if run is not None:
            run.ended(child.id, status)

    async def stop_orphans(self) -> None:
        """Stop the children whose Map Runs ended without them, before the last server could."""
        orphans = await self._insist(lambda: self._events.orphans(limit=_PAGE))
        while orphans:
            await self._stop_all(orphans)
            orphans = await self._insist(lambda: self._events.orphans(limit=_PAGE))

    def begin_stopping_orphans(self) -> None:
        """Stop orphans while everything else goes on."""
        self._in_background(self.stop_orphans())

    def close(self) -> None:
        """Stop at once; what was started is in the log."""
        for task in list(self._tasks):
            task.cancel()

    # One Map Run

    async def _carry_out(self, run: _Run) -> None:
        try:
            await self._resume(run)
            failure = await self._run_children(run)
            if run.is_cancelled:
                await self._stop_children(run)
                return
            point("before-map-run-end")
            outcome = await self._insist(lambda: self._outcome(run, failure))
            point("after-map-run-end")
            run.report(outcome)
        finally:
            del self._runs[run.key]

    async def _resume(self, run: _Run) -> None:
        """Find out how far the Map Run has come."""
        progress = await self._insist(lambda: self._events.progress(run.key))
        run.started = progress.started
        for status, (_, items) in progress.ended.items():
            if status != "SUCCEEDED":
                run.failed_items += items
        for child, items in progress.running.items():
            run.begun(child, items)
        run.early.clear()  # those left had ended in what was read, too

    async def _run_children(self, run: _Run) -> Failure | None:
        """Start all children and wait until they have ended, or until too many have failed."""
        failure = None
        try:
            async with aclosing(self._batches(run, run.started)) as rest:
                await self._start_children(run, rest)
        except AuthorError as error:
            failure = error.failure
        while run.open and failure is None and not run.is_over:
            await self._news(run)
        if run.is_intolerable:
            cause = "The specified tolerated failure threshold was exceeded"
            failure = failure or Failure(error=EXCEED_TOLERATED_FAILURE_THRESHOLD, cause=cause)
        if failure is not None and not run.is_cancelled:
            await self._let_end(run)
        return failure

    async def _start_children(self, run: _Run, rest: AsyncIterator[Batch]) -> None:
        machine = self._catalog.processor(
            run.row.state_machine_arn, run.command.label, run.command.definition
        )
        page: list[Batch] = []
        size = 0
        await self._room(run)
        if run.is_over:
            return
        async for batch in rest:
            page.append(batch)
            size += len(batch.input)
            is_full = len(page) >= min(_PAGE, run.at_once - len(run.open))
            if is_full or size >= _PAGE_BYTES:
                await self._start_page(run, machine, page)
                page.clear()
                size = 0
                await self._room(run)
            if run.is_over:
                return
        if page:
            await self._start_page(run, machine, page)

    async def _room(self, run: _Run) -> None:
        """Wait until another child may run."""
        while len(run.open) >= run.at_once and not run.is_over:
            await self._news(run)

    async def _start_page(self, run: _Run, machine: Machine, page: Sequence[Batch]) -> None:
        while page:
            admitted = await self._admitted(run, page)
            if run.is_over:
                self._admission.leave(_weight(admitted))
                return
            await self._start_admitted(run, machine, admitted)
            page = page[len(admitted) :]

    async def _admitted(self, run: _Run, page: Sequence[Batch]) -> Sequence[Batch]:
        """Wait until there is room for a page, and return what of it may start.

        One child of a Map Run may always run. So those that fill the memory never wait for children
        that find no room in it, however deep Map Runs lie in each other.
        """
        if self._admission.entered(_weight(page)) or await self._entered(run, _weight(page)):
            return page
        self._admission.push_in(_weight(page[:1]))
        return page[:1]

    async def _entered(self, run: _Run, weight: int) -> bool:
        """Wait for room as long as a child runs and another one is wanted."""
        entering = asyncio.ensure_future(self._admission.enter(weight))
        try:
            while run.open and not run.is_over and not entering.done():
                run.news.clear()
                news = asyncio.ensure_future(run.news.wait())
                await asyncio.wait((entering, news), return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
        finally:
            if not entering.done():
                entering.cancel()
        return entering.done()

    async def _start_admitted(self, run: _Run, machine: Machine, page: Sequence[Batch]) -> None:
        starts = [
            ChildStart(
                machine=machine,
                name=str(uuid3(NAMESPACE_URL, f"{run.command.arn}/{index}")),
                input=batch.input,
                child=Child(
                    execution=run.row.id,
                    map_run=run.command.map_run,
                    index=index,
                    items=batch.items,
                ),
            )
            for index, batch in enumerate(page, run.started)
        ]
        point("before-child-start")
        is_admitted = True

        async def start() -> Sequence[ExecutionRow]:
            nonlocal is_admitted
            if not is_admitted:
                self._admission.push_in(_weight(page))  # the log has refused it, and made room
            is_admitted = False
            return await self._start(starts)

        rows = await self._insist(start)
        point("after-child-start")
        run.started += len(rows)
        for row, batch in zip(rows, page, strict=True):
            run.begun(row.id, batch.items)

    async def _batches(self, run: _Run, skip: int) -> AsyncGenerator[Batch, None]:
        async with aclosing(self._counted_items(run)) as items:
            found = batches(run.command, items, skip=skip, bytes_max=self._quotas.payload_bytes_max)
            async with aclosing(found):
                async for batch in found:
                    yield batch

    async def _counted_items(self, run: _Run) -> AsyncGenerator[Item, None]:
        """The items; that all have been read is worth knowing."""
        if run.command.reading is None:
            for item in run.command.items or ():
                yield item
            return
        read = 0
        async with aclosing(self._datasets.read(run.command.reading)) as items:
            async for item in items:
                yield item
                read += 1
        if run.items is None:
            run.items = read
            change = {run.key: MapRunChange(items=read)}
            await self._insist(lambda: self._events.commit(Transaction(map_run_changes=change)))

    async def _let_end(self, run: _Run) -> None:
        """Let the children that still run end: Standard ones are stopped, Express ones run on."""
        if not run.command.is_express:
            await self._stop_children(run)
        while run.open:
            await self._news(run)

    async def _stop_children(self, run: _Run) -> None:
        while running := await self._insist(
            lambda: self._events.executions(map_run=run.key, status="RUNNING", limit=_PAGE)
        ):
            await self._stop_all(running)

    async def _stop_all(self, children: Iterable[ExecutionRow]) -> None:
        for child in children:
            await self._insist(partial(self._stop_child, child))

    async def _stop_child(self, child: ExecutionRow) -> None:
        assert child.child is not None
        rows = await self._events.map_runs(child.child.execution)
        arn = next(row.arn for row in rows if row.map_run == child.child.map_run)
        cause = f"The map run execution [{arn}] which was managing this resource was aborted"
        await self._stop(child.arn, cause)

    # Its outcome

    async def _outcome(self, run: _Run, failure: Failure | None) -> Fact:
        try:
            output = await self._output(run, failure)
        except AuthorError as error:
            failure = failure or error.failure
        if failure is not None:
            return MapRunFailed(
                map_run=run.command.map_run, error=failure.error, cause=failure.cause
            )
        return MapRunSucceeded(map_run=run.command.map_run, output=output)

    async def _output(self, run: _Run, failure: Failure | None) -> Payload:
        """Write the results, or put them together; a Map Run that failed only writes them."""
        writing, arn = run.command.writing, run.command.arn
        async with aclosing(self._results(run, failure)) as found:
            if writing is not None and writing.bucket is not None:
                folder = arn.rsplit(":", 1)[-1]
                key = await self._datasets.write(writing, arn, folder, found)
                details: dict[str, Json] = {"Bucket": writing.bucket, "Key": key}
                return Payload.of({"MapRunArn": arn, "ResultWriterDetails": details})
            if failure is not None:
                return Payload(b"null")
            return await self._datasets.gather(
                writing,
                found,
                bytes_max=self._quotas.payload_bytes_max,
                cause=too_large(run.command.state),
            )

    async def _results(
        self, run: _Run, failure: Failure | None
    ) -> AsyncGenerator[ChildResult, None]:
        async with aclosing(results(self._events, run.key)) as found:
            async for result in found:
                yield result
        if failure is not None:
            async with aclosing(self._pending(run)) as rest:
                async for result in rest:
                    yield result

    async def _pending(self, run: _Run) -> AsyncGenerator[ChildResult, None]:
        """What was never started, as far as it can be read."""
        try:
            async with aclosing(self._batches(run, run.started)) as rest:
                async for batch in rest:
                    yield ChildResult(status="PENDING", input=batch.input)
        except AuthorError:
            return

    # Patience

    async def _news(self, run: _Run) -> None:
        run.news.clear()
        await run.news.wait()

    async def _insist(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask the log until it answers."""
        while True:
            try:
                return await ask()
            except LogUnavailable as error:
                _log.warning("a Map Run waits for the log: %s", error)
                await self._clock.pause(_PAUSE_MS)

    def _in_background(self, work: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._broken(error)
