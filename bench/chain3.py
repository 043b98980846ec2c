"""chain3: executions of three tasks in sequence that do nothing, many in flight, per second.

Every execution is 17 history events in four steps, durable with fsync. Each task is called as
`arn:aws:states:::lambda:invoke`; the handler runs in the server's own loop.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench.raw_sqlite import write_raw
from bench.recording import Batch, RecordingEventLog
from bench.rounds import Figures, alternate
from bench.server import Server, serving
from eventmill.executors.inline import InlineExecutor
from eventmill.model import Payload
from eventmill.ports import Executor
from eventmill.record import record
from eventmill.runtime.starting import Start

HANDLER: Final = "do_nothing"

DEFINITION: Final[dict[str, Any]] = {
    "StartAt": "First",
    "States": {
        name: {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": HANDLER, "Payload.$": "$"},
            "OutputPath": "$.Payload",
            **({"Next": following} if following else {"End": True}),
        }
        for name, following in (("First", "Second"), ("Second", "Third"), ("Third", None))
    },
}

INPUT: Final = Payload(b'{"key":"incoming/seattle-weather.csv","size":48219}')

Input: TypeAlias = Callable[[str], Payload]
"""The input of the execution of this name."""


def _same(name: str) -> Payload:
    return INPUT


async def do_nothing(event: Any, context: Any) -> Any:
    return event


@record
class Size:
    """How much is measured: executions in a round, how many of them at once, and rounds."""

    executions: int
    in_flight: int
    rounds: int


SMALL: Final = Size(executions=40, in_flight=20, rounds=1)
FULL: Final = Size(executions=2_500, in_flight=500, rounds=5)


async def measure(folder: Path, *, quick: bool) -> Figures:
    async with InlineExecutor({HANDLER: do_nothing}) as executor:
        return await throughput(folder, executor, SMALL if quick else FULL)


async def throughput(folder: Path, executor: Executor, size: Size, data: Input = _same) -> Figures:
    """Executions per second with many in flight, on any executor.

    `cpu_ms` is the processor time of an execution in this process. It hardly depends on what else
    the computer does, so it shows a change of the code when `per_s` drowns in noise.
    """
    executions, in_flight = size.executions, size.in_flight
    batches = await recorded(folder, executor, executions, in_flight, data)

    async def ours() -> Figures:
        async with serving(folder, executor, DEFINITION) as server:
            await run(server, in_flight, in_flight, "warm-up", data)
            began, cpu_began = time.perf_counter(), time.process_time()
            await run(server, executions, in_flight, "timed", data)
            took, cpu_took = time.perf_counter() - began, time.process_time() - cpu_began
            return {"per_s": executions / took, "cpu_ms": cpu_took * 1_000 / executions}

    def reference() -> float:
        return executions / sum(write_raw(folder, batches))

    return await alternate(size.rounds, "per_s", ours, reference)


async def recorded(
    folder: Path, executor: Executor, executions: int, in_flight: int, data: Input = _same
) -> Sequence[Batch]:
    """What so many executions commit; it also warms everything up."""
    async with serving(folder, executor, DEFINITION, record_batches=True) as server:
        await run(server, executions, in_flight, "recorded", data)
        assert isinstance(server.log, RecordingEventLog)
        return await server.log.batches()


async def run(
    server: Server, executions: int, in_flight: int, name: str, data: Input = _same
) -> list[float]:
    """Run executions to their end, `in_flight` at a time; return the seconds that each took."""
    names = (f"{name}-{number}" for number in range(executions))
    clients = (_client(server, names, data) for _ in range(in_flight))
    return [seconds for each in await asyncio.gather(*clients) for seconds in each]


async def _client(server: Server, names: Iterator[str], data: Input) -> list[float]:
    took = []
    for name in names:
        began = time.perf_counter()
        (row,) = await server.engine.start(
            [Start(machine=server.machine, name=name, input=data(name))]
        )
        ended = await server.engine.ended(row.id)
        took.append(time.perf_counter() - began)
        if ended.status != "SUCCEEDED":
            raise RuntimeError(f"{ended.arn} has {ended.status}: nothing of this counts")
    return took
