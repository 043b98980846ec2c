"""`POST /redrive`: a dead letter is sent to its trigger again, as the project has that now."""

from typing import Final

from eventmill.api.errors import InvalidEvent, ResourceNotFound
from eventmill.model import Json, decode_json
from eventmill.runtime.system import System
from eventmill.triggers.trigger import Trigger

PATH: Final = "/redrive"

_FIELDS: Final = ("trigger", "source", "id")


async def redrive(system: System, body: bytes) -> dict[str, Json]:
    """Send `{"trigger": …, "source": …, "id": …}` again; the answer comes when that is durable.

    It tells what became of the event: one that was sent again before is left as it is.

    Raises:
        InvalidEvent: The body is something else.
        ResourceNotFound: The trigger has no such dead letter, or the project no such trigger that
            is enabled.
        LogUnavailable: The disk refuses; nothing was stored.
    """
    name, source, event_id = _read(body)
    rows = await system.log.deliveries(event=(source, event_id), trigger=name, limit=1)
    if not rows:
        raise ResourceNotFound(
            f"The trigger {name[:80]!r} has no dead letter {event_id[:200]!r} of {source[:200]!r}"
        )
    row = await system.router.redrive(_trigger(system, name), rows[0])
    return {
        "trigger": name,
        "source": source,
        "id": event_id,
        "status": row.status,
        "reason": row.reason,
        "execution": row.execution,
    }


def _trigger(system: System, name: str) -> Trigger:
    listeners = (*(watch.listeners for watch in system.watches), system.bus.listeners)
    for trigger in (trigger for each in listeners for trigger in each.triggers):
        if trigger.name == name:
            if not trigger.enabled:
                raise ResourceNotFound(f"The trigger {name!r} starts nothing: Enabled is false")
            return trigger
    raise ResourceNotFound(f"The project of this server has no trigger {name[:80]!r}")


def _read(body: bytes) -> tuple[str, str, str]:
    try:
        request = decode_json(body)
    except ValueError as error:
        raise InvalidEvent(f"The body is not JSON: {error}") from None
    if isinstance(request, dict):
        trigger, source, event_id = (request.get(field) for field in _FIELDS)
        if isinstance(trigger, str) and isinstance(source, str) and isinstance(event_id, str):
            return trigger, source, event_id
    raise InvalidEvent('The body must be {"trigger": …, "source": …, "id": …}, three texts')
