"""map1000: one inline Map over 1,000 items, each of which calls a task that does nothing.

`s` is the time from the start to the durable end, as is that of SQLite alone writing the same rows.
`item_us` is the processor time of an item, and `item_kib` what the process holds at most for each
while they run. `growth` is the processor time of an item among 3,000 by that of one among 300: the
work must not grow with the Map.
"""

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import chain3
from bench.raw_sqlite import write_raw
from bench.recording import Batch, RecordingEventLog
from bench.rounds import Figures, alternate
from bench.server import Server, serving
from eventmill.executors.inline import InlineExecutor
from eventmill.model import Payload
from eventmill.runtime.starting import Start

DEFINITION: Final[dict[str, Any]] = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemProcessor": {
                "StartAt": "Work",
                "States": {
                    "Work": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::lambda:invoke",
                        "Parameters": {"FunctionName": chain3.HANDLER, "Payload.$": "$"},
                        "OutputPath": "$.Payload",
                        "End": True,
                    }
                },
            },
            "End": True,
        }
    },
}
_KIB: Final = 1_024
_MICROSECONDS: Final = 1_000_000


async def measure(folder: Path, *, quick: bool) -> Figures:
    items, few, many, rounds = (20, 5, 20, 1) if quick else (1_000, 300, 3_000, 5)
    async with InlineExecutor({chain3.HANDLER: chain3.do_nothing}) as executor:
        kib = await _memory(folder, executor, items)
        batches = await recorded(folder, executor, items)
        growth = await _growth(folder, executor, few, many, rounds)

        async def ours() -> Figures:
            async with serving(folder, executor, DEFINITION) as server:
                began = time.perf_counter()
                cpu = await run(server, items, "timed")
                took = time.perf_counter() - began
                return {"s": took, "item_us": cpu / items * _MICROSECONDS}

        def reference() -> float:
            return sum(write_raw(folder, batches))

        measured = await alternate(rounds, "s", ours, reference)
        return {**measured, "item_kib": kib, "growth": growth}


async def _memory(folder: Path, executor: InlineExecutor, items: int) -> float:
    """How much the peak of this process rises for each item; it must run before all else."""
    async with serving(folder, executor, DEFINITION) as server:
        await run(server, 10, "warm-up")
        before = _peak_bytes()
        await run(server, items, "measured")
        return (_peak_bytes() - before) / items / _KIB


async def recorded(folder: Path, executor: InlineExecutor, items: int) -> Sequence[Batch]:
    """What one Map commits."""
    async with serving(folder, executor, DEFINITION, record_batches=True) as server:
        await run(server, items, "recorded")
        assert isinstance(server.log, RecordingEventLog)
        return await server.log.batches()


async def _growth(
    folder: Path, executor: InlineExecutor, few: int, many: int, rounds: int
) -> float:
    small, large = [], []
    async with serving(folder, executor, DEFINITION) as server:
        for number in range(rounds):
            small.append(await run(server, few, f"small-{number}") / few)
            large.append(await run(server, many, f"large-{number}") / many)
    return min(large) / min(small)


async def run(server: Server, items: int, name: str) -> float:
    """Run a Map to its end; return the processor seconds that it took."""
    data = Payload.of([{"key": "incoming/seattle-weather.csv", "row": row} for row in range(items)])
    began = time.process_time()
    (row,) = await server.engine.start([Start(machine=server.machine, name=name, input=data)])
    ended = await server.engine.ended(row.id)
    took = time.process_time() - began
    if ended.status != "SUCCEEDED":
        raise RuntimeError(f"{ended.arn} has {ended.status}: nothing of this counts")
    return took


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
