"""Recorded executions on the real engine: a log in memory, time that jumps, scripted handlers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from eventmill.arn import Home, function_name
from eventmill.codec import aws_event
from eventmill.datasets.stored import StoredDatasets
from eventmill.instant import parse_instant
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.log.memory import MemoryEventLog
from eventmill.machine.execution import Identity
from eventmill.model import AWS_QUOTAS, Payload
from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.ports import Answer, Clock, EventLog, Executor, Invocation
from eventmill.rows import ExecutionRow
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.engine import Engine
from eventmill.runtime.replay import history, replay, verify
from eventmill.runtime.starting import Start
from eventmill.runtime.work import Dispatch
from tests.conformance.recorded import BEHAVIOURS, Behaviour, Case, no_such_function, sleep_60

RECORDED_HOME: Final = Home(account="111111111111", region="us-east-1")

# Some inputs hold instants that were "24,855 days from now" on the day of their recording.
_BEGIN_MS: Final = parse_instant("2026-11-22T22:45:44Z")
_ANSWERS_MS: Final = 80  # how long a handler takes
# More turns of the event loop than any chain of callbacks that needs neither time nor threads.
_TURNS: Final = 60


class Agenda:
    """A `Clock` that stands still until it is told to go on to what is due next."""

    def __init__(self, now_ms: int = _BEGIN_MS) -> None:
        self._now_ms = now_ms
        self._entries: list[tuple[int, int, Callable[[], bool]]] = []
        self._ties = count()

    def now_ms(self) -> int:
        """See `Clock.now_ms`."""
        return self._now_ms

    def steady_ms(self) -> int:
        """See `Clock.steady_ms`."""
        return self._now_ms

    async def pause(self, length_ms: int) -> None:
        """See `Clock.pause`."""
        await self.sleep_until(self._now_ms + length_ms)

    async def sleep_until(self, at_ms: int) -> None:
        """See `Clock.sleep_until`."""
        if at_ms <= self._now_ms:
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> bool:
            if awake.done():
                return False  # nobody waits any more
            awake.set_result(None)
            return True

        self.at(at_ms, wake)
        await awake

    def at(self, due_ms: int, act: Callable[[], bool]) -> None:
        """Do something at a time; it returns whether there was anything to do."""
        heappush(self._entries, (due_ms, next(self._ties), act))

    def go_on(self, until_ms: int | None = None) -> bool:
        """Let time pass to the next entry that does anything; False when there is none by then."""
        while self._entries and (until_ms is None or self._entries[0][0] <= until_ms):
            due_ms, _, act = heappop(self._entries)
            at_ms, self._now_ms = self._now_ms, max(self._now_ms, due_ms)
            if act():
                return True
            self._now_ms = at_ms
        if until_ms is not None:
            self._now_ms = max(self._now_ms, until_ms)
        return False


class ScriptedExecutor:
    """An `Executor` whose handlers are the recorded behaviours, and take virtual time."""

    def __init__(self, clock: Agenda, case: Case) -> None:
        self._clock = clock
        self._behaviours: dict[str, Behaviour] = {
            each["name"]: BEHAVIOURS[each["behaviour_id"]] for each in case.get("handlers") or ()
        }
        self._cancelled: set[int] = set()

    def invoke(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        """See `Executor.invoke`."""
        behaviour = self._behaviours.get(function_name(invocation.function))
        delay_ms = 60_000 if behaviour is sleep_60 else _ANSWERS_MS
        given = (behaviour or no_such_function)(invocation)

        def deliver() -> bool:
            if invocation.id in self._cancelled:
                return False
            answer(given)
            return True

        self._clock.at(self._clock.now_ms() + delay_ms, deliver)

    def cancel(self, invocation: int) -> None:
        """See `Executor.cancel`."""
        self._cancelled.add(invocation)


def unknown_behaviour(case: Case) -> str | None:
    """Why the handlers of a case cannot be played, if so."""
    wanted = [each["behaviour_id"] for each in case.get("handlers") or ()]
    unknown = [each for each in wanted if each not in BEHAVIOURS]
    return f"needs a handler of the behaviour {unknown[0]}" if unknown else None


async def turns() -> None:
    """Let everything happen that needs neither time to pass nor threads."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class _Threads(ThreadPoolExecutor):
    """Knows whether a call that was handed to a thread, such as reading a file, is under way."""

    def __init__(self) -> None:
        super().__init__(max_workers=4)
        self._futures: set[Future[Any]] = set()

    def submit(self, call: Callable[..., Any], /, *given: Any, **named: Any) -> "Future[Any]":
        future = super().submit(call, *given, **named)
        self._futures.add(future)
        return future

    def were_at_work(self) -> bool:
        """Whether a call was under way since this was asked last.

        One that is done counts once more: the event loop may not have heard of it yet.
        """
        were = bool(self._futures)
        self._futures = {each for each in self._futures if not each.done()}
        return were


def wired(
    log: EventLog, clock: Clock, catalog: Catalog, executor: Executor, objects: Path
) -> tuple[Engine, Dispatch]:
    """The engine and all that executions may call, as `eventmill.runtime.system` wires them.

    `objects` has a folder for each bucket, and in it a file for each key.
    """
    dispatch, datasets = LambdaFunction(executor), StoredDatasets(FilesystemObjectStore(objects))
    engine = Engine(log, clock, catalog, dispatch, datasets, RECORDED_HOME, AWS_QUOTAS)
    return engine, dispatch


@dataclass
class EngineWorld:
    """A server's inside, with time that passes only when nothing else happens."""

    log: EventLog
    clock: Agenda
    catalog: Catalog
    engine: Engine
    dispatch: Dispatch
    objects: Path
    threads: _Threads
    keeping_time: "asyncio.Task[None]"

    async def settled(self) -> None:
        """Let everything happen that needs no time to pass.

        Raises:
            LogDamaged: The engine has failed for good.
        """
        await turns()
        while self.threads.were_at_work():
            await asyncio.sleep(0.001)  # a thread takes real time
            await turns()
        if self.keeping_time.done():
            self.keeping_time.result()


@asynccontextmanager
async def engine_world(case: Case, objects: Path) -> AsyncIterator[EngineWorld]:
    """An engine with the handlers and the objects of a case; objects lie in the folder given."""
    for each in case.get("s3_objects") or ():
        put_object(objects, each["bucket"], each["key"], each["body"])
    log, clock, threads = MemoryEventLog(), Agenda(), _Threads()
    asyncio.get_running_loop().set_default_executor(threads)
    catalog = Catalog(log, RECORDED_HOME, AWS_QUOTAS)
    engine, dispatch = wired(log, clock, catalog, ScriptedExecutor(clock, case), objects)
    time = asyncio.ensure_future(engine.keep_time())
    try:
        yield EngineWorld(log, clock, catalog, engine, dispatch, objects, threads, time)
    finally:
        time.cancel()
        engine.close()


def put_object(folder: Path, bucket: str, key: str, body: str) -> None:
    """Store an object, for Map Runs to read."""
    path = folder / bucket / key
    assert folder.resolve() in path.resolve().parents, "an object stays in its folder"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body, encoding="utf-8", newline="")


def run_on_engine(case: Case) -> dict[str, Any]:
    """The outcome of a case in the form that the checker compares; every step is proven."""
    with TemporaryDirectory(prefix="conformance-") as folder:
        return asyncio.run(_outcome(case, Path(folder)))


async def _outcome(case: Case, objects: Path) -> dict[str, Any]:
    async with engine_world(case, objects) as world:
        machine = world.catalog.add("statemachine", json.dumps(case["definition"]))
        start = Start(machine=machine, name="run", input=Payload.of(case["input"]))
        (row,) = await world.engine.start([start])
        ended = asyncio.ensure_future(world.engine.ended(row.id))
        if any(each["op"] == "stop_execution" for each in case.get("interactions") or ()):
            await world.engine.stop(row.arn, None, None)
        # A recording that breaks off is followed to its end and no further.
        breaks_off = case["expected"].get("status") is None
        recorded = len(case["expected"].get("history") or ()) if breaks_off else None
        await world.settled()
        while not (ended.done() or await _is_at_end(world, row, recorded)):
            if not world.clock.go_on():
                break  # it waits for somebody who never comes
            await world.settled()
        ended.cancel()
        return await _told(world, row, recorded)


async def _is_at_end(world: EngineWorld, row: ExecutionRow, recorded: int | None) -> bool:
    return recorded is not None and len(history(await world.log.read(row.id))) >= recorded


async def _told(world: EngineWorld, row: ExecutionRow, recorded: int | None) -> dict[str, Any]:
    """What AWS would say of the execution, from what is in the log."""
    definition, rows = await world.catalog.definition(row.definition), await world.log.read(row.id)
    identity = Identity.of(row.arn, row.state_machine_arn)
    verify(identity, definition, rows)
    execution = replay(identity, definition, rows)
    failure = execution.failure
    return {
        "status": None if await _is_at_end(world, row, recorded) else execution.status,
        "output": None if execution.output is None else execution.output.value,
        "error": None if failure is None else failure.error,
        "cause": None if failure is None else failure.cause,
        "history": [aws_event(event) for event in history(rows)],
    }
