"""Keeps sensors running: each an isolated task, started again after a failure, ever more slowly.

A sensor that fails costs itself only, also when the mistake is ours: it is told with its traceback,
and the sensor is started again like any other. What it had not published yet it finds again. Only
a log that is damaged, or that another version wrote, ends the server.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from eventmill.arn import Home
from eventmill.errors import LogError, LogUnavailable, SensorError
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.ports import Clock, Delivery, EventLog, Sensor
from eventmill.record import record
from eventmill.runtime.condition import RUNNING, Condition
from eventmill.runtime.router import Router
from eventmill.triggers.listeners import Listeners

_log: Final = logging.getLogger(__name__)

_FIRST_PAUSE_MS: Final = 250
# A sensor that has run so long without failing is well again; with signs of life, after a look.
_WELL_AFTER_MS: Final = 60_000
_LOOK_MS: Final = 5_000
_ALARM_PAUSE_MS: Final = 1_000
# So many sensors hand over at once, so that thousands that are due together leave the event loop
# time for others in between.
PUBLISHING_MAX: Final = 256

Put: TypeAlias = Callable[[TriggerEvent], Awaitable[None]]
"""Publishes an alarm; raises LogUnavailable when the disk refuses."""


@record
class Watch:
    """A sensor and the triggers that listen to it."""

    sensor: Sensor
    listeners: Listeners


@record
class Policy:
    """How a failed sensor is started again, and when a silent one is stuck."""

    pause_ms_max: int = 30_000
    stuck_ms: int = 300_000
    # Whether a mistake of ours in a sensor costs this sensor only.
    isolate: bool = True


class Supervisor:
    """Runs the sensors and hands what they find to the router."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        router: Router,
        *,
        home: Home | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._events = log
        self._clock = clock
        self._router = router
        self._home = home or Home()
        self._policy = policy or Policy()
        self._room = asyncio.Semaphore(PUBLISHING_MAX)
        self._alarms: asyncio.Queue[TriggerEvent] = asyncio.Queue()
        self.conditions: dict[str, Condition] = {}

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with sensors at present, by name."""
        return {
            name: condition.problem
            for name, condition in self.conditions.items()
            if condition.problem is not None
        }

    def duplicates(self, sensor: str) -> int:
        """How many events of a sensor were there already."""
        return self._router.duplicates[sensor]

    def condition(self, sensor: Sensor) -> Condition:
        """How a sensor is doing."""
        found = self.conditions.get(sensor.name)
        if found is None:
            found = Condition(sensor, self._clock, self._home, self._alarms.put_nowait)
            self.conditions[sensor.name] = found
        return found

    async def keep(self, watch: Watch) -> None:
        """Run one sensor until cancelled, whatever befalls it."""
        condition, pause_ms = self.condition(watch.sensor), _FIRST_PAUSE_MS
        while True:
            began_ms = self._clock.steady_ms()
            problem = await self._run(watch, condition)
            if self._clock.steady_ms() - began_ms > _WELL_AFTER_MS:
                pause_ms = _FIRST_PAUSE_MS
            if condition.problem != problem:
                _log.warning("sensor %s: %s; trying again", watch.sensor.name, problem)
            condition.failed(problem)
            await self._clock.pause(pause_ms)
            condition.restarted()
            pause_ms = min(pause_ms * 2, self._policy.pause_ms_max)

    async def hand_over(self, watch: Watch, delivery: Delivery) -> None:
        """Publish an event as if the sensor had found it.

        Raises:
            LogUnavailable: The disk refuses; nothing was stored.
        """
        await self._router.publish(watch.sensor.name, watch.listeners, [delivery])

    async def look(self) -> None:
        """Look after all sensors until cancelled: which are silent, and which are well again."""
        while True:
            await self._clock.pause(_LOOK_MS)
            now_ms = self._clock.now_ms()
            for condition in self.conditions.values():
                condition.watch(self._policy.stuck_ms)
                well_after_ms = _LOOK_MS if condition.has_come_on else _WELL_AFTER_MS
                ran_ms = now_ms - condition.since_ms
                if condition.state == RUNNING and condition.problem and ran_ms > well_after_ms:
                    self._well(condition)

    async def tell(self, put: Put) -> None:
        """Publish alarms until cancelled, in order; one that the disk refuses is tried again."""
        while True:
            alarm = await self._alarms.get()
            while True:
                try:
                    await put(alarm)
                    break
                except LogUnavailable:
                    await self._clock.pause(_ALARM_PAUSE_MS)

    async def _run(self, watch: Watch, condition: Condition) -> str:
        """Run a sensor until it ends; returns why it has."""
        try:
            await self._watch(watch, condition)
        except (SensorError, LogUnavailable) as error:
            return str(error)
        except LogError:
            raise
        except Exception as error:
            if not self._policy.isolate:
                raise
            _log.exception("sensor %s: a mistake in Eventmill", watch.sensor.name)
            return f"a mistake in Eventmill: {type(error).__name__}: {error}"
        return "it ended by itself"

    async def _watch(self, watch: Watch, condition: Condition) -> None:
        sensor, listeners = watch.sensor, watch.listeners

        async def publish(deliveries: Sequence[Delivery]) -> None:
            point("before-publish")
            condition.publishing += 1
            try:
                async with self._room:
                    await self._router.publish(sensor.name, listeners, deliveries)
            finally:
                condition.publishing -= 1
            point("before-acknowledge")
            if condition.problem is not None:
                self._well(condition)
            condition.published(len(deliveries))

        await sensor.run(publish, await self._events.sensor_state(sensor.name))

    def _well(self, condition: Condition) -> None:
        _log.info("sensor %s: works again", condition.sensor.name)
        condition.well()
