"""The sensor of a simulation: it finds the events of the workload, some of them again."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from eventmill.errors import SensorError
from eventmill.events import TriggerEvent
from eventmill.ports import Delivery, Publish
from tests.simulation.disk import Disk
from tests.simulation.timeline import Chaos, SimulatedClock

NAME: Final = "simulated"
CURSOR: Final = "cursor"
FOUND: Final = "found"


class SimulatedSensor:
    """A `Sensor` that remembers how many events it has published."""

    name = NAME

    def __init__(
        self, events: Sequence[TriggerEvent], disk: Disk, clock: SimulatedClock, chaos: Chaos
    ) -> None:
        self._events, self._disk, self._trace = events, disk, disk.trace
        self._clock, self._chaos = clock, chaos
        self._found = 0

    async def run(self, publish: Publish, state: Mapping[str, bytes]) -> None:
        """See `Sensor.run`."""
        cursor = int(state.get(CURSOR, b"0"))
        for number, event in enumerate(self._events):
            if number < cursor and not self._chaos.strikes(self._chaos.plan.again):
                continue
            await self._clock.pass_ms(self._chaos.while_ms())
            if self._chaos.strikes(self._chaos.plan.trouble):
                self._trace.note("sensor: in trouble")
                raise SensorError("the share is not there")
            # Found again, it is no reason to forget how far the sensor had come.
            cursor = max(cursor, number + 1)
            self._found += 1
            found = b"%d" % self._found
            self._trace.note(f"sensor: publishes {event.id}")
            state = {CURSOR: b"%d" % cursor, FOUND: found}
            await publish([Delivery(event=event, state=state)])
            assert self._disk.sensor_state[NAME, FOUND] == found, "what a sensor knew is forgotten"
        await asyncio.Event().wait()
