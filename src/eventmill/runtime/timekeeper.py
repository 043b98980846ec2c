"""Wakes executions when their time has come: those in memory, and those that sleep in the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from heapq import heappop, heappush
from typing import Final

from eventmill.errors import LogUnavailable
from eventmill.faults import point
from eventmill.ports import Clock, EventLog
from eventmill.runtime.admission import Admission

_log: Final = logging.getLogger(__name__)

# The due time of an execution that waits for somebody outside, without a limit.
NEVER_MS: Final = 2**62
_PAGE: Final = 500
_TRY_AGAIN_MS: Final = 1_000
# So many outdated due times may lie in the heap before it is swept.
_OUTDATED_MAX: Final = 1_000


class Timekeeper:
    """Knows when somebody must be woken next, and keeps nothing per sleeper.

    `wake` is given executions whose time has come; it returns when what follows is durable, so
    that their timer rows are gone or say something new. Those that sleep in the log
    come a page at a time, when `admission` has room or after a while.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        wake: Callable[[Iterable[int]], Awaitable[None]],
        admission: Admission,
    ) -> None:
        self._events = log
        self._clock = clock
        self._wake = wake
        self._admission = admission
        self._due: dict[int, int] = {}  # execution -> due_ms
        self._in_memory: list[tuple[int, int]] = []  # a heap of the same, with some outdated
        self._in_log_ms: int | None = None
        self._news = asyncio.Event()
        self._log_refuses = False

    def remember(self, execution: int, due_ms: int) -> None:
        """An execution in memory has something due, and nothing sooner."""
        if self._due.get(execution) == due_ms:
            return
        if len(self._in_memory) > 2 * len(self._due) + _OUTDATED_MAX:
            self._in_memory = sorted((at_ms, each) for each, at_ms in self._due.items())
        self._due[execution] = due_ms
        heappush(self._in_memory, (due_ms, execution))
        self._news.set()

    def forget(self, execution: int) -> None:
        """An execution has left memory, or has nothing due any more."""
        self._due.pop(execution, None)

    def sleeps(self, due_ms: int) -> None:
        """An execution has left memory; the log's timer row says `due_ms`."""
        if due_ms < NEVER_MS and (self._in_log_ms is None or due_ms < self._in_log_ms):
            self._in_log_ms = due_ms
            self._news.set()

    async def run(self) -> None:
        """Wake whoever is due, until cancelled."""
        while True:
            self._news.clear()
            now_ms = self._clock.now_ms()
            try:
                await self._wake_memory(now_ms)
                await self._wake_log(now_ms)
                self._log_refuses = False
            except LogUnavailable as error:
                _log.warning("timers cannot be read, trying again: %s", error)
                self._log_refuses = True
            await self._until(self._next_due_ms())

    async def look_into_log(self) -> None:
        """Find out when the first sleeper in the log is due."""
        await self._ask_log()
        self._news.set()

    async def _ask_log(self) -> None:
        asked_at_ms, self._in_log_ms = self._in_log_ms, None
        try:
            found_ms = await self._events.next_due_ms()
        except LogUnavailable:
            self._in_log_ms = asked_at_ms
            raise
        if found_ms is not None:
            self.sleeps(found_ms)  # unless somebody went to sleep for less meanwhile

    async def _wake_memory(self, now_ms: int) -> None:
        due: list[int] = []
        while self._in_memory and self._in_memory[0][0] <= now_ms:
            due_ms, execution = heappop(self._in_memory)
            if self._due.get(execution) == due_ms:
                del self._due[execution]
                due.append(execution)
        if due:
            point("before-timer")
            await self._wake(sorted(due))
            point("after-timer")

    async def _wake_log(self, now_ms: int) -> None:
        if self._in_log_ms is not None and self._in_log_ms <= now_ms:
            await self._admission.room_or_a_while(self._clock)
            due = await self._events.due(now_ms, limit=_PAGE)
            if due:
                point("before-timer")
                await self._wake(execution for _, execution in due)
                point("after-timer")
            await self._ask_log()

    def _next_due_ms(self) -> int | None:
        due = [self._in_memory[0][0]] if self._in_memory else []
        if self._in_log_ms is not None and self._in_log_ms < NEVER_MS and not self._log_refuses:
            due.append(self._in_log_ms)
        return min(due, default=None)

    async def _until(self, due_ms: int | None) -> None:
        """Return at `due_ms`, or as soon as something else may be due."""
        waits: list[Coroutine[None, None, object]] = [self._news.wait()]
        if due_ms is not None:
            waits.append(self._clock.sleep_until(due_ms))
        if self._log_refuses:
            waits.append(self._clock.pause(_TRY_AGAIN_MS))
        waiting = [asyncio.ensure_future(each) for each in waits]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
