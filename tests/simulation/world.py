"""One simulation: work, servers that die, and a witness that sees everything."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from eventmill.arn import Home
from eventmill.machine.facts import Fact
from eventmill.runtime.outbox import BUS
from tests.simulation.disk import Disk
from tests.simulation.outside import Outside
from tests.simulation.sensor import CURSOR, NAME
from tests.simulation.server import Server
from tests.simulation.timeline import BEGIN_MS, Chaos, Plan, SimulatedClock, Trace
from tests.simulation.witness import Outcome, Violation, Witness
from tests.simulation.workloads import Workload

PATIENCE_MS: Final = 200_000  # that a server may need to notice that somebody is due
LENGTH_MS_MAX: Final = 40 * 24 * 3_600_000  # of what takes longer, something never ends


class World:
    """All that there is in a simulation; `server` is the one that is up, if any."""

    def __init__(self, seed: str, work: Workload, plan: Plan) -> None:
        self.workload = work
        self.home = Home()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.clock = SimulatedClock(self._go_round_in_circles)
        self.trace = Trace(self.clock, self._go_round_in_circles)
        self.chaos = Chaos(seed, plan)
        self.disk = Disk(self.clock, self.chaos, self.trace)
        self.outside = Outside(self)
        self.witness = Witness(self)
        self.server: Server | None = None
        self.news = asyncio.Event()
        self._players = asyncio.all_tasks()  # who plays this simulation
        self._nobody_due_ms = BEGIN_MS  # when nobody was overdue, for the last time
        self._awaited_ms: int | None = None  # since when executions are wanted in memory
        self._under_way = 0  # things that will still happen by themselves
        self._texts = {name: json.dumps(value) for name, value in work.machines.items()}

    async def run(self) -> dict[str, Outcome]:
        """Let it all happen; what the executions came to, by name.

        Raises:
            Violation: Something is not as it must be.
        """
        self._plan_disasters()
        for wish in self.workload.wishes:
            self.outside.begin(self.outside.wish(wish))
        number = 0
        while True:
            server = self.server = Server(self, number, self._texts)
            if number < len(self.chaos.plan.fuses):
                self.trace.light(self.chaos.plan.fuses[number], server.die)
            server.begin()
            await asyncio.wait((server.dead, self.over), return_when=asyncio.FIRST_COMPLETED)
            if self.over.done():
                break
            await self._bury(server)
            number += 1
        self.trace.tread_out()
        self.over.result()
        assert self.server is not None
        await self.witness.at_the_end(self.server)
        return await self.witness.outcomes()

    async def server_up(self) -> Server:
        """A server that answers; waits until there is one."""
        while self.server is None or not self.server.is_ready:
            self.news.clear()
            await self.news.wait()
        return self.server

    def later(self, after_ms: int, work: Callable[[], None]) -> None:
        """Have something happen after a while, whatever becomes of the servers."""
        self._under_way += 1

        def happen() -> None:
            self._under_way -= 1
            work()

        self.clock.call_later(after_ms, happen)

    def repeat(self, arn: str, fact: Fact) -> None:
        """An answer arrives again, some time later, at whichever server is up."""
        self.later(self.chaos.while_ms(), partial(self._tell_again, arn, fact))

    def _tell_again(self, arn: str, fact: Fact) -> None:
        if self.server is not None and self.server.is_ready:
            self.trace.note(f"again: {arn.rsplit(':', 1)[-1]} {type(fact).__name__}")
            self.server.engine.tell(self.witness.id_of(arn), fact)

    def break_off(self, error: BaseException | None) -> None:
        """End the simulation, for this reason."""
        if not self.over.done() and error is not None:
            self.over.set_exception(error)

    def _go_round_in_circles(self) -> None:
        self.break_off(Violation("so much has happened, and it does not end"))

    def on_idle(self) -> bool:
        """Nothing can happen at this instant: end, or go to the next one."""
        if self.over.done():
            if not self.clock.steady.jump():
                raise Violation("something hangs at the end")
            return True
        if self._is_over():
            self.over.set_result(None)
            return True
        if self._is_overdue():
            self.break_off(Violation("somebody is due, and nobody wakes them"))
        elif self._is_at_rest():
            self.break_off(Violation("an execution is wanted in memory, and nobody reads it"))
        elif self.clock.steady.now_ms() - BEGIN_MS > LENGTH_MS_MAX:
            self.break_off(Violation("time passes, and it does not end"))
        elif not self.clock.steady.jump():
            self.break_off(Violation(f"nothing happens any more; {self.witness.open_ends()}"))
        return True

    def _is_over(self) -> bool:
        return (
            self.server is not None
            and self.server.is_ready
            and self.outside.is_done
            and not self._under_way
            and not self.disk.running
            and self.server.connection.is_idle
            and self._has_published()
        )

    def _is_overdue(self) -> bool:
        """Whether somebody has been due all the time that a server needs to notice, and more."""
        now_ms = self.clock.steady.now_ms()
        due_ms = None if self.server is None else self.witness.next_due_ms(self.server)
        if due_ms is None or due_ms > self.clock.now_ms():
            self._nobody_due_ms = now_ms
        return now_ms - self._nobody_due_ms > PATIENCE_MS

    def _is_at_rest(self) -> bool:
        """Whether facts have waited for an execution for longer than any disk refuses."""
        now_ms = self.clock.steady.now_ms()
        if self.server is None or not self.server.engine._loading._told or self.disk.is_full:
            self._awaited_ms = None
        elif self._awaited_ms is None:
            self._awaited_ms = now_ms
        return self._awaited_ms is not None and now_ms - self._awaited_ms > PATIENCE_MS

    def _has_published(self) -> bool:
        cursor = self.disk.sensor_state.get((NAME, CURSOR))
        told = [key for key, mark in self.disk.sensor_state.items() if key[0] == BUS and mark]
        return int(cursor or b"0") == len(self.workload.events) and not told

    def _plan_disasters(self) -> None:
        plan, steady = self.chaos.plan, self.clock.steady
        for at_ms in plan.crashes:
            steady.call_at(BEGIN_MS + at_ms, self._crash)
        for at_ms, by_ms in plan.leaps:
            steady.call_at(BEGIN_MS + at_ms, partial(self._leap, by_ms))
        for at_ms, length_ms, is_away in plan.outages:
            steady.call_at(BEGIN_MS + at_ms, partial(self._fill, True, is_away))
            steady.call_at(BEGIN_MS + at_ms + length_ms, partial(self._fill, False, False))

    def _crash(self) -> None:
        if self.server is not None and not self.over.done():
            self.server.die()

    def _leap(self, by_ms: int) -> None:
        self.trace.note(f"clock: leaps by {by_ms} ms")
        self.clock.leap(by_ms)

    def _fill(self, is_full: bool, is_away: bool) -> None:
        self.trace.note(f"disk: full {is_full}, away {is_away}")
        self.disk.is_full, self.disk.is_away = is_full, is_away

    async def _bury(self, server: Server) -> None:
        """Clear away what a dead server has left in the loop, and wait for the next one."""
        await self.witness.at_death(server)
        self.server = None
        left = await self.leftovers()
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.clock.pass_ms(100 + self.chaos.moment_ms())
        self._nobody_due_ms = self.clock.steady.now_ms()

    async def leftovers(self) -> "list[asyncio.Task[Any]]":
        """Tasks that belong to nobody outside."""
        for _ in range(5):
            await asyncio.sleep(0)
        mine = {*self._players, asyncio.current_task(), *self.outside.tasks}
        return [task for task in asyncio.all_tasks() if task not in mine]
