"""Virtual time, and an event loop that lets it pass when nothing else can happen.

The loop is the one that knows: it asks its selector to wait only when no callback is ready. At that
moment, unless threads or handlers are at work, the clock jumps to the next instant that somebody
waits for. So a year passes at once, and the same rehearsal takes the same course each time.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TypeAlias, TypeVar, TypeVarTuple, Unpack

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")

_Entry: TypeAlias = tuple[int, int, Callable[[], None]]


class VirtualClock:
    """A `Clock` that jumps from one awaited instant to the next."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._agenda: list[_Entry] = []
        self._ties = count()

    def now_ms(self) -> int:
        """Now, in virtual milliseconds since the epoch."""
        return self._now_ms

    def steady_ms(self) -> int:
        """See `Clock.steady_ms`: nobody sets this clock."""
        return self._now_ms

    async def pause(self, length_ms: int) -> None:
        """Return after so much virtual time."""
        await self.sleep_until(self._now_ms + length_ms)

    async def sleep_until(self, at_ms: int) -> None:
        """Return when virtual time has come to `at_ms`; at once when it has passed."""
        if at_ms > self._now_ms:
            awake = asyncio.Event()
            cancel = self.call_at(at_ms, awake.set)
            try:
                await awake.wait()
            finally:
                cancel()

    def call_at(self, at_ms: int, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when time has come to `at_ms`; the function returned cancels that.

        What falls due at one instant is called in the order in which it was asked for.
        """
        entry = (at_ms, next(self._ties), callback)
        heappush(self._agenda, entry)
        return lambda: self._forget(entry)

    def _forget(self, entry: _Entry) -> None:
        if entry in self._agenda:
            self._agenda.remove(entry)
            heapify(self._agenda)

    def jump(self) -> bool:
        """Let time pass up to the next awaited instant; False when nobody awaits any."""
        if not self._agenda:
            return False
        self.pass_until(self._agenda[0][0])
        return True

    def pass_until(self, at_ms: int) -> None:
        """Let time pass up to `at_ms`, unless it is later already."""
        self._now_ms = max(self._now_ms, at_ms)
        while self._agenda and self._agenda[0][0] <= self._now_ms:
            heappop(self._agenda)[2]()


class RehearsalLoop(asyncio.SelectorEventLoop):
    """An event loop that calls `on_idle` whenever it would wait for something outside.

    `on_idle` returns whether it has made something happen; if not, the loop waits.
    """

    def __init__(self) -> None:
        super().__init__(_WatchedSelector(self._idle))
        self.on_idle: Callable[[], bool] = lambda: False
        self._outside = 0

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[Unpack[_Arguments]], _Result],
        *args: *_Arguments,
    ) -> "asyncio.Future[_Result]":
        """Run a function in a thread; time stands still as long as it does."""
        future = super().run_in_executor(executor, func, *args)
        leave = self.outside()
        future.add_done_callback(lambda done: leave())
        return future

    def outside(self) -> Callable[[], None]:
        """Note that something is at work outside of the loop, until the result is called.

        The result may be called more than once.
        """
        self._outside += 1
        at_work = [True]

        def leave() -> None:
            if at_work:
                at_work.clear()
                self._outside -= 1

        return leave

    def _idle(self) -> bool:
        return not self._outside and self.on_idle()


class _WatchedSelector(selectors.DefaultSelector):
    """A selector that says when it is about to wait."""

    def __init__(self, idle: Callable[[], bool]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector.select`; returns at once when `idle` made something happen.

        The loop looks for ready callbacks after each call, so it finds those that `idle` added.
        """
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0) or self._idle():
            return ready
        return super().select(timeout)
