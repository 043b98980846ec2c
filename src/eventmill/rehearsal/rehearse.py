"""Rehearsals: the real engine runs one execution, with mocked tasks and virtual time.

`rehearse` is for tests written in Python; `perform` is what test files lead to.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import field
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeAlias

from eventmill.arn import Home
from eventmill.asl.fields import did_you_mean
from eventmill.asl.syntax import Task
from eventmill.codec import aws_event
from eventmill.datasets.stored import StoredDatasets
from eventmill.executors.calls import HandlerFunction
from eventmill.executors.inline import InlineExecutor
from eventmill.instant import parse_instant
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.log.memory import MemoryEventLog
from eventmill.machine.execution import Identity
from eventmill.machine.history import HistoryEvent
from eventmill.model import AWS_QUOTAS, EMPTY_OBJECT, Payload, Quotas, encode_json
from eventmill.ports import Invocation
from eventmill.record import record
from eventmill.rehearsal.clock import RehearsalLoop, VirtualClock
from eventmill.rehearsal.definitions import rehearsable, states_of
from eventmill.rehearsal.fields import Note
from eventmill.rehearsal.mocks import Mocks, parse_mock
from eventmill.rehearsal.objects import MemoryObjectStore
from eventmill.rehearsal.outcome import Outcome, RehearsalBroken, path_of
from eventmill.rehearsal.tasks import MockedTasks
from eventmill.rows import ExecutionRow
from eventmill.runtime.catalog import Catalog, Machine
from eventmill.runtime.engine import Engine
from eventmill.runtime.replay import history, replay
from eventmill.runtime.starting import Start

# When a rehearsal begins, unless it is told otherwise: the same instant each time.
START_MS: Final = parse_instant("2026-01-01T00:00:00Z")

Handlers: TypeAlias = Path | Mapping[str, HandlerFunction]


@record
class Rehearsal:
    """One execution to rehearse. `start_ms` is when its virtual time begins."""

    tested: Machine
    input: Payload = EMPTY_OBJECT
    mocks: Mocks
    handlers: Handlers | None = None
    objects: Mapping[str, bytes] = field(default_factory=dict)
    execution_name: str = "rehearsal"
    start_ms: int = START_MS
    home: Home = Home()
    quotas: Quotas = AWS_QUOTAS


def rehearse(
    definition: str | Path | Mapping[str, Any],
    input: Any = EMPTY_OBJECT,
    mocks: Mapping[str, Any] | None = None,
    *,
    handlers: Handlers | None = None,
    objects: Mapping[str, bytes] | None = None,
    start_ms: int = START_MS,
) -> Outcome:
    """Run a definition (its text, its file or its value) with mocked tasks, in virtual time.

    A mock is what a test file says under `Mocks`, or a function from the task's parameters to its
    result, which raises `HandlerError` to fail the task; other errors it raises are raised here.
    `handlers` are for mocks that ask for the handler, `objects` (by `bucket/key`) for distributed
    Maps. It blocks until the execution has ended, and may be called from a coroutine all the same.

    Raises:
        InvalidDefinition: The definition has mistakes.
        ValueError: The mocks have mistakes.
        RehearsalBroken: A task has no mock, or the execution waits for what never comes.
    """
    text, name = _text_of(definition)
    tested = rehearsable(name, text, Home(), AWS_QUOTAS)
    mistakes: list[str] = []

    def note(pointer: str, message: str) -> None:
        mistakes.append(f"{pointer}: {message}")

    parsed = {state: parse_mock(mock, f"/{state}", note) for state, mock in (mocks or {}).items()}
    check_states(parsed, tested, note)
    if mistakes:
        raise ValueError("the mocks have mistakes: " + "; ".join(mistakes))
    return perform(
        Rehearsal(
            tested=tested,
            input=input if isinstance(input, Payload) else Payload(encode_json(input)),
            mocks=parsed,
            handlers=handlers,
            objects=objects or {},
            start_ms=start_ms,
        )
    )


def _text_of(definition: str | Path | Mapping[str, Any]) -> tuple[str, str]:
    if isinstance(definition, Path):
        return definition.read_text(encoding="utf-8"), definition.name.partition(".")[0]
    if isinstance(definition, str):
        return definition, "rehearsal"
    return encode_json(dict(definition)).decode(), "rehearsal"


def check_states(mocks: Mocks, machine: Machine, note: Note) -> None:
    """Note every mock whose state does not exist, calls nothing, or cannot be answered so."""
    states = {each.name: each for each in states_of(machine.definition.states)}
    for name, mock in mocks.items():
        state = states.get(name)
        if state is None:
            hint = did_you_mean(name, states) or f"there are: {', '.join(states)}"
            note(f"/{name}", f"the definition has no state {name!r}; {hint}")
        elif not isinstance(state, Task):
            note(f"/{name}", f"{name!r} is a {type(state).__name__} state, which calls nothing")
        elif state.resource.pattern != "callback" and any(each.is_double for each in mock):
            note(f"/{name}", "beside Handler only a .waitForTaskToken task has another answer")


def perform(rehearsal: Rehearsal) -> Outcome:
    """Run a rehearsal to its end.

    Raises:
        RehearsalBroken: A task has no mock, or the execution waits for what never comes.
    """
    if not _in_event_loop():
        return _perform(rehearsal)
    # A thread has one event loop at most, and this one is in use.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_perform, rehearsal).result()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _perform(rehearsal: Rehearsal) -> Outcome:
    with asyncio.Runner(loop_factory=RehearsalLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, RehearsalLoop)
        return runner.run(_Stage(rehearsal, loop).perform())


class _Stage:
    """A server's life that lasts for one execution."""

    def __init__(self, rehearsal: Rehearsal, loop: RehearsalLoop) -> None:
        self._rehearsal = rehearsal
        self._loop = loop
        self._clock = VirtualClock(rehearsal.start_ms)
        self._events = MemoryEventLog()
        self._store = MemoryObjectStore(rehearsal.objects, rehearsal.start_ms)
        # Fails when the rehearsal cannot go on: by an error of its own, or with a reason in words.
        self._broken: asyncio.Future[str] = loop.create_future()

    async def perform(self) -> Outcome:
        """Run the execution to its end, or as far as it comes."""
        rehearsal = self._rehearsal
        self._loop.set_exception_handler(self._on_error)
        async with AsyncExitStack() as stack:
            handlers = await self._handlers(stack)
            tasks = MockedTasks(rehearsal.mocks, self._clock, handlers, self._break_off)
            engine = self._engine(tasks)
            stack.callback(engine.close)
            self._loop.on_idle = lambda: self._pass_time(tasks)
            stack.callback(setattr, self._loop, "on_idle", lambda: False)
            time = asyncio.ensure_future(engine.keep_time())
            stack.callback(time.cancel)
            start = Start(
                machine=rehearsal.tested,
                name=rehearsal.execution_name,
                input=rehearsal.input,
            )
            (row,) = await engine.start([start])
            ended = asyncio.ensure_future(engine.ended(row.id))
            stack.callback(ended.cancel)
            await asyncio.wait((ended, time, self._broken), return_when=asyncio.FIRST_COMPLETED)
            if time.done():
                await time  # which raises what is wrong with the log
            # Raises what a mock written in Python has raised.
            reason = await self._broken if self._broken.done() else None
            outcome = await self._outcome(row, tasks)
        if reason is not None:
            raise RehearsalBroken(reason, outcome)
        return outcome

    def _engine(self, tasks: MockedTasks) -> Engine:
        """The engine of a server, over a log in memory."""
        home, quotas = self._rehearsal.home, self._rehearsal.quotas
        catalog = Catalog(self._events, home, quotas)
        datasets = StoredDatasets(self._store)
        seeds = count(1)  # the same random numbers in each rehearsal
        return Engine(
            self._events,
            self._clock,
            catalog,
            tasks,
            datasets,
            home,
            quotas,
            new_seed=lambda: next(seeds),
            stay_ms=None,  # virtual waits are over at once, and each would cost a reading
        )

    async def _handlers(self, stack: AsyncExitStack) -> LambdaFunction | None:
        handlers = self._rehearsal.handlers
        if handlers is None:
            return None

        def on_heartbeat(invocation: Invocation) -> None:
            self._loop.call_soon_threadsafe(functions.heartbeat, invocation)

        executor = InlineExecutor(handlers, home=self._rehearsal.home, on_heartbeat=on_heartbeat)
        functions = LambdaFunction(await stack.enter_async_context(executor))
        return functions

    def _pass_time(self, tasks: MockedTasks) -> bool:
        """Go on to what is due next; if nothing ever is, the execution will never end."""
        if self._broken.done():
            return False
        if not self._clock.jump():
            waits = "; ".join(tasks.unanswered()) or "it waits for nothing that anybody knows of"
            self._break_off(f"the execution waits for what never comes: {waits}")
        return True

    def _break_off(self, reason: str) -> None:
        if not self._broken.done():
            self._broken.set_result(reason)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a mock written in Python raises ends the rehearsal."""
        error = context.get("exception")
        if isinstance(error, Exception) and not self._broken.done():
            self._broken.set_exception(error)
        else:
            loop.default_exception_handler(context)

    async def _outcome(self, row: ExecutionRow, tasks: MockedTasks) -> Outcome:
        rows = await self._events.read(row.id)
        definition = self._rehearsal.tested.definition
        execution = replay(Identity.of(row.arn, row.state_machine_arn), definition, rows)
        events: list[HistoryEvent] = history(rows)
        stop_ms = self._clock.now_ms() if execution.stop_ms is None else execution.stop_ms
        failure = execution.failure
        return Outcome(
            status=execution.status,
            output=None if execution.output is None else execution.output.value,
            error=None if failure is None else failure.error,
            cause=None if failure is None else failure.cause,
            path=path_of(events),
            calls=tasks.calls,
            duration_ms=stop_ms - row.start_ms,
            objects=self._store.objects,
            history=[aws_event(event) for event in events],
        )
