"""DBOS Transact on SQLite: workflows as coroutines in one process, a commit for every step.

Variants are the journals of SQLite: `delete`, which is the default, and `wal`. DBOS leaves
`synchronous` at its default of FULL, so every commit is flushed.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from dbos import DBOS

from bench.peers.works import (
    ALONE,
    CHAIN3,
    EVENT,
    FAN_OUT,
    HOLD,
    RECOVER,
    Request,
    answer,
    items,
    tell,
)
from bench.rounds import Figures, latency

_PATIENCE_SECONDS: Final = 120
_LOOK_SECONDS: Final = 0.005

resumed: list[int] = []


async def _do_nothing(event: Any) -> Any:
    return event


do_nothing = DBOS.step()(_do_nothing)


async def _chain3(event: Any) -> Any:
    for _ in range(3):
        event = await do_nothing(event)
    return event


async def _fan_out(count: int) -> int:
    return len(await asyncio.gather(*(do_nothing(item) for item in items(count))))


async def _sleep(number: int, seconds: int) -> None:
    await DBOS.sleep_async(seconds)
    await do_nothing(EVENT)
    resumed.append(number)


chain3 = DBOS.workflow()(_chain3)
fan_out = DBOS.workflow()(_fan_out)
sleeper = DBOS.workflow()(_sleep)


async def _run(workflow: Any, *arguments: Any) -> Any:
    handle = await DBOS.start_workflow_async(workflow, *arguments)
    return await handle.get_result()


async def _run_many(request: Request) -> list[float]:
    """Run chains to their end, so many at a time; return the seconds that each took."""
    left = iter(range(request.count))

    async def client() -> list[float]:
        took = []
        for _ in left:
            began = time.perf_counter()
            if await _run(chain3, EVENT) != EVENT:
                raise RuntimeError("a chain has another result: nothing of this counts")
            took.append(time.perf_counter() - began)
        return took

    clients = await asyncio.gather(*(client() for _ in range(request.in_flight)))
    return [seconds for each in clients for seconds in each]


async def _measure_chain3(request: Request) -> Figures:
    began = time.perf_counter()
    await _run_many(request)
    return {"per_s": request.count / (time.perf_counter() - began)}


async def _measure_alone(request: Request) -> Figures:
    return latency(await _run_many(request))


async def _measure_fan_out(request: Request) -> Figures:
    began = time.perf_counter()
    if await _run(fan_out, request.count) != request.count:
        raise RuntimeError("items are missing: nothing of this counts")
    return {"s": time.perf_counter() - began}


async def _hold(request: Request) -> Figures:
    left = iter(range(request.count))

    async def client() -> list[Any]:
        return [
            await DBOS.start_workflow_async(sleeper, number, request.wait_seconds)
            for number in left
        ]

    clients = await asyncio.gather(*(client() for _ in range(request.in_flight)))
    await _until_asleep([handle.workflow_id for handles in clients for handle in handles])
    tell({})
    await asyncio.sleep(_PATIENCE_SECONDS)
    raise TimeoutError("nobody has killed this process")


async def _until_asleep(workflows: list[str]) -> None:
    """Wait until all have noted when to wake up, which is a step."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        for workflow in workflows:
            while not await DBOS.list_workflow_steps_async(workflow):  # noqa: ASYNC110 - no event
                await asyncio.sleep(_LOOK_SECONDS)


async def _recover(request: Request) -> Figures:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while len(resumed) < request.count:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_LOOK_SECONDS)
    return {"s": time.time() - request.began}


def _on_dbos(measure: Callable[[Request], Awaitable[Figures]]) -> Callable[[Request], Figures]:
    async def measured(request: Request) -> Figures:
        DBOS.launch()
        if request.work in (CHAIN3, ALONE):
            for _ in range(10):
                await _run(chain3, EVENT)
        return await measure(request)

    def run(request: Request) -> Figures:
        database = Path(request.folder) / "dbos.sqlite"
        if request.variant == "wal":
            connection = sqlite3.connect(database)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.close()
        DBOS(
            config={
                "name": "bench",
                "system_database_url": f"sqlite:///{database}",
                "application_version": "1",
                "log_level": "ERROR",
            }
        )
        figures = asyncio.run(measured(request))
        DBOS.destroy()
        return figures

    return run


if __name__ == "__main__":
    answer(
        {
            CHAIN3: _on_dbos(_measure_chain3),
            ALONE: _on_dbos(_measure_alone),
            FAN_OUT: _on_dbos(_measure_fan_out),
            HOLD: _on_dbos(_hold),
            RECOVER: _on_dbos(_recover),
        }
    )
