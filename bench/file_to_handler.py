"""file_to_handler: from a file's close to the first line of the handler that it starts.

In between lie the operating system's hint, a look at the file, the trigger, the commit of event and
execution, and the call of the handler. One file at a time, without a stability window, in a real
folder. The reference is that one commit.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from bench.raw_sqlite import write_raw
from bench.recording import Batch, RecordingEventLog
from bench.rounds import Figures, alternate, latency, percentile
from bench.server import HOME, Server, serving
from eventmill.executors.inline import InlineExecutor
from eventmill.runtime.router import Router
from eventmill.runtime.supervisor import Supervisor, Watch
from eventmill.sensors.filesystem import FilesystemSensor
from eventmill.triggers.filesystem import FilesystemSource
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import parse_trigger

_DEFINITION: Final[dict[str, Any]] = {
    "StartAt": "Arrived",
    "States": {
        "Arrived": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "arrived", "Payload.$": "$"},
            "End": True,
        }
    },
}
_TRIGGER: Final[dict[str, Any]] = {
    "Source": {"Type": "filesystem", "Path": "inbox", "Include": ["*.csv"], "StableSeconds": 0},
    "EventPattern": {"detail-type": ["File Created"]},
    "Target": {"StateMachine": "measured", "InputPath": "$.detail"},
}
_CONTENT: Final = "date,temp_max\n" + "2015-01-01,5.6\n" * 100
_PATIENCE_SECONDS: Final = 10.0
# The next file comes when the last execution has surely ended.
_PAUSE_SECONDS: Final = 0.01


class Arrivals:
    """The handler: it says when it was entered."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[tuple[str, float]] = asyncio.Queue()

    async def handler(self, event: Any, context: Any) -> None:
        at = time.perf_counter()
        self._arrived.put_nowait((event["name"], at))

    async def of(self, name: str) -> float:
        """When the handler was entered for the file `name`, on the clock of `perf_counter`."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            arrived, at = await self._arrived.get()
        if arrived != name:
            raise RuntimeError(f"{arrived} came where {name} was due: nothing of this counts")
        return at


async def measure(folder: Path, *, quick: bool) -> Figures:
    files, rounds = (3, 1) if quick else (200, 3)
    batches = await _recorded(folder, files)

    async def ours() -> Figures:
        arrivals = Arrivals()
        async with watching(folder, arrivals) as server:
            return latency(await drop(server, arrivals, files))

    def reference() -> float:
        timed = zip(batches, write_raw(folder, batches), strict=True)
        return percentile([seconds for batch, seconds in timed if batch[0].events], 50) * 1_000

    return await alternate(rounds, "p50_ms", ours, reference)


async def _recorded(folder: Path, files: int) -> Sequence[Batch]:
    arrivals = Arrivals()
    async with watching(folder, arrivals, record_batches=True) as server:
        await drop(server, arrivals, files)
        assert isinstance(server.log, RecordingEventLog)
        return await server.log.batches()


@asynccontextmanager
async def watching(
    folder: Path, arrivals: Arrivals, *, record_batches: bool = False
) -> AsyncIterator[Server]:
    """A server with a sensor on its folder `inbox`, which has seen a first file."""
    async with (
        InlineExecutor({"arrived": arrivals.handler}) as executor,
        serving(folder, executor, _DEFINITION, record_batches=record_batches) as server,
    ):
        (server.folder / "inbox").mkdir()
        trigger = parse_trigger("measured", _TRIGGER)
        assert isinstance(trigger.source, FilesystemSource)
        sensor = FilesystemSensor(
            trigger.source, project=server.folder, home=HOME, clock=server.clock
        )
        router = Router(server.log, server.engine, server.catalog)
        supervisor = Supervisor(server.log, server.clock, router)
        watching = asyncio.create_task(
            supervisor.keep(Watch(sensor=sensor, listeners=Listeners([trigger])))
        )
        try:
            # However long the sensor takes to begin, after this file it is there.
            (server.folder / "inbox" / "first.csv").write_text(_CONTENT, encoding="utf-8")
            await arrivals.of("first.csv")
            yield server
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


async def drop(server: Server, arrivals: Arrivals, files: int) -> list[float]:
    """Drop files, one after the other; return the seconds until the handler saw each."""
    took = []
    for number in range(files):
        await asyncio.sleep(_PAUSE_SECONDS)
        path = server.folder / "inbox" / f"{number:04}.csv"
        path.write_text(_CONTENT, encoding="utf-8")
        closed_at = time.perf_counter()
        took.append(await arrivals.of(path.name) - closed_at)
    return took
