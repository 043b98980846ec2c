"""map10k: one inline Map over 10,000 items, each of which calls a task that does nothing.

These are 70,000 history events and a payload of half a MiB, more than AWS allows one execution; the
quotas are raised for it. `s` is the time from the start to the durable end. `item_kib` is what
Python's objects hold at most for each item, in a run of its own: SQLite's cache is not in it, since
that does not grow with the items but up to its limit.
"""

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench import chain3, map1000
from bench.rounds import Figures
from bench.server import serving
from eventmill.executors.inline import InlineExecutor
from eventmill.model import AWS_QUOTAS

QUOTAS: Final = replace(AWS_QUOTAS, history_events_max=1_000_000, payload_bytes_max=16_777_216)
_KIB: Final = 1_024


async def measure(folder: Path, *, quick: bool) -> Figures:
    items, rounds = (20, 1) if quick else (10_000, 3)
    async with InlineExecutor({chain3.HANDLER: chain3.do_nothing}) as executor:
        took = [await _seconds(folder, executor, items) for _ in range(rounds)]
        return {"s": min(took), "item_kib": await _traced_kib(folder, executor, items)}


async def _seconds(folder: Path, executor: InlineExecutor, items: int) -> float:
    async with serving(folder, executor, map1000.DEFINITION, quotas=QUOTAS) as server:
        await map1000.run(server, 10, "warm-up")
        began = time.perf_counter()
        await map1000.run(server, items, "timed")
        return time.perf_counter() - began


async def _traced_kib(folder: Path, executor: InlineExecutor, items: int) -> float:
    async with serving(folder, executor, map1000.DEFINITION, quotas=QUOTAS) as server:
        await map1000.run(server, 10, "warm-up")
        tracemalloc.start(1)
        try:
            await map1000.run(server, items, "traced")
            return tracemalloc.get_traced_memory()[1] / items / _KIB
        finally:
            tracemalloc.stop()
