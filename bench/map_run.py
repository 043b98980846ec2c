"""map_run: a distributed Map over a file of lines, each of which is an execution of its own.

The children do nothing; what is measured is reading items, starting executions durably, and
writing their results to files. `per_s` is children a second, from the start to the durable end of
the parent. `mib` is how much the peak of this process rises while it runs, and `late_mib` how much
of that belongs to its second half: a Map Run holds the children that run and a page of items,
however many there are.

`python -m bench.map_run` measures a million, which takes minutes and 2 GiB of disk.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.rounds import Figures
from bench.server import Server, serving
from eventmill.executors.inline import InlineExecutor
from eventmill.model import EMPTY_OBJECT
from eventmill.runtime.starting import Start

_BUCKET: Final = "measured"
DEFINITION: Final[dict[str, Any]] = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "JSONL"},
                "Parameters": {"Bucket": _BUCKET, "Key": "items.jsonl"},
            },
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Nothing",
                "States": {"Nothing": {"Type": "Pass", "End": True}},
            },
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject",
                "Parameters": {"Bucket": _BUCKET, "Prefix": "results"},
            },
            "End": True,
        }
    },
}
_MIB: Final = 1_048_576
_LOOK_SECONDS: Final = 0.2


async def measure(folder: Path, *, quick: bool) -> Figures:
    """20,000 children."""
    return await measure_items(folder, 50 if quick else 20_000)


async def measure_items(folder: Path, items: int) -> Figures:
    """A Map Run over so many items."""
    async with InlineExecutor({}) as executor, serving(folder, executor, DEFINITION) as server:
        await _run(server, 10, "warm-up")
        before = _peak_bytes()
        began = time.perf_counter()
        half_way = await _run(server, items, "timed")
        took = time.perf_counter() - began
        end = _peak_bytes()
        return {
            "per_s": items / took,
            "mib": (end - before) / _MIB,
            "late_mib": (end - half_way) / _MIB,
        }


async def _run(server: Server, items: int, name: str) -> int:
    """Run a Map Run to its end; return the peak of memory when half of its children had begun."""
    await asyncio.to_thread(_write_items, server.folder / "buckets" / _BUCKET, items)
    start = Start(machine=server.machine, name=name, input=EMPTY_OBJECT)
    (row,) = await server.engine.start([start])
    ended = asyncio.ensure_future(server.engine.ended(row.id))
    half_way = 0
    while not ended.done():
        await asyncio.wait((ended,), timeout=_LOOK_SECONDS)
        if not half_way and await _begun(server, row.id, items):
            half_way = _peak_bytes()
    if ended.result().status != "SUCCEEDED":
        raise RuntimeError(f"{row.arn} has {ended.result().status}: nothing of this counts")
    return half_way or _peak_bytes()


async def _begun(server: Server, execution: int, items: int) -> bool:
    """Whether half of the children have been started; the newest of them knows its number."""
    runs = await server.log.map_runs(execution)
    newest = [
        each
        for run in runs
        for each in await server.log.executions(map_run=(execution, run.map_run), limit=1)
    ]
    return any(each.child is not None and each.child.index >= items // 2 for each in newest)


def _write_items(bucket: Path, items: int) -> None:
    bucket.mkdir(parents=True, exist_ok=True)
    with (bucket / "items.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f'{{"row":{row},"key":"incoming/{row}.csv"}}\n' for row in range(items))


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1_024


def main() -> None:
    """Measure as many children as are asked for, in a folder, and print the figures as JSON."""
    items = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        json.dump(asyncio.run(measure_items(Path(folder), items)), sys.stdout)


if __name__ == "__main__":
    main()
