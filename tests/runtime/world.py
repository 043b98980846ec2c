"""An engine over any log, with scripted handlers and a clock that tests move."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventmill.arn import Home
from eventmill.datasets.stored import StoredDatasets
from eventmill.errors import LogError
from eventmill.executors.inline import InlineExecutor
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.machine.execution import Identity
from eventmill.machine.history import HistoryEvent
from eventmill.model import AWS_QUOTAS, Json, Payload, Quotas
from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.ports import EventLog, Transaction
from eventmill.rows import ExecutionRow
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.engine import Engine, Listener
from eventmill.runtime.outbox import Outbox
from eventmill.runtime.places import Places
from eventmill.runtime.replay import history, verify
from eventmill.runtime.snapshots import SnapshotRule
from eventmill.runtime.starting import Start
from tests.runtime.virtual_clock import VirtualClock

HandlerFunction = Callable[[Any, Any], Awaitable[Json]]


class World:
    """One server's life: `async with` starts it, and leaving it is a crash."""

    def __init__(
        self,
        log: EventLog,
        clock: VirtualClock,
        handlers: Mapping[str, HandlerFunction],
        machines: Mapping[str, Any],
        quotas: Quotas = AWS_QUOTAS,
        *,
        buckets: Path = Path("/nowhere"),
        weight_max: int = 20_000,
        snapshot_rule: SnapshotRule | None = None,
        listener: Listener | None = None,
        limits: Mapping[str, int] | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self.log, self.clock, self.quotas = log, clock, quotas
        self._handlers, self._machines = handlers, machines
        self._weight_max = weight_max
        self._snapshot_rule = snapshot_rule
        self._listener = listener
        self._limits = limits or {}
        self._outbox = outbox
        self._datasets = StoredDatasets(FilesystemObjectStore(buckets))

    async def __aenter__(self) -> "World":
        self._executor = await InlineExecutor(dict(self._handlers)).__aenter__()
        self.catalog = Catalog(self.log, Home(), self.quotas)
        for name, definition in self._machines.items():
            self.catalog.add(name, json.dumps(definition))
        dispatch = LambdaFunction(self._executor)
        limits = {Home().state_machine(name): limit for name, limit in self._limits.items()}
        self.places = Places(limits)
        self.engine = Engine(
            self.log,
            self.clock,
            self.catalog,
            dispatch,
            self._datasets,
            Home(),
            self.quotas,
            listener=self._listener,
            weight_max=self._weight_max,
            snapshot_rule=self._snapshot_rule,
            places=self.places,
            outbox=self._outbox,
        )
        self.recovered = await self.engine.recover()
        self.time = asyncio.ensure_future(self.engine.keep_time())
        return self

    async def __aexit__(self, *error: object) -> None:
        self.time.cancel()
        self.engine.close()
        await self._executor.__aexit__(None, None, None)
        # After a crash, what was handed over is durable or lost; nothing becomes durable later.
        with suppress(LogError):
            await self.log.commit(Transaction())

    async def start(self, machine: str, name: str = "run", data: Json = None) -> ExecutionRow:
        start = Start(
            machine=self.catalog.machine(machine),
            name=name,
            input=Payload.of({} if data is None else data),
        )
        (row,) = await self.engine.start([start])
        return row

    async def events(self, execution: int) -> list[HistoryEvent]:
        return history(await self.log.read(execution))

    async def proven(self, row: ExecutionRow) -> int:
        """Decide every stored step again; how many there are."""
        definition = await self.catalog.definition(row.definition)
        identity = Identity.of(row.arn, row.state_machine_arn)
        return verify(identity, definition, await self.log.read(row.id))


async def settled() -> None:
    """Let everything happen that needs no time to pass."""
    for _ in range(100):
        await asyncio.sleep(0)
