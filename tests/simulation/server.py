"""One server's life, from its recovery to its death."""

import asyncio
from typing import TYPE_CHECKING

from eventmill.errors import LogUnavailable
from eventmill.model import AWS_QUOTAS
from eventmill.runtime.bus import Bus
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.engine import Engine
from eventmill.runtime.outbox import Outbox
from eventmill.runtime.places import Places
from eventmill.runtime.router import Router
from eventmill.runtime.snapshots import SnapshotRule
from eventmill.runtime.status_changes import StatusChanges
from eventmill.runtime.supervisor import Policy, Supervisor, Watch
from eventmill.triggers.listeners import Listeners
from tests.simulation.disk import Connection
from tests.simulation.handlers import Handlers
from tests.simulation.objects import SimulatedDatasets
from tests.simulation.sensor import SimulatedSensor

if TYPE_CHECKING:
    from tests.simulation.world import World


class Server:
    """The engine with all around it; what it did not hand to the log dies with it."""

    def __init__(self, world: "World", number: int, texts: dict[str, str]) -> None:
        self._world = world
        self.dead: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_ready = False
        self.connection = Connection(world.disk)
        self.catalog = Catalog(self.connection, world.home, AWS_QUOTAS)
        for name, text in texts.items():
            self.catalog.add(name, text)
        self.handlers = Handlers(world, number)
        clock, chaos = world.clock, world.chaos
        limits = world.workload.limits
        self.places = Places(
            {world.home.state_machine(name): limit for name, limit in limits.items()}
        )
        bus = Listeners(world.workload.bus)
        changes = StatusChanges(bus, world.home)
        self._outbox = Outbox(self.connection, clock, changes, hops_max=16)
        self.engine = Engine(
            self.connection,
            clock,
            self.catalog,
            self.handlers,
            SimulatedDatasets(clock, chaos),
            world.home,
            AWS_QUOTAS,
            new_seed=lambda: chaos.random.getrandbits(62),
            weight_max=chaos.plan.weight_max,
            snapshot_rule=_rule(chaos.plan.snapshots),
            places=self.places,
            outbox=self._outbox if changes else None,
        )
        router = Router(self.connection, self.engine, self.catalog, bus)
        self._bus = Bus(router, bus, clock)
        self._supervisor = Supervisor(self.connection, clock, router, policy=Policy(isolate=False))
        sensor = SimulatedSensor(world.workload.events, world.disk, clock, chaos)
        self._watch = Watch(sensor=sensor, listeners=Listeners(world.workload.triggers))
        self.work: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Recover, then run until it dies."""
        self.work = asyncio.ensure_future(self._run())
        self.work.add_done_callback(self._stopped)

    async def _run(self) -> None:
        trace = self._world.trace
        try:
            trace.note(f"server: recovered {await self.engine.recover()}")
        except LogUnavailable as error:
            trace.note(f"server: cannot recover: {error}")
            self.die()
            return
        self.is_ready = True
        self._world.news.set()
        await asyncio.gather(
            self.engine.keep_time(),
            self._supervisor.keep(self._watch),
            self._outbox.run(self._bus.deliver),
        )

    def _stopped(self, work: "asyncio.Task[None]") -> None:
        if not work.cancelled() and work.exception() is not None and not self.dead.done():
            self._world.break_off(work.exception())

    def die(self) -> None:
        """Be gone from one instruction to the next; what it leaves behind reaches nobody."""
        if not self.dead.done():
            self.dead.set_result(None)
            self.is_ready = False
            self._world.trace.note("server: dies")
            self.connection.die()
            self.handlers.die()

    async def close(self) -> None:
        """End in peace, as a server that is asked to."""
        if self.work is not None:
            self.work.cancel()
            await asyncio.gather(self.work, return_exceptions=True)
        self.engine.close()


def _rule(snapshots: tuple[float, float] | None) -> SnapshotRule:
    """Histories are short here, so that snapshots must be cheap to be made at all."""
    if snapshots is None:
        return SnapshotRule()
    leaving_us, staying_us = snapshots
    return SnapshotRule(
        leaving_us=leaving_us, staying_us=staying_us, snapshot_us=0, snapshot_byte_us=0
    )
