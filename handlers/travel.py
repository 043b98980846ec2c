"""The bookings of workflows/travel-booking: a file for each, which cancelling removes."""

import asyncio
import json
from pathlib import Path
from typing import Any

from eventmill import HandlerContext, HandlerError, handler
from handlers.project_files import project, write_durably


@handler
async def book(event: dict[str, Any], context: HandlerContext) -> dict[str, str]:
    """Book one `part` of a trip, unless the trip says that it is sold out.

    Repeating it is harmless: the same task books under the same number.

    Raises:
        HandlerError: NoneLeft.
    """
    trip, part = event["trip"], event["part"]
    if part in trip.get("sold_out", ()):
        raise HandlerError("NoneLeft", f"there is no {part} left for {trip['name']}")
    booking = {"part": part, "number": context.idempotency_key}
    content = json.dumps(booking, indent=2).encode() + b"\n"
    await asyncio.to_thread(write_durably, _path(event), content)
    return {"booking": context.idempotency_key}


@handler
async def cancel(event: dict[str, Any], context: HandlerContext) -> dict[str, str]:
    """Cancel a booking; one that is gone already counts as cancelled."""
    await asyncio.to_thread(_path(event).unlink, missing_ok=True)
    return {"cancelled": event["booking"]}


def _path(event: dict[str, Any]) -> Path:
    folder = project() / "data" / "travel" / str(event["trip"]["name"])
    return folder / f"{event['part']}.json"
