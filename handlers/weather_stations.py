"""The station directory: the demo's stand-in for an unreliable service.

A real one would be asked over the network and would fail now and then. This one fails when it can
be seen: the first attempt of every execution is refused, each later one is answered, so each run
shows the `Retry` of the state LookUpStation at work.
"""

from typing import Any, Final

from eventmill import HandlerContext, HandlerError, handler

STATIONS: Final = {
    "seattle": {"name": "Seattle", "timezone": "America/Los_Angeles"},
    "sf": {"name": "San Francisco", "timezone": "America/Los_Angeles"},
}


@handler
async def look_up_station(event: dict[str, Any], context: HandlerContext) -> dict[str, str]:
    """The station whose file is called `name`: the part before the first hyphen names it.

    Raises:
        HandlerError: StationDirectoryUnavailable on the first attempt; StationUnknown.
    """
    if context.attempt == 1:
        cause = "The station directory is busy (as it always is on the first attempt); try again."
        raise HandlerError("StationDirectoryUnavailable", cause)
    code = str(event["name"]).partition("-")[0].removesuffix(".csv").lower()
    if code not in STATIONS:
        cause = f"No station is called {code!r}; known are {', '.join(sorted(STATIONS))}."
        raise HandlerError("StationUnknown", cause)
    return STATIONS[code]
