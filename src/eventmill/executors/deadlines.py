"""Many deadlines behind one timer.

Nearly every call ends long before its deadline. A timer of asyncio's for each would cost more
than the call; here a deadline costs a push on a heap, and those of ended calls are swept out.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from heapq import heapify, heappop, heappush
from typing import Final

# So many deadlines of ended calls may lie in the heap before it is swept.
_STALE_MAX: Final = 1_000


class Deadlines:
    """Calls `expire(id)` once for each id that is still in `live` when its deadline passes."""

    def __init__(self, live: Collection[int], expire: Callable[[int], None]) -> None:
        """Needs a running event loop. An id that left `live` must not come back to it."""
        self._loop = asyncio.get_running_loop()
        self._live, self._expire = live, expire
        self._heap: list[tuple[int, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, id_: int, at_ms: int) -> None:
        """Expire `id_` at `at_ms`, in milliseconds since the epoch, or at once if that passed."""
        if len(self._heap) > 2 * len(self._live) + _STALE_MAX:
            self._heap = [entry for entry in self._heap if entry[1] in self._live]
            heapify(self._heap)
        heappush(self._heap, (at_ms, id_))
        if self._timer is None or at_ms < self._timer_ms:
            self._set_timer(at_ms)

    def close(self) -> None:
        """Forget everything."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, at_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = at_ms
        delay_seconds = max(0.0, at_ms / 1000 - time.time())
        self._timer = self._loop.call_later(delay_seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        now_ms = time.time() * 1000
        while self._heap:
            at_ms, id_ = self._heap[0]
            if id_ in self._live:
                if at_ms > now_ms:
                    self._set_timer(at_ms)
                    return
                heappop(self._heap)
                self._expire(id_)
            else:
                heappop(self._heap)
