"""How much may be in memory: who starts executions faster than they end has to wait."""

import asyncio
from collections import deque
from typing import Final

_BYTES_PER_WEIGHT: Final = 16_384


def weight_of(input_bytes: int) -> int:
    """What an execution with such an input counts: as one, and once more for each 16 KiB."""
    return 1 + input_bytes // _BYTES_PER_WEIGHT


class Admission:
    """Admits weights, first come first served, as long as less than `weight_max` is inside."""

    def __init__(self, weight_max: int) -> None:
        self._weight_max = weight_max
        self._inside = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

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
            raise

    def entered(self, weight: int) -> bool:
        """Count as inside if there is room and nobody waits for it; return whether it was so."""
        if self._waiting or self._inside >= self._weight_max:
            return False
        self._inside += weight
        return True

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
