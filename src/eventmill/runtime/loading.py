"""Brings executions from the log into memory: whoever is wanted meanwhile comes with one read.

A fact about an execution that is not in memory waits here until it is. So recovery and facts never
load one twice, and facts keep their order.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Final, TypeAlias

from eventmill.asl.syntax import StateMachine
from eventmill.codec import decode_step
from eventmill.errors import LogDamaged, LogUnavailable
from eventmill.faults import point
from eventmill.machine.execution import RUNNING, Execution, Identity, fold
from eventmill.machine.facts import Fact
from eventmill.machine.snapshot import LAYOUT, restore
from eventmill.ports import Clock, EventLog, Transaction
from eventmill.rows import ExecutionHistory, ExecutionRow, Snapshot
from eventmill.runtime.catalog import Catalog

_log: Final = logging.getLogger(__name__)

_PAGE: Final = 500  # executions that are asked for at once
_TURN: Final = 25  # executions that are folded before the event loop may do something else
_STEPS_PER_TURN: Final = 200  # likewise, of one with a long history
_PAUSE_MS: Final = 250  # before a log that refuses is tried again

Taken: TypeAlias = Callable[[bool], None]
"""Is told, once that is durable, whether a fact was taken."""

Told: TypeAlias = tuple[Fact, Taken]


class Live:
    """An execution in memory, with what the shell has to know about it."""

    __slots__ = (
        "execution",
        "id",
        "in_flight",
        "row",
        "snapshot_bytes",
        "snapshot_event",
        "snapshot_step",
        "step",
        "tail_bytes",
        "timer_ms",
        "weight",
    )

    def __init__(self, row: ExecutionRow, definition: StateMachine) -> None:
        self.id = row.id
        self.row = row
        self.execution = Execution(Identity.of(row.arn, row.state_machine_arn), definition)
        self.step = 0  # the last step handed to the log
        self.in_flight = 0  # transactions handed to the log and not yet durable
        self.timer_ms: int | None = None  # what the log's timer row says
        self.weight = 0  # what it counts in memory
        self.snapshot_step = 0  # which step the last snapshot is of, with which event that ends
        self.snapshot_event = 0
        self.snapshot_bytes = 0
        self.tail_bytes = 0  # in the steps after it

    def restore(self, snapshot: Snapshot) -> None:
        """Be as a snapshot says.

        Raises:
            ValueError: It cannot be read.
        """
        identity, definition = self.execution.identity, self.execution.machine
        self.execution = restore(identity, definition, snapshot.body)
        self.step = snapshot.step
        self.has_snapshot(len(snapshot.body))

    def has_snapshot(self, size: int) -> None:
        """Take note that there is a snapshot of the last step, with so many bytes."""
        self.snapshot_step, self.snapshot_event = self.step, self.execution.sequence
        self.snapshot_bytes, self.tail_bytes = size, 0


class Loading:
    """The executions on their way into memory.

    `loaded` is given each that goes on, with the facts that waited for it; `gone` the facts about
    one that has ended, and the timer that it left, if any; `broken` is told of an error that
    nothing survives.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        catalog: Catalog,
        *,
        loaded: Callable[[Live, Sequence[Told]], None],
        gone: Callable[[int, int | None, Sequence[Told]], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._events = log
        self._clock = clock
        self._catalog = catalog
        self._loaded = loaded
        self._gone = gone
        self._broken = broken
        self._told: dict[int, list[Told]] = {}
        # Executions in the order in which they were wanted; a future is somebody who waits until
        # all before it have come.
        self._wanted: deque[int | asyncio.Future[None]] = deque()
        self._work: asyncio.Task[None] | None = None
        self._must_pause = False

    def __contains__(self, execution: int) -> bool:
        return execution in self._told

    def want(self, execution: int, *told: Told) -> None:
        """Bring an execution into memory and give it these facts, after those that wait."""
        waiting = self._told.get(execution)
        if waiting is not None:
            waiting += told
            return
        self._told[execution] = list(told)
        self._wanted.append(execution)
        self._begin()

    def want_later(self, execution: int, *told: Told) -> None:
        """The same for an execution whose transaction the log refused: give it a pause first."""
        self._must_pause = True
        self.want(execution, *told)

    def expect(self, execution: int) -> None:
        """Hold facts about a new execution back until `arrived`."""
        self._told[execution] = []

    def arrived(self, execution: int) -> Sequence[Told]:
        """The facts that were held back."""
        return self._told.pop(execution)

    async def caught_up(self) -> None:
        """Return when all that are wanted by now have been handed over."""
        come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted.append(come)
        self._begin()
        await come

    def close(self) -> None:
        """Stop; what was acknowledged is in the log."""
        if self._work is not None:
            self._work.cancel()

    def _begin(self) -> None:
        if self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._load())
            self._work.add_done_callback(self._ended)

    def _ended(self, work: "asyncio.Task[None]") -> None:
        if work.cancelled():
            return
        error = work.exception()
        if error is not None:
            self._broken(error)
            return
        self._work = None
        if self._wanted:
            self._begin()

    async def _load(self) -> None:
        while self._wanted:
            left = self._next_page()
            while left:
                while self._must_pause:
                    self._must_pause = False
                    await self._clock.pause(_PAUSE_MS)
                point("before-load")
                try:
                    # Transactions are answered in order: after an empty one, every answer handed
                    # over before is known here, and its task is not run again.
                    await self._events.commit(Transaction())
                    await self._load_all(left)
                except LogUnavailable as error:
                    _log.warning("executions cannot be read, trying again: %s", error)
                    self._must_pause = True
            while self._wanted and isinstance(self._wanted[0], asyncio.Future):
                come = self._wanted.popleft()
                assert isinstance(come, asyncio.Future)
                if not come.done():  # whoever waited may have gone
                    come.set_result(None)

    def _next_page(self) -> set[int]:
        page: set[int] = set()
        while self._wanted and len(page) < _PAGE:
            each = self._wanted[0]
            if isinstance(each, asyncio.Future):
                break
            page.add(each)
            self._wanted.popleft()
        return page

    async def _load_all(self, left: set[int]) -> None:
        """Load executions, and take each out of `left` that has come."""
        async with aclosing(self._events.histories(sorted(left))) as histories:
            async for history in histories:
                definition = await self._catalog.definition(history.row.definition)
                await self._hand_over(history, definition)
                left.remove(history.row.id)
                if len(left) % _TURN == 0:
                    await asyncio.sleep(0)
        while left:
            each = left.pop()
            self._gone(each, None, self._told.pop(each))

    async def _hand_over(self, history: ExecutionHistory, definition: StateMachine) -> None:
        row = history.row
        if row.status != RUNNING:
            self._gone(row.id, history.due_ms, self._told.pop(row.id))
            return
        live = Live(row, definition)
        live.timer_ms = history.due_ms
        for body in await self._tail(live, history):
            try:
                fold(live.execution, decode_step(body, history.payloads).events)
            except ValueError as error:
                raise LogDamaged(f"the history of {row.arn} cannot be read: {error}") from error
            live.step += 1
            live.tail_bytes += len(body)
            if live.step % _STEPS_PER_TURN == 0:
                await asyncio.sleep(0)
        live.execution.abandoned.clear()
        live.execution.abandoned_runs.clear()
        self._loaded(live, self._told.pop(row.id))
        point("after-load")

    async def _tail(self, live: Live, history: ExecutionHistory) -> Sequence[bytes]:
        """Restore an execution from its snapshot, and return the steps that are to be folded."""
        snapshot = history.snapshot
        if snapshot is None:
            return history.bodies
        try:
            if snapshot.layout == LAYOUT:  # otherwise another version of Eventmill wrote it
                live.restore(snapshot)
                return history.bodies
        except ValueError as error:
            _log.warning("the snapshot of %s is ignored: %s", live.row.arn, error)
        steps = await self._events.read(live.id)
        return [step.body for step in steps[: live.row.steps]]
