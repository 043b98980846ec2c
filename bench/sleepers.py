"""sleepers: 10,000 executions that wait for a timer, what they add to memory, how fast they wake.

`mib` is how much more the process holds once all of them sleep, SQLite's cache included. `s` is the
time from the instant at which all are due until the end of the last one is durable.
"""

import asyncio
import gc
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil

from bench.raw_sqlite import write_raw
from bench.recording import Batch, RecordingEventLog
from bench.rounds import Figures, alternate
from bench.server import Server, serving
from eventmill.executors.inline import InlineExecutor
from eventmill.model import Payload
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.starting import Start

_SECONDS: Final = 3_600
DEFINITION: Final[dict[str, Any]] = {
    "StartAt": "Sleep",
    "States": {"Sleep": {"Type": "Wait", "Seconds": _SECONDS, "End": True}},
}
_INPUT: Final = Payload(b'{"key":"incoming/seattle-weather.csv","size":48219}')
_STARTED_AT_ONCE: Final = 100
_LOOK_SECONDS: Final = 0.005
_MIB: Final = 1_048_576


class SkippingClock(SystemClock):
    """The real time, until some of it is skipped."""

    def __init__(self) -> None:
        self._skipped_ms = 0
        self._skip = asyncio.Event()

    def now_ms(self) -> int:
        return super().now_ms() + self._skipped_ms

    def steady_ms(self) -> int:
        return super().steady_ms() + self._skipped_ms

    async def pause(self, length_ms: int) -> None:
        await self.sleep_until(self.now_ms() + length_ms)

    async def sleep_until(self, at_ms: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(at_ms - self.now_ms(), 0) / 1_000):
                await self._skip.wait()

    def skip(self, seconds: int) -> None:
        """Let so much time pass at once, and wake those who sleep."""
        self._skipped_ms += seconds * 1_000
        self._skip.set()
        self._skip.clear()


async def measure(folder: Path, *, quick: bool) -> Figures:
    sleepers, rounds = (20, 1) if quick else (10_000, 2)
    async with InlineExecutor({}) as executor:
        # First of all: later on, the process has memory to spare from what went before.
        memory = await _memory(folder, executor, sleepers)
        batches, waking_from = await _recorded(folder, executor, sleepers)

        async def ours() -> Figures:
            clock = SkippingClock()
            async with serving(folder, executor, DEFINITION, clock=clock) as server:
                await start(server, sleepers, "timed")
                return {"s": await wake(server, clock)}

        def reference() -> float:
            return sum(write_raw(folder, batches)[waking_from:])

        return memory | await alternate(rounds, "s", ours, reference)


async def _memory(folder: Path, executor: InlineExecutor, sleepers: int) -> Figures:
    async with serving(folder, executor, DEFINITION) as server:
        await start(server, _STARTED_AT_ONCE, "warm-up")
        before = _resident_bytes()
        await start(server, sleepers, "measured")
        return {"mib": (_resident_bytes() - before) / _MIB}


async def _recorded(
    folder: Path, executor: InlineExecutor, sleepers: int
) -> tuple[Sequence[Batch], int]:
    """What they commit, and with which batch their waking begins."""
    clock = SkippingClock()
    async with serving(folder, executor, DEFINITION, clock=clock, record_batches=True) as server:
        assert isinstance(server.log, RecordingEventLog)
        await start(server, sleepers, "recorded")
        waking_from = len(await server.log.batches())
        await wake(server, clock)
        return await server.log.batches(), waking_from


async def start(server: Server, sleepers: int, name: str) -> None:
    """Start executions and see them asleep."""
    for first in range(0, sleepers, _STARTED_AT_ONCE):
        numbers = range(first, min(first + _STARTED_AT_ONCE, sleepers))
        starts = [
            Start(machine=server.machine, name=f"{name}-{number}", input=_INPUT)
            for number in numbers
        ]
        await server.engine.start(starts)
    if server.engine.in_memory:
        raise RuntimeError(f"{server.engine.in_memory} executions stay in memory")


async def wake(server: Server, clock: SkippingClock) -> float:
    """Let the time of all executions come; return the seconds until the last has ended."""
    began = time.perf_counter()
    clock.skip(_SECONDS)
    # Its timer goes in the commit in which an execution ends. To wait for each would cost more
    # than to look from time to time.
    while await server.log.next_due_ms() is not None:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(_LOOK_SECONDS)
    took = time.perf_counter() - began
    if await server.log.executions(status="RUNNING", limit=1):
        raise RuntimeError("executions were not woken: nothing of this counts")
    return took


def _resident_bytes() -> int:
    gc.collect()
    resident: int = psutil.Process().memory_info().rss
    return resident
