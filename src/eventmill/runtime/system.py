"""The whole system, wired: the one place that knows the adapters; `sensing` knows the sensors."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Final

from eventmill.datasets.stored import StoredDatasets
from eventmill.errors import LogUnavailable
from eventmill.executors.answers import RESPONSE_BYTES_MAX
from eventmill.executors.inline import InlineExecutor
from eventmill.executors.pool import WorkerPool
from eventmill.executors.pool_settings import PoolSettings
from eventmill.executors.scan import Scan
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.log.checkpoints import Sign
from eventmill.log.sqlite import SqliteEventLog
from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.objects.s3 import S3ObjectStore
from eventmill.ports import (
    Clock,
    EventLog,
    Executor,
    Invocation,
    ObjectStore,
)
from eventmill.record import record
from eventmill.runtime.bus import Bus
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.engine import Engine, Listener
from eventmill.runtime.housekeeping import Housekeeping
from eventmill.runtime.outbox import BUS, Outbox
from eventmill.runtime.overlap import memory_of
from eventmill.runtime.places import Places
from eventmill.runtime.processing import EventEnds, LoggedProcessing
from eventmill.runtime.project import Project
from eventmill.runtime.router import Router
from eventmill.runtime.sensing import watches_of
from eventmill.runtime.settings import Settings
from eventmill.runtime.status_changes import StatusChanges
from eventmill.runtime.supervisor import Policy, Supervisor, Watch
from eventmill.runtime.turns import Turns, handler_gates
from eventmill.runtime.work import Dispatch
from eventmill.triggers.listeners import Listeners

# Each call takes some KiB. With fewer at once, handlers that only wait would wait for each other.
_INLINE_CALLS_MAX: Final = 1_000


@record
class System:
    """What runs, for the faces to show and to use."""

    settings: Settings
    project: Project
    log: EventLog
    catalog: Catalog
    engine: Engine
    dispatch: Dispatch  # what carries tasks out, for calls outside of any execution
    supervisor: Supervisor
    watches: tuple[Watch, ...]
    router: Router
    bus: Bus
    recovered: int  # executions taken up from the last server
    broken: "asyncio.Future[None]"  # fails when a part of the system has failed for good
    stop_sensing: Callable[[], Awaitable[None]]  # stops the sensors, ahead of all the rest


@asynccontextmanager
async def running(
    settings: Settings, project: Project, listener: Listener | None = None
) -> AsyncIterator[System]:
    """Everything a project needs: open inside the block, closed in reverse order after it.

    `listener` hears of all that starts and ends from the first moment on.

    Raises:
        LogError: The data folder is in use, damaged, of a newer version or cannot be written.
        ObjectStoreError: The settings name no object store that can be opened.
        SettingsError: A trigger's source needs a driver that is not installed.
    """
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        _make_folder(settings)
        log = await stack.enter_async_context(SqliteEventLog.open(settings.log_path))
        dispatch = await stack.enter_async_context(_dispatch(settings, project.handlers))
        catalog = _catalog(settings, project, log)
        ends = EventEnds(listener)
        listeners = Listeners(each for each in project.triggers if each.source is None)
        changes = StatusChanges(listeners, settings.home)
        outbox = Outbox(log, clock, changes, hops_max=settings.events.hops_max)
        heard = outbox if changes else None
        engine = await stack.enter_async_context(
            _engine(settings, log, clock, catalog, dispatch, ends, heard)
        )
        router = Router(log, engine, catalog, listeners)
        bus = Bus(router, listeners, clock)
        supervisor = Supervisor(log, clock, router, home=settings.home, policy=_policy(settings))
        watches = watches_of(settings, project, clock, log, LoggedProcessing(log, ends, router))
        housekeeping = _housekeeping(settings, log, clock, catalog, _remembering(project, watches))
        stack.push_async_callback(housekeeping.end)
        recovered = await engine.recover()
        stack.push_async_callback(router.overlaps.close)
        await router.recover(project.triggers, clock)
        background = await stack.enter_async_context(_background())
        background.start(engine.keep_time(), router.waiting.run(), housekeeping.keep())
        sensing = background.start(
            *map(supervisor.keep, watches),
            supervisor.look(),
            supervisor.tell(bus.publish),
            outbox.run(bus.deliver),
        )
        yield System(
            settings=settings,
            project=project,
            log=log,
            catalog=catalog,
            engine=engine,
            dispatch=dispatch,
            supervisor=supervisor,
            watches=watches,
            router=router,
            bus=bus,
            recovered=recovered,
            broken=background.broken,
            stop_sensing=lambda: _cancelled(sensing),
        )


@asynccontextmanager
async def _engine(
    settings: Settings,
    log: EventLog,
    clock: Clock,
    catalog: Catalog,
    dispatch: Dispatch,
    listener: Listener,
    outbox: Outbox | None,
) -> AsyncIterator[Engine]:
    async with _object_store(settings) as store:
        engine = Engine(
            log,
            clock,
            catalog,
            dispatch,
            StoredDatasets(store),
            settings.home,
            settings.quotas,
            listener=listener,
            places=_places(settings),
            outbox=outbox,
        )
        try:
            yield engine
        finally:
            engine.close()


def _catalog(settings: Settings, project: Project, log: EventLog) -> Catalog:
    catalog = Catalog(log, settings.home, settings.quotas)
    for workflow in project.workflows:
        catalog.add(workflow.name, workflow.text)
    return catalog


def _housekeeping(
    settings: Settings,
    log: SqliteEventLog,
    clock: Clock,
    catalog: Catalog,
    sensors: Sequence[str],
) -> Housekeeping:
    return Housekeeping(
        log,
        clock,
        settings.retention,
        rows=settings.checkpoint_rows,
        definitions=catalog.digests,
        sensors=sensors,
        sign=_signer(settings),
    )


def _remembering(project: Project, watches: Sequence[Watch]) -> list[str]:
    """Under which names the log remembers something for what the project has."""
    return [BUS, *(each.sensor.name for each in watches), *map(memory_of, project.triggers)]


def _policy(settings: Settings) -> Policy:
    return Policy(
        pause_ms_max=settings.sensors.restart_seconds_max * 1000,
        stuck_ms=settings.sensors.stuck_seconds * 1000,
    )


def _signer(settings: Settings) -> Sign | None:
    if settings.checkpoint_key is None:
        return None
    sign: Sign = (
        import_module("eventmill.log.signing").SigningKey.read(settings.checkpoint_key).sign
    )
    return sign


def _make_folder(settings: Settings) -> None:
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LogUnavailable(
            f"cannot make the data folder {settings.data}: {error.strerror}"
        ) from error


@asynccontextmanager
async def _object_store(settings: Settings) -> AsyncIterator[ObjectStore]:
    where = settings.objects
    if where.s3:
        async with S3ObjectStore.open(endpoint=where.endpoint, region=where.region) as store:
            yield store
    else:
        folder = FilesystemObjectStore(settings.buckets)
        await folder.remove_abandoned()
        yield folder


@asynccontextmanager
async def _dispatch(settings: Settings, handlers: Scan) -> AsyncIterator[LambdaFunction]:
    """What carries tasks out: by calls of handlers, which take turns."""
    loop = asyncio.get_running_loop()

    def on_heartbeat(invocation: Invocation) -> None:
        loop.call_soon_threadsafe(dispatch.heartbeat, invocation)

    def on_end(invocation: int) -> None:
        turns.ended(invocation)

    gates = handler_gates(handlers, settings.concurrency.handlers)
    opening, calls_max = _executor(settings, on_heartbeat, on_end)
    async with opening as executor:
        turns = Turns(executor, calls_max=calls_max, gates=gates)
        dispatch = LambdaFunction(turns)
        try:
            yield dispatch
        finally:
            turns.close()


def _places(settings: Settings) -> Places:
    limits = settings.concurrency.executions
    return Places({settings.home.state_machine(name): limit for name, limit in limits.items()})


def _executor(
    settings: Settings,
    on_heartbeat: Callable[[Invocation], None],
    on_end: Callable[[int], None],
) -> tuple[AbstractAsyncContextManager[Executor], int]:
    """What runs the handlers, and how many calls of them at once."""
    # What Lambda takes, or more where an output may have more.
    response_bytes_max = max(RESPONSE_BYTES_MAX, settings.quotas.payload_bytes_max)
    # Without handlers there is nothing to isolate; who calls one is told that it does not exist.
    if settings.isolation == "inline" or not settings.handlers.is_dir():
        inline = InlineExecutor(
            settings.handlers,
            home=settings.home,
            response_bytes_max=response_bytes_max,
            on_heartbeat=on_heartbeat,
            on_end=on_end,
        )
        return inline, _INLINE_CALLS_MAX
    mib = settings.memory_mib
    pool = PoolSettings(
        workers=settings.workers,
        resident_bytes_max=None if mib is None else mib * 1024 * 1024,
        response_bytes_max=response_bytes_max,
        environment={
            "EVENTMILL_PROJECT": str(settings.project),
            **{name: os.environ[name] for name in settings.environment if name in os.environ},
        },
    )
    workers = WorkerPool(
        settings.handlers,
        home=settings.home,
        settings=pool,
        on_heartbeat=on_heartbeat,
        on_end=on_end,
    )
    return workers, pool.workers * pool.calls_per_worker


class _Background:
    """Tasks that run as long as the system does."""

    def __init__(self) -> None:
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *works: Coroutine[None, None, None]) -> "list[asyncio.Task[None]]":
        tasks = [asyncio.create_task(work) for work in works]
        for task in tasks:
            task.add_done_callback(self._ended)
        self._tasks += tasks
        return tasks

    def _ended(self, task: asyncio.Task[None]) -> None:
        # None of them ends by itself; a mistake of ours must stop the server, not hide in a task.
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.broken.done():
            self.broken.set_exception(error)

    async def stop(self) -> None:
        await _cancelled(self._tasks)
        if self.broken.done():
            self.broken.exception()  # whoever waits for it has it; nobody else needs a warning
        else:
            self.broken.cancel()


async def _cancelled(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _background() -> AsyncIterator[_Background]:
    background = _Background()
    try:
        yield background
    finally:
        await background.stop()
