"""An engine with a real log on a real disk, wired as the server wires it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.recording import RecordingEventLog
from eventmill.arn import Home
from eventmill.datasets.stored import StoredDatasets
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.log.sqlite import SqliteEventLog
from eventmill.model import AWS_QUOTAS, Quotas
from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.ports import Clock, Executor
from eventmill.record import record
from eventmill.runtime.catalog import Catalog, Machine
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.engine import Engine
from eventmill.runtime.interpreter import tune_interpreter
from eventmill.runtime.turns import Turns

HOME = Home()


@record
class Server:
    """What a benchmark drives and looks at."""

    folder: Path
    log: SqliteEventLog
    clock: Clock
    catalog: Catalog
    machine: Machine
    engine: Engine


@asynccontextmanager
async def serving(
    folder: Path,
    executor: Executor,
    definition: Mapping[str, Any],
    *,
    clock: Clock | None = None,
    record_batches: bool = False,
    quotas: Quotas = AWS_QUOTAS,
) -> AsyncIterator[Server]:
    """An engine that runs `definition`, in a new folder inside `folder` that is gone afterwards."""
    clock = clock or SystemClock()
    kind = RecordingEventLog if record_batches else SqliteEventLog
    with TemporaryDirectory(dir=folder) as own_folder:
        async with kind.open(Path(own_folder) / "log.db") as log:
            catalog = Catalog(log, HOME, quotas)
            machine = catalog.add("measured", json.dumps(definition))
            datasets = StoredDatasets(FilesystemObjectStore(Path(own_folder) / "buckets"))
            dispatch = LambdaFunction(Turns(executor, calls_max=1_000))
            engine = Engine(log, clock, catalog, dispatch, datasets, HOME, quotas)
            await engine.recover()
            tune_interpreter()
            timekeeping = asyncio.create_task(engine.keep_time())
            try:
                yield Server(
                    folder=Path(own_folder),
                    log=log,
                    clock=clock,
                    catalog=catalog,
                    machine=machine,
                    engine=engine,
                )
            finally:
                engine.close()
                timekeeping.cancel()
                with suppress(asyncio.CancelledError):
                    await timekeeping
