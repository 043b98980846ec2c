"""A program that reads a dataset or writes results, and prints how much memory that took."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil

from eventmill.datasets.reading import read_items
from eventmill.datasets.results import write_results
from eventmill.machine.map_run import Reading, Writing
from eventmill.model import Payload
from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.rows import ChildResult

BUCKET = "data"


async def read(store: FilesystemObjectStore, kind: Any, look: Callable[[], None]) -> int:
    count = 0
    reading = Reading(action="getObject", bucket=BUCKET, key="object", input_type=kind)
    async for _ in read_items(store, reading):
        count += 1
        if count % 1_000 == 0:
            look()
    return count


async def write(store: FilesystemObjectStore, look: Callable[[], None]) -> int:
    count = 40_000

    async def results() -> AsyncIterator[ChildResult]:
        for number in range(count):
            output = Payload.of({"n": number, "text": "x" * 1_000})
            yield ChildResult(status="SUCCEEDED", input=Payload(b"1"), output=output)
            if number % 1_000 == 0:
                look()

    await write_results(store, Writing(bucket=BUCKET), "arn", "run", results())
    return count


async def main(root: str, kind: str) -> None:
    process = psutil.Process()
    store = FilesystemObjectStore(Path(root))
    seen = [process.memory_info().rss]

    def look() -> None:
        seen.append(process.memory_info().rss)

    count = await (write(store, look) if kind == "results" else read(store, kind, look))
    print(count, max(seen) - seen[0])  # noqa: T201 - the test reads it


asyncio.run(main(*sys.argv[1:]))
