"""The machine's own clock."""

import asyncio
import time


class SystemClock:
    """The `Clock` of a running server: wall-clock time, as histories record it."""

    def now_ms(self) -> int:
        """Now, in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    async def sleep_until(self, at_ms: int) -> None:
        """Return at `at_ms` or soon after; at once when it has passed.

        It looks at the clock again at least once a minute, since wall-clock time may jump.
        """
        left_ms = at_ms - self.now_ms()
        while left_ms > 0:
            # A clock has no event to wait for.
            await asyncio.sleep(min(left_ms / 1000, 60))
            left_ms = at_ms - self.now_ms()
