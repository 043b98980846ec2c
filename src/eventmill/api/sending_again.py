"""`POST /send-again`: an event of the log published anew, under an id that names the old one.

It goes the way that the old one went: to the triggers of the sensor that published that, and to
those on the bus, as the project has them now.
"""

from collections.abc import Container
from dataclasses import replace
from typing import Final
from uuid import uuid4

from eventmill.api.errors import InvalidEvent, ResourceNotFound
from eventmill.events import AGAIN
from eventmill.model import Json, decode_json
from eventmill.ports import Delivery
from eventmill.runtime.outbox import BUS
from eventmill.runtime.system import System

PATH: Final = "/send-again"


async def send_again(system: System, body: bytes) -> dict[str, Json]:
    """Send `{"source": …, "id": …}` again; the answer comes when that is durable.

    Raises:
        InvalidEvent: The body is something else.
        ResourceNotFound: The log has no such event, or the project no such sensor any more.
        LogUnavailable: The disk refuses; nothing was stored.
    """
    source, event_id = _read(body)
    found = await system.log.event(source, event_id)
    if found is None:
        raise ResourceNotFound(f"The log has no event {event_id[:200]!r} of {source[:200]!r}")
    first = event_id.partition(AGAIN)[0]
    again = replace(found.event, id=f"{first}{AGAIN}{uuid4().hex[:16]}")
    sensor = found.event.sensor or _sensor_of(system, found.executions.keys())
    if sensor == BUS:
        await system.bus.publish(again)
    else:
        watch = next((each for each in system.watches if each.sensor.name == sensor), None)
        if watch is None:
            raise ResourceNotFound(
                f"The event came from the sensor {sensor}, and no trigger has its source any more"
            )
        await system.supervisor.hand_over(watch, Delivery(event=again, state={}))
    sent = await system.log.event(source, again.id)
    started: dict[str, Json] = {} if sent is None else {**sent.executions}
    return {"source": source, "id": again.id, "sentAgain": event_id, "executions": started}


def _sensor_of(system: System, triggers: Container[str]) -> str:
    """The sensor of an event from before sensors were remembered: that of what it has started."""
    for watch in system.watches:
        if any(each.name in triggers for each in watch.listeners.triggers):
            return watch.sensor.name
    return BUS


def _read(body: bytes) -> tuple[str, str]:
    try:
        request = decode_json(body)
    except ValueError as error:
        raise InvalidEvent(f"The body is not JSON: {error}") from None
    if isinstance(request, dict):
        source, event_id = request.get("source"), request.get("id")
        if isinstance(source, str) and isinstance(event_id, str):
            return source, event_id
    raise InvalidEvent('The body must be {"source": …, "id": …}, two texts')
