"""sleepers1m: a million executions that wait, nine of ten for a timer and one for a callback.

`mib` is the most memory that the server's process has ever had, all of Python and SQLite's caches
included. `per_s` is how many are started in a second, of which one in ten calls a handler first.
`ready_s` is the time in which another engine on the same log is ready.

`python -m bench.sleepers1m` measures a million, which takes minutes and 2 GiB of disk; among the
other benchmarks there are a hundred thousand.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import bench
from bench.rounds import Figures
from bench.server import HOME
from eventmill.datasets.stored import StoredDatasets
from eventmill.executors.inline import InlineExecutor
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.log.sqlite import SqliteEventLog
from eventmill.model import AWS_QUOTAS, Payload
from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.runtime.catalog import Catalog, Machine
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.engine import Engine
from eventmill.runtime.interpreter import tune_interpreter
from eventmill.runtime.starting import Start

MILLION: Final = 1_000_000
DEFINITION: Final[dict[str, Any]] = {
    "StartAt": "Which",
    "States": {
        "Which": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.ask", "BooleanEquals": True, "Next": "Ask"}],
            "Default": "Sleep",
        },
        "Sleep": {"Type": "Wait", "Seconds": 86_400, "End": True},
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}},
            "End": True,
        },
    },
}
_STARTED_AT_ONCE: Final = 100
_LOOK_SECONDS: Final = 0.01
_MIB: Final = 1_048_576


async def measure(folder: Path, *, quick: bool) -> Figures:
    return await asyncio.to_thread(_in_a_process, folder, 200 if quick else 100_000)


def _in_a_process(folder: Path, executions: int) -> Figures:
    """Measure in a process of its own, whose memory nothing else has touched."""
    command = [sys.executable, "-m", "bench.sleepers1m", str(executions), str(folder.absolute())]
    root = Path(bench.__path__[0]).parent
    done = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE)
    figures: Figures = json.loads(done.stdout)
    return figures


async def _ask(event: Any, context: Any) -> Any:
    return None


@asynccontextmanager
async def _engine(folder: Path) -> AsyncIterator[tuple[Engine, Machine]]:
    async with (
        SqliteEventLog.open(folder / "log.db") as log,
        InlineExecutor({"ask": _ask}) as executor,
    ):
        catalog = Catalog(log, HOME, AWS_QUOTAS)
        machine = catalog.add("sleep", json.dumps(DEFINITION))
        datasets = StoredDatasets(FilesystemObjectStore(folder / "buckets"))
        dispatch = LambdaFunction(executor)
        engine = Engine(log, SystemClock(), catalog, dispatch, datasets, HOME, AWS_QUOTAS)
        await engine.recover()
        tune_interpreter()
        yield engine, machine
        engine.close()


async def _measured(folder: Path, executions: int) -> Figures:
    began = time.perf_counter()
    async with _engine(folder) as (engine, machine):
        for first in range(0, executions, _STARTED_AT_ONCE):
            numbers = range(first, min(first + _STARTED_AT_ONCE, executions))
            starts = [
                Start(
                    machine=machine,
                    name=f"sleeper-{number}",
                    input=Payload.of({"ask": number % 10 == 0, "number": number}),
                )
                for number in numbers
            ]
            await engine.start(starts)
        while engine.in_memory:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_LOOK_SECONDS)
    took = time.perf_counter() - began
    began = time.perf_counter()
    async with _engine(folder) as (engine, _):
        ready_s = time.perf_counter() - began
    return {"mib": _peak_bytes() / _MIB, "per_s": executions / took, "ready_s": ready_s}


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1_024


def main() -> None:
    """Measure as many executions as are asked for, in a folder, and print the figures as JSON."""
    executions = int(sys.argv[1]) if len(sys.argv) > 1 else MILLION
    with TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        json.dump(asyncio.run(_measured(Path(folder), executions)), sys.stdout)


if __name__ == "__main__":
    main()
