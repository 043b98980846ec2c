"""Time for tests: it stands still until it is told to move."""

import asyncio
from heapq import heappop, heappush
from itertools import count


class VirtualClock:
    """A `Clock` that only moves by `advance`.

    It stands in the year 2096, so that no executor, which goes by the real clock, ever sees a
    deadline of it pass.
    """

    def __init__(self, now_ms: int = 4_000_000_000_000) -> None:
        self._now_ms = now_ms
        self._sleepers: list[tuple[int, int, asyncio.Event]] = []
        self._ties = count()

    def now_ms(self) -> int:
        return self._now_ms

    def steady_ms(self) -> int:
        return self._now_ms

    async def pause(self, length_ms: int) -> None:
        await self.sleep_until(self._now_ms + length_ms)

    async def sleep_until(self, at_ms: int) -> None:
        if at_ms > self._now_ms:
            awake = asyncio.Event()
            heappush(self._sleepers, (at_ms, next(self._ties), awake))
            await awake.wait()

    def advance(self, by_ms: int) -> None:
        """Let so much time pass at once, and wake whoever slept until then."""
        self._now_ms += by_ms
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            heappop(self._sleepers)[2].set()
