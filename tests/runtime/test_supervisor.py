"""Sensors under supervision: alone in their trouble, started again, and told of on the bus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventmill.errors import LogDamaged, LogUnavailable, SensorError
from eventmill.events import TriggerEvent
from eventmill.log.memory import MemoryEventLog
from eventmill.ports import Delivery, Publish, Pulse
from eventmill.runtime.bus import Bus
from eventmill.runtime.router import Router
from eventmill.runtime.supervisor import PUBLISHING_MAX, Policy, Supervisor, Watch
from eventmill.triggers.listeners import Listeners
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

Body = Callable[["Scripted", Publish], Awaitable[None]]


class Scripted:
    """A sensor that does what a test says, and has a pulse."""

    def __init__(self, name: str, clock: VirtualClock, body: Body) -> None:
        self.name, self.clock, self.pulse = name, clock, Pulse()
        self.runs = 0
        self._body = body

    async def run(self, publish: Publish, state: Mapping[str, bytes]) -> None:
        self.runs += 1
        await self._body(self, publish)


def event(id_: str) -> TriggerEvent:
    return TriggerEvent(
        id=id_, source="s", detail_type="t", at_ms=0, account="0", region="local", detail={}
    )


class Supervised:
    """A supervisor at work on some sensors, and the alarms that came of them."""

    def __init__(self, log: MemoryEventLog, clock: VirtualClock, supervisor: Supervisor) -> None:
        self.log, self.clock, self.supervisor = log, clock, supervisor
        self.tasks: list[asyncio.Task[None]] = []

    async def advance(self, seconds: float) -> None:
        """Let time pass, second by second."""
        for _ in range(int(seconds)):
            self.clock.advance(1000)
            await settled()

    async def alarms(self) -> list[tuple[str, Any, Any]]:
        """Detail type, sensor and problem of each alarm, in order."""
        told = [each.event for each in reversed(await self.log.inbox())]
        return [
            (each.detail_type, each.detail["sensor"], each.detail["problem"])
            for each in told
            if each.source == "eventmill.sensors"
        ]


@asynccontextmanager
async def supervised(
    bodies: Mapping[str, Body], policy: Policy | None = None
) -> AsyncIterator[tuple[Supervised, dict[str, Scripted]]]:
    log, clock = MemoryEventLog(), VirtualClock()
    async with World(log, clock, {}, {}) as world:
        nobody = Listeners(())
        router = Router(log, world.engine, world.catalog, nobody)
        supervisor = Supervisor(log, clock, router, policy=policy)
        found = Supervised(log, clock, supervisor)
        sensors = {name: Scripted(name, clock, body) for name, body in bodies.items()}
        work = [supervisor.keep(Watch(sensor=s, listeners=nobody)) for s in sensors.values()]
        bus = Bus(router, nobody, clock)
        work += [supervisor.look(), supervisor.tell(bus.publish)]
        found.tasks = [asyncio.ensure_future(each) for each in work]
        await settled()
        yield found, sensors
        for task in found.tasks:
            task.cancel()
        await asyncio.gather(*found.tasks, return_exceptions=True)


async def idle(sensor: Scripted, publish: Publish) -> None:
    await asyncio.Event().wait()


async def unreachable(sensor: Scripted, publish: Publish) -> None:
    raise SensorError("the share is not there")


async def mistaken(sensor: Scripted, publish: Publish) -> None:
    raise ZeroDivisionError("division by zero")


async def test_one_that_blows_up_takes_no_other_down(caplog: pytest.LogCaptureFixture) -> None:
    async def busy(sensor: Scripted, publish: Publish) -> None:
        for number in range(10):
            await publish([Delivery(event=event(f"{number}"), state={})])
            await sensor.clock.pause(1000)

    async with supervised({"bad": mistaken, "good": busy}) as (found, sensors):
        await found.advance(5)
        assert found.supervisor.condition(sensors["good"]).events == 6
        assert found.supervisor.problems == {
            "bad": "a mistake in Eventmill: ZeroDivisionError: division by zero"
        }
        assert sensors["bad"].runs > 1
        assert not any(task.done() for task in found.tasks)
        assert "Traceback" in caplog.text


async def test_a_mistake_stops_a_supervisor_that_shall_not_isolate() -> None:
    async with supervised({"bad": mistaken}, Policy(isolate=False)) as (found, _):
        assert isinstance(found.tasks[0].exception(), ZeroDivisionError)


async def test_a_damaged_log_is_nothing_that_one_sensor_can_have_alone() -> None:
    async def damaged(sensor: Scripted, publish: Publish) -> None:
        raise LogDamaged("the chain is broken")

    async with supervised({"a": damaged}) as (found, _):
        assert isinstance(found.tasks[0].exception(), LogDamaged)


async def test_pauses_grow_to_what_the_policy_allows() -> None:
    async with supervised({"a": unreachable}, Policy(pause_ms_max=4000)) as (found, sensors):
        begun = []
        for second in range(20):
            await found.advance(1)
            begun.append((second, sensors["a"].runs))
        runs = [runs for _, runs in begun]
        # 0.25 + 0.5 + 1 + 2 + 4 + 4 + … seconds
        assert runs[-1] - runs[-9] == 2
        condition = found.supervisor.condition(sensors["a"])
        assert (condition.state, condition.errors) == ("backing off", sensors["a"].runs)
        assert condition.restarts == sensors["a"].runs - 1


async def test_trouble_is_told_once_in_an_episode_and_its_end_once() -> None:
    is_there = False

    async def flaky(sensor: Scripted, publish: Publish) -> None:
        if not is_there:
            raise SensorError("the share is not there")
        await publish([Delivery(event=event("a"), state={})])
        await asyncio.Event().wait()

    async with supervised({"a": flaky, "b": idle}) as (found, _):
        await found.advance(20)
        failed = ("Sensor Failed", "a", "the share is not there")
        assert await found.alarms() == [failed]
        is_there = True
        await found.advance(30)
        assert await found.alarms() == [
            failed,
            ("Sensor Recovered", "a", "the share is not there"),
        ]
        assert found.supervisor.problems == {}


async def test_one_that_only_runs_on_is_well_after_a_while() -> None:
    async def once(sensor: Scripted, publish: Publish) -> None:
        if sensor.runs == 1:
            raise SensorError("not yet")
        await asyncio.Event().wait()

    async with supervised({"a": once}) as (found, _):
        await found.advance(50)
        assert found.supervisor.problems == {"a": "not yet"}
        await found.advance(30)
        assert found.supervisor.problems == {}
        assert [kind for kind, _, _ in await found.alarms()] == [
            "Sensor Failed",
            "Sensor Recovered",
        ]


async def test_a_silent_one_is_stuck_and_an_idle_one_is_not() -> None:
    heard = asyncio.Event()

    async def hangs(sensor: Scripted, publish: Publish) -> None:
        sensor.pulse.until(sensor.clock.steady_ms() + 10_000)
        await heard.wait()
        sensor.pulse.until(None)
        await asyncio.Event().wait()

    async with supervised({"a": hangs, "b": idle}, Policy(stuck_ms=60_000)) as (found, sensors):
        await found.advance(65)
        assert await found.alarms() == []
        await found.advance(20)
        stuck = ("Sensor Stuck", "a", "no sign of life for 60 seconds")
        assert await found.alarms() == [stuck]
        assert found.supervisor.condition(sensors["a"]).state == "stuck"
        assert found.supervisor.condition(sensors["b"]).state == "running"
        await found.advance(60)
        assert len(await found.alarms()) == 1
        heard.set()
        await found.advance(6)
        assert [kind for kind, _, _ in await found.alarms()] == ["Sensor Stuck", "Sensor Recovered"]
        assert found.supervisor.condition(sensors["a"]).state == "running"


async def test_who_waits_for_the_log_is_not_stuck() -> None:
    async with supervised({"a": idle}, Policy(stuck_ms=1000)) as (found, sensors):
        condition = found.supervisor.condition(sensors["a"])
        sensors["a"].pulse.until(found.clock.steady_ms())
        condition.publishing = 1
        await found.advance(20)
        assert condition.state == "running"


async def test_an_alarm_that_the_disk_refuses_is_tried_again() -> None:
    async with supervised({"a": idle}) as (found, sensors):
        told: list[str] = []

        async def put(alarm: TriggerEvent) -> None:
            told.append(alarm.detail_type)
            if len(told) < 3:
                raise LogUnavailable("the disk is full")

        found.tasks[-1].cancel()
        found.tasks.append(asyncio.ensure_future(found.supervisor.tell(put)))
        await settled()
        found.supervisor.condition(sensors["a"]).failed("no")
        await found.advance(10)
        assert told == ["Sensor Failed"] * 3


async def test_duplicates_are_counted() -> None:
    async def twice(sensor: Scripted, publish: Publish) -> None:
        for _ in range(3):
            await publish([Delivery(event=event("same"), state={})])
        await asyncio.Event().wait()

    async with supervised({"a": twice}) as (found, sensors):
        condition = found.supervisor.condition(sensors["a"])
        assert (condition.events, found.supervisor.duplicates("a")) == (3, 2)
        stored = await found.log.event("s", "same")
        assert stored is not None
        assert stored.event.sensor == "a"


async def test_of_thousands_that_are_due_together_some_hand_over_at_a_time() -> None:
    at_once: list[int] = []
    here = 0

    class Crowded(Router):
        async def publish(
            self, sensor: str, listeners: Listeners, deliveries: Sequence[Delivery]
        ) -> None:
            nonlocal here
            here += 1
            at_once.append(here)
            await super().publish(sensor, listeners, deliveries)
            here -= 1

    async def once(sensor: Scripted, publish: Publish) -> None:
        await publish([Delivery(event=event(sensor.name), state={})])
        await asyncio.Event().wait()

    log, clock = MemoryEventLog(), VirtualClock()
    async with World(log, clock, {}, {}) as world:
        nobody = Listeners(())
        supervisor = Supervisor(log, clock, Crowded(log, world.engine, world.catalog, nobody))
        sensors = [Scripted(f"{number}", clock, once) for number in range(2_000)]
        tasks = [
            asyncio.ensure_future(supervisor.keep(Watch(sensor=each, listeners=nobody)))
            for each in sensors
        ]
        while len(at_once) < len(sensors) or here:
            await settled()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert max(at_once) == PUBLISHING_MAX
