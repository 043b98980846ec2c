"""How much may be in memory: who starts executions faster than they end has to wait."""

import asyncio
from collections import deque
from typing import Final

from eventmill.ports import Clock

_BYTES_PER_WEIGHT: Final = 16_384
_WHILE_MS: Final = 1_000


def weight_of(input_bytes: int) -> int:
    """What an execution with such an input counts: as one, and once more for each 16 KiB."""
    return 1 + input_bytes // _BYTES_PER_WEIGHT


class Admission:
    """Admits weights, first come first served, as long as less than `weight_max` is inside."""

    def __init__(self, weight_max: int) -> None:
        self._weight_max = weight_max
        self._inside = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def room(self) -> int:
        """How much may still come in before `enter` waits; 0 while others wait already."""
        return 0 if self._waiting else max(0, self._weight_max - self._inside)

    async def enter(self, weight: int) -> None:
        """Wait for room, then count as inside until `leave`."""
        if self.entered(weight):
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((weight, admitted))
        try:
            await admitted
        except asyncio.CancelledError:
            if not admitted.cancelled():  # it was admitted in the same turn
                self.leave(weight)
            else:
                self._waiting.remove((weight, admitted))
            raise

    def entered(self, weight: int) -> bool:
        """Count as inside if there is room and nobody waits for it; return whether it was so."""
        if self._waiting or self._inside >= self._weight_max:
            return False
        self._inside += weight
        return True

    async def room_or_a_while(self, clock: Clock) -> None:
        """Wait for room, but not for long: who is in memory may wait for somebody who is not."""
        if self.room:
            return
        waiting = (
            asyncio.ensure_future(self.enter(0)),
            asyncio.ensure_future(clock.pause(_WHILE_MS)),
        )
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    def push_in(self, weight: int) -> None:
        """Count as inside without waiting: what others in memory wait for must not wait itself."""
        self._inside += weight

    def leave(self, weight: int) -> None:
        """Make room."""
        self._inside -= weight
        assert self._inside >= 0, "who leaves was inside"
        while self._waiting and self._inside < self._weight_max:
            weight, admitted = self._waiting.popleft()
            if not admitted.done():
                self._inside += weight
                admitted.set_result(None)
