"""folder100k: a folder of 100,000 files that are known already, from the log to the end of a scan.

`s` is what a sensor needs, when a server starts, to read from the log what was told, to begin to
listen for changes, and to look through the folder: 1,000 folders of 100 files, none of them new.
The reference is `os.scandir` and `stat` of the same tree. `file_bytes` is what the sensor holds in
memory for each file.
"""

import asyncio
import gc
import os
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.rounds import Figures, alternate
from bench.server import HOME
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Delivery, Transaction
from eventmill.runtime.clock import SystemClock
from eventmill.sensors.filesystem import FilesystemSensor
from eventmill.triggers.filesystem import FilesystemSource

_FILES_PER_FOLDER: Final = 100
_PATIENCE_SECONDS: Final = 120.0


class RestingClock(SystemClock):
    """Real time; `rested` is set when the sensor waits for the time of its next scan."""

    def __init__(self) -> None:
        self.rested = asyncio.Event()

    async def pause(self, length_ms: int) -> None:
        self.rested.set()
        await super().pause(length_ms)


async def measure(folder: Path, *, quick: bool) -> Figures:
    files, rounds = (300, 1) if quick else (100_000, 3)
    with TemporaryDirectory(dir=folder) as own_folder:
        project = Path(own_folder)
        await asyncio.to_thread(make_tree, project / "inbox", files)
        source = FilesystemSource(path="inbox")
        async with SqliteEventLog.open(project / "log.db") as log:
            await _remember(log, source, project / "inbox")

            async def ours() -> Figures:
                return {"s": await reconcile(log, source, project)}

            def reference() -> float:
                began = time.perf_counter()
                if sum(1 for _ in look_through(str(project / "inbox"))) != files:
                    raise RuntimeError("the tree has changed: nothing of this counts")
                return time.perf_counter() - began

            reference()  # what comes first fills the caches of the system
            figures = await alternate(rounds, "s", ours, reference)
            held = await _held(log, source, project)
            return {**figures, "file_bytes": held / files}


def make_tree(inbox: Path, files: int) -> None:
    """Write so many files, in folders in folders."""
    for first in range(0, files, _FILES_PER_FOLDER):
        number = first // _FILES_PER_FOLDER
        folder = inbox / f"station-{number // 100:03}" / f"day-{number % 100:03}"
        folder.mkdir(parents=True)
        for each in range(first, min(first + _FILES_PER_FOLDER, files)):
            (folder / f"readings-{each:06}.csv").write_bytes(b"1,2\n")


def look_through(folder: str) -> Iterator[os.stat_result]:
    """The status of every file in the folder and below."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False)


async def _remember(log: SqliteEventLog, source: FilesystemSource, inbox: Path) -> None:
    """Have the log remember all files, as if they had been told."""
    state: dict[tuple[str, str], bytes | None] = {}
    for folder, _, names in os.walk(inbox):
        for name in names:
            path = os.path.join(folder, name)
            status = os.stat(path)
            version = f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
            state[source.name, path.removeprefix(f"{inbox}/")] = version.encode()
    await log.commit(Transaction(sensor_state=state))


async def reconcile(log: SqliteEventLog, source: FilesystemSource, project: Path) -> float:
    """How many seconds a sensor takes from its memory in the log to the end of its first scan."""
    began = time.perf_counter()
    sensing, clock = await _sensing(log, source, project)
    try:
        await _rested(sensing, clock)
        return time.perf_counter() - began
    finally:
        await _stop(sensing)


async def _held(log: SqliteEventLog, source: FilesystemSource, project: Path) -> float:
    """How many bytes a sensor holds after its first scan."""
    gc.collect()
    tracemalloc.start()
    try:
        sensing, clock = await _sensing(log, source, project)
        try:
            await _rested(sensing, clock)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            await _stop(sensing)
    finally:
        tracemalloc.stop()


async def _sensing(
    log: SqliteEventLog, source: FilesystemSource, project: Path
) -> "tuple[asyncio.Task[None], RestingClock]":
    async def refuse(deliveries: Sequence[Delivery]) -> None:
        event = deliveries[0].event
        raise RuntimeError(f"{event.resources} is not new: nothing of this counts")

    clock = RestingClock()
    sensor = FilesystemSensor(source, project=project, home=HOME, clock=clock)
    state = await log.sensor_state(sensor.name)
    return asyncio.create_task(sensor.run(refuse, state)), clock


async def _rested(sensing: "asyncio.Task[None]", clock: RestingClock) -> None:
    resting = asyncio.create_task(clock.rested.wait())
    await asyncio.wait(
        {sensing, resting}, timeout=_PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
    )
    resting.cancel()
    if sensing.done():
        await sensing
    if not clock.rested.is_set():
        raise RuntimeError("the scan does not end")


async def _stop(sensing: "asyncio.Task[None]") -> None:
    sensing.cancel()
    with suppress(asyncio.CancelledError):
        await sensing
