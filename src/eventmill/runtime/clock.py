"""The machine's own clock."""

import asyncio
import time
from typing import Final

_LOOK_MS: Final = 60_000


class SystemClock:
    """The `Clock` of a running server: wall-clock time, as histories record it."""

    def now_ms(self) -> int:
        """See `Clock.now_ms`."""
        return time.time_ns() // 1_000_000

    def steady_ms(self) -> int:
        """See `Clock.steady_ms`."""
        return time.monotonic_ns() // 1_000_000

    async def sleep_until(self, at_ms: int) -> None:
        """See `Clock.sleep_until`."""
        left_ms = at_ms - self.now_ms()
        while left_ms > 0:
            # A clock has no event to wait for, nor any that tells when it is set.
            await asyncio.sleep(min(left_ms, _LOOK_MS) / 1000)
            left_ms = at_ms - self.now_ms()

    async def pause(self, length_ms: int) -> None:
        """See `Clock.pause`."""
        await asyncio.sleep(length_ms / 1000)
