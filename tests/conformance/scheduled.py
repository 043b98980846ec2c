"""A schedule sensor that runs in a test: a clock that can be set, and a log in memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from eventmill.arn import Home
from eventmill.errors import LogUnavailable
from eventmill.ports import Delivery
from eventmill.schedules.zone import Zone
from eventmill.sensors.schedule import ScheduleSensor
from eventmill.triggers.schedule import ScheduleSource


class SettableClock:
    """A `Clock` that can be set forward and back, and that can pass over its sleepers' waits."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return self._now_ms

    def steady_ms(self) -> int:
        return self._now_ms

    async def pause(self, length_ms: int) -> None:
        await self.sleep_until(self._now_ms + length_ms)

    async def sleep_until(self, at_ms: int) -> None:
        if at_ms <= self._now_ms:
            return
        sleeper = (at_ms, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    async def set_to(self, at_ms: int) -> None:
        """Show another time, and let happen what is due then."""
        self._now_ms = at_ms
        for due_ms, sleeper in self._sleepers:
            if due_ms <= at_ms and not sleeper.done():
                sleeper.set_result(None)
        await settled()

    async def pass_until(self, at_ms: int) -> None:
        """Go from one sleeper's time to the next, up to an instant."""
        await settled()
        while due := [due_ms for due_ms, _ in self._sleepers if due_ms <= at_ms]:
            await self.set_to(min(due))
        await self.set_to(at_ms)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Log:
    """Takes deliveries as the event log does: each id once, an event and its state at once."""

    def __init__(self) -> None:
        self.state: dict[str, bytes] = {}
        self.deliveries: list[Delivery] = []
        self.again = 0
        self.left: int | None = None  # how many deliveries it takes before the disk is full
        self.dies_before_telling = False
        self._ids: set[str] = set()

    async def publish(self, deliveries: Sequence[Delivery]) -> None:
        await asyncio.sleep(0)
        if self.left is not None:
            if self.left < len(deliveries):
                raise LogUnavailable("the disk is full")
            self.left -= len(deliveries)
        for delivery in deliveries:
            if delivery.event.id in self._ids:
                self.again += 1
            else:
                self._ids.add(delivery.event.id)
                self.deliveries.append(delivery)
            await self.remember(delivery.state)
        if self.dies_before_telling:
            await asyncio.Event().wait()

    async def remember(self, state: Mapping[str, bytes | None]) -> None:
        for key, value in state.items():
            assert value is not None
            self.state[key] = value


class Server:
    """Lives of a server with one schedule, on one log and one clock."""

    def __init__(self, source: ScheduleSource, at: str) -> None:
        self.source = source
        self.zone = Zone(source.timezone)
        self.clock = SettableClock(self.zone.read(at))
        self.log = Log()

    @asynccontextmanager
    async def up(self, *, paused: bool = False) -> AsyncIterator["asyncio.Task[None]"]:
        """One life, from now on; leaving it is a crash."""
        sensor = ScheduleSensor(
            self.source,
            home=Home(),
            clock=self.clock,
            remember=self.log.remember,
            paused=paused,
        )
        running = asyncio.create_task(sensor.run(self.log.publish, dict(self.log.state)))
        await settled()
        try:
            yield running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, LogUnavailable):
                await running

    async def until(self, at: str) -> None:
        """Let time pass; `at` is what clocks show, or an instant with its offset."""
        await self.clock.pass_until(self.zone.read(at))

    async def set_to(self, at: str) -> None:
        """Set the clock."""
        await self.clock.set_to(self.zone.read(at))

    def told(self) -> list[str]:
        """The scheduled times told so far, as clocks show them."""
        return [str(each.event.detail["local-time"]) for each in self.log.deliveries]
