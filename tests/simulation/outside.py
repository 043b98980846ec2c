"""Those outside: they start executions, hold task tokens, wait and stop, and outlive servers.

Whoever gets no answer asks again, as a client of the API does.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from eventmill.errors import ExecutionAlreadyExists, LogUnavailable
from eventmill.machine.commands import RunTask
from eventmill.machine.facts import Fact, TaskFailed, TaskHeartbeat, TaskSucceeded
from eventmill.model import Payload
from eventmill.runtime.starting import Start
from tests.simulation.workloads import Wish

if TYPE_CHECKING:
    from tests.simulation.server import Server
    from tests.simulation.world import World

_T = TypeVar("_T")


class Outside:
    """Everybody who talks to whichever server is up."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.tasks: set[asyncio.Task[None]] = set()
        self._held: set[tuple[str, int]] = set()

    @property
    def is_done(self) -> bool:
        """Whether nobody wants anything any more."""
        return not self.tasks

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Have somebody do this."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._left)

    def _left(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._world.break_off(error)

    async def wish(self, wish: Wish) -> None:
        """Start an execution, wait for its end, or stop it after a while."""
        world = self._world
        await world.clock.pass_ms(world.chaos.while_ms())

        async def start(server: "Server") -> None:
            world.trace.note(f"outside: starts {wish.name}")
            machine = server.catalog.machine(wish.machine)
            data = Payload.of(wish.input)
            await server.engine.start([Start(machine=machine, name=wish.name, input=data)])

        try:
            await self.insist(start)
        except ExecutionAlreadyExists:
            world.trace.note(f"outside: {wish.name} was started")
        arn = world.home.execution(wish.machine, wish.name)
        row = await world.disk.memory.execution(arn)
        assert row is not None, f"{wish.name} was acknowledged and is not in the log"
        id = row.id
        if wish.stop_after_ms is not None:
            await world.clock.pass_ms(wish.stop_after_ms)
            world.trace.note(f"outside: stops {wish.name}")
            ended = await self.insist(lambda server: server.engine.stop(arn, "Stop", "enough"))
        else:
            ended = await self.insist(lambda server: server.engine.ended(id))
        stored = await world.disk.memory.execution_by_id(id)
        assert stored == ended, f"told of {ended}, and the log has {stored}"

    def hand_token(self, arn: str, command: RunTask, fact: Fact) -> None:
        """Somebody gets the token of a task, and will answer it with `fact`."""
        key = (arn, command.task)
        if key in self._held:
            return
        self._held.add(key)
        if self._world.workload.is_steady:
            facts = [fact]
        else:
            facts = [_numbered(fact, number) for number in range(2)]
        for each in facts:
            self.begin(self._answer(arn, command.task, each))
        if self._world.chaos.strikes(0.3):
            self.begin(self._answer(arn, command.task, TaskHeartbeat(task=command.task)))

    async def _answer(self, arn: str, task: int, fact: Fact) -> None:
        world = self._world
        await world.clock.pass_ms(world.chaos.while_ms())
        row = await world.disk.memory.execution(arn)
        assert row is not None
        id, name = row.id, f"{row.name}#{task} {type(fact).__name__}"

        async def tell(server: "Server") -> bool:
            world.trace.note(f"outside: tells {name}")
            return await server.engine.told(id, fact)

        is_taken, in_doubt = await self._insist(tell)
        world.trace.note(f"outside: {name} {'is taken' if is_taken else 'comes too late'}")
        world.witness.told(id, fact, is_taken=is_taken, in_doubt=in_doubt)

    async def insist(self, ask: Callable[["Server"], Awaitable[_T]]) -> _T:
        """Ask whichever server is up until one answers."""
        answer, _ = await self._insist(ask)
        return answer

    async def _insist(self, ask: Callable[["Server"], Awaitable[_T]]) -> tuple[_T, bool]:
        """The answer, and whether a server died that may have done what was asked."""
        in_doubt = False
        while True:
            server = await self._world.server_up()
            asked = asyncio.ensure_future(ask(server))
            await asyncio.wait((asked, server.dead), return_when=asyncio.FIRST_COMPLETED)
            if asked.done() and not server.dead.done():
                try:
                    return asked.result(), in_doubt
                except LogUnavailable:
                    await self._world.clock.pass_ms(200)
                    continue
            in_doubt = True
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            await self._world.clock.pass_ms(50)


def _numbered(fact: Fact, number: int) -> Fact:
    """An answer that can be told from others to the same task."""
    if isinstance(fact, TaskSucceeded):
        value = json.loads(fact.output.text)
        return TaskSucceeded(task=fact.task, output=Payload.of({**value, "answer": number}))
    assert isinstance(fact, TaskFailed)
    return TaskFailed(task=fact.task, error=fact.error, cause=f"answer {number}")
