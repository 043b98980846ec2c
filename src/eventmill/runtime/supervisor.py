"""Keeps sensors running: each an isolated task, started again after a failure, ever more slowly."""

import logging
from collections.abc import Sequence
from typing import Final

from eventmill.errors import LogUnavailable, SensorError
from eventmill.faults import point
from eventmill.model import record
from eventmill.ports import Clock, Delivery, EventLog, Sensor
from eventmill.runtime.router import Router
from eventmill.triggers.listeners import Listeners

_log: Final = logging.getLogger(__name__)

_FIRST_PAUSE_MS: Final = 250
_PAUSE_MS_MAX: Final = 30_000
# A sensor that has run so long without failing is well again.
_WELL_AFTER_MS: Final = 60_000


@record
class Watch:
    """A sensor and the triggers that listen to it."""

    sensor: Sensor
    listeners: Listeners


class Supervisor:
    """Runs the sensors and hands what they find to the router."""

    def __init__(self, log: EventLog, clock: Clock, router: Router) -> None:
        self._events = log
        self._clock = clock
        self._router = router
        self.problems: dict[str, str] = {}  # what is wrong with a sensor at present

    async def keep(self, watch: Watch) -> None:
        """Run one sensor until cancelled, whatever befalls it."""
        name, pause_ms = watch.sensor.name, _FIRST_PAUSE_MS
        while True:
            began_ms = self._clock.steady_ms()
            try:
                await self._run(watch)
                problem = "it ended by itself"
            except (SensorError, LogUnavailable) as error:
                problem = str(error)
            if self._clock.steady_ms() - began_ms > _WELL_AFTER_MS:
                pause_ms = _FIRST_PAUSE_MS
            if self.problems.get(name) != problem:
                _log.warning("sensor %s: %s; trying again", name, problem)
            self.problems[name] = problem
            await self._clock.pause(pause_ms)
            pause_ms = min(pause_ms * 2, _PAUSE_MS_MAX)

    async def _run(self, watch: Watch) -> None:
        sensor, listeners = watch.sensor, watch.listeners

        async def publish(deliveries: Sequence[Delivery]) -> None:
            point("before-publish")
            await self._router.publish(sensor.name, listeners, deliveries)
            point("before-acknowledge")
            if self.problems.pop(sensor.name, None) is not None:
                _log.info("sensor %s: works again", sensor.name)

        await sensor.run(publish, await self._events.sensor_state(sensor.name))
