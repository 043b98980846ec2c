"""Our engine in this process, as the other benchmarks measure it, without a server around it.

The variant `inline` runs handlers in the loop of the engine, `workers` in worker processes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench import chain3, chain3_workers, map1000
from bench.peers.works import ALONE, CHAIN3, EVENT, FAN_OUT, Request, answer, folder_of
from bench.rounds import Figures, latency
from bench.server import serving
from eventmill.executors.inline import InlineExecutor
from eventmill.executors.pool import WorkerPool
from eventmill.model import Payload
from eventmill.ports import Executor

_EVENT: Final = Payload.of(EVENT)


def _event(name: str) -> Payload:
    return _EVENT


@asynccontextmanager
async def _executing(request: Request) -> AsyncIterator[Executor]:
    if request.variant == "inline":
        async with InlineExecutor({chain3.HANDLER: chain3.do_nothing}) as inline:
            yield inline
        return
    handlers = folder_of(request, "handlers")
    (handlers / "measured.py").write_text(chain3_workers.HANDLERS, encoding="utf-8")
    async with WorkerPool(handlers) as pool:
        yield pool


async def _measure_chain3(executor: Executor, request: Request) -> Figures:
    async with serving(Path(request.folder), executor, chain3.DEFINITION) as server:
        await chain3.run(server, request.in_flight, request.in_flight, "warm-up", _event)
        began = time.perf_counter()
        await chain3.run(server, request.count, request.in_flight, "timed", _event)
        return {"per_s": request.count / (time.perf_counter() - began)}


async def _measure_alone(executor: Executor, request: Request) -> Figures:
    async with serving(Path(request.folder), executor, chain3.DEFINITION) as server:
        await chain3.run(server, request.count // 10, 1, "warm-up", _event)
        return latency(await chain3.run(server, request.count, 1, "timed", _event))


async def _measure_fan_out(executor: Executor, request: Request) -> Figures:
    async with serving(Path(request.folder), executor, map1000.DEFINITION) as server:
        await map1000.run(server, 10, "warm-up")
        began = time.perf_counter()
        await map1000.run(server, request.count, "timed")
        return {"s": time.perf_counter() - began}


def _on_engine(
    measure: Callable[[Executor, Request], Awaitable[Figures]],
) -> Callable[[Request], Figures]:
    async def measured(request: Request) -> Figures:
        async with _executing(request) as executor:
            return await measure(executor, request)

    return lambda request: asyncio.run(measured(request))


if __name__ == "__main__":
    answer(
        {
            CHAIN3: _on_engine(_measure_chain3),
            ALONE: _on_engine(_measure_alone),
            FAN_OUT: _on_engine(_measure_fan_out),
        }
    )
