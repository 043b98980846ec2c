"""The EventBridge service, as far as it is offered: PutEvents, over AWS JSON 1.1.

Sources: `service-2.json` of EventBridge for the members; "Sending events with PutEvents" of its
user guide for what becomes of an entry; the words are the service's.
"""

import logging
from collections.abc import Iterator
from typing import Final
from uuid import uuid4

from eventmill.api.constraints import cut, violation
from eventmill.api.errors import SerializationException
from eventmill.api.operation import Answer
from eventmill.errors import UnknownOperation, ValidationException
from eventmill.events import TriggerEvent
from eventmill.model import Json, decode_json, encode_json
from eventmill.runtime.system import System

_log: Final = logging.getLogger(__name__)

TARGET_PREFIX: Final = "AWSEvents."

ENTRIES_MAX: Final = 10
ENTRIES_BYTES_MAX: Final = 1_048_576
_TIME_BYTES: Final = 14  # what a Time counts, however it is written

_TEXTS: Final = ("Source", "DetailType", "Detail", "EventBusName", "TraceHeader")
_REQUIRED: Final = ("Source", "DetailType", "Detail")

_Entry = dict[str, Json]


class _Refused(Exception):
    """An entry cannot be taken, and its fellows can; with the code that says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


async def call(system: System, target: str, body: bytes) -> Answer:
    """Carry out the operation that the header X-Amz-Target names.

    Raises:
        ServiceError: The request cannot be carried out; nothing has changed.
    """
    name = target.removeprefix(TARGET_PREFIX)
    if name != "PutEvents":
        raise UnknownOperation(
            f"Of EventBridge's operations Eventmill offers PutEvents alone, not {name[:80]!r}"
        )
    entries = _entries(body)
    return await _put(system, entries)


async def _put(system: System, entries: list[_Entry]) -> Answer:
    """Take the entries one by one; the answer tells of each, in order."""
    results: list[dict[str, Json]] = []
    taken: list[tuple[dict[str, Json], TriggerEvent]] = []
    for entry in entries:
        result: dict[str, Json] = {}
        try:
            event = _event(system, entry)
        except _Refused as error:
            result |= {"ErrorCode": error.code, "ErrorMessage": str(error)}
        else:
            result["EventId"] = event.id
            if _is_ours(entry):
                taken.append((result, event))
        results.append(result)
    outcomes = await system.bus.put([event for _, event in taken])
    for (result, _), refused in zip(taken, outcomes, strict=True):
        if refused is not None:
            del result["EventId"]
            result |= {"ErrorCode": "InternalFailure", "ErrorMessage": f"{refused}; try again"}
    failed = sum("ErrorCode" in result for result in results)
    return {"FailedEntryCount": failed, "Entries": [*results]}


def _entries(body: bytes) -> list[_Entry]:
    try:
        request = decode_json(body)
    except ValueError as error:
        raise SerializationException(f"The body is not JSON: {error}") from None
    given = request.get("Entries") if isinstance(request, dict) else None
    if given is None:
        raise violation([_broken("Value null", "Member must not be null")])
    if not isinstance(given, list):
        raise SerializationException("Expected list or null: 'Entries'")
    shown = f"Value '{cut(encode_json(given).decode())}'"
    if not given:
        least = "Member must have length greater than or equal to 1"
        raise violation([_broken(shown, least)])
    if len(given) > ENTRIES_MAX:
        most = f"Member must have length less than or equal to {ENTRIES_MAX}"
        raise violation([_broken(shown, most)])
    entries = [_checked(entry, index) for index, entry in enumerate(given)]
    if sum(map(_size, entries)) > ENTRIES_BYTES_MAX:
        raise ValidationException("Total size of the entries in the request is over the limit.")
    return entries


def _broken(value: str, constraint: str) -> str:
    return f"{value} at 'entries' failed to satisfy constraint: {constraint}"


def _checked(entry: Json, index: int) -> _Entry:
    """An entry whose members have the types of the model.

    Raises:
        SerializationException: One has another.
    """
    where = f"Entries[{index}]"
    if not isinstance(entry, dict):
        raise SerializationException(f"Expected a structure: '{where}'")
    for name in _TEXTS:
        if not isinstance(entry.get(name), str | None):
            raise SerializationException(f"'{where}.{name}' must be a String")
    time, resources = entry.get("Time"), entry.get("Resources")
    if not isinstance(time, int | float | None) or isinstance(time, bool):
        raise SerializationException(f"'{where}.Time' must be a Timestamp, seconds since 1970")
    if resources is not None and not (
        isinstance(resources, list) and all(isinstance(each, str) for each in resources)
    ):
        raise SerializationException(f"'{where}.Resources' must be a list of Strings")
    return {name: value for name, value in entry.items() if value is not None}


def _size(entry: _Entry) -> int:
    """How many bytes an entry counts."""
    return sum(len(text.encode()) for text in _counted(entry)) + _TIME_BYTES * ("Time" in entry)


def _counted(entry: _Entry) -> Iterator[str]:
    for name in _REQUIRED:
        yield str(entry.get(name, ""))
    resources = entry.get("Resources")
    if isinstance(resources, list):
        yield from map(str, resources)


def _event(system: System, entry: _Entry) -> TriggerEvent:
    """The event that an entry is.

    Raises:
        _Refused: It is none.
    """
    for name in _REQUIRED:
        if not entry.get(name):
            raise _Refused(
                "InvalidArgument",
                f"Parameter {name} is not valid. Reason: {name} is a required argument.",
            )
    source = str(entry["Source"])
    if source.startswith("aws."):
        raise _Refused("NotAuthorizedForSourceException", "Not authorized for the source.")
    home, time, resources = system.settings.home, entry.get("Time"), entry.get("Resources", [])
    assert isinstance(resources, list)
    return TriggerEvent(
        id=str(uuid4()),
        source=source,
        detail_type=str(entry["DetailType"]),
        at_ms=_time(time) if isinstance(time, int | float) else system.bus.now_ms(),
        account=home.account,
        region=home.region,
        resources=tuple(map(str, resources)),
        detail=_detail(str(entry["Detail"])),
    )


def _detail(text: str) -> dict[str, Json]:
    try:
        detail = decode_json(text)
    except ValueError:
        detail = None
    if not isinstance(detail, dict):
        raise _Refused("MalformedDetail", "Detail is malformed.")
    return detail


# The years 1 to 9999, beyond which nobody can write a time.
_SECONDS_MIN: Final = -62_135_596_800
_SECONDS_MAX: Final = 253_402_300_799


def _time(seconds: float) -> int:
    if not _SECONDS_MIN <= seconds <= _SECONDS_MAX:
        raise _Refused("InvalidArgument", "Parameter Time is not valid.")
    return int(seconds * 1000)


def _is_ours(entry: _Entry) -> bool:
    """Whether an entry is for the one bus there is.

    EventBridge takes events for buses that do not exist, and nobody hears of them.
    """
    bus = entry.get("EventBusName", "default")
    if bus == "default" or str(bus).endswith(":event-bus/default"):
        return True
    _log.warning("PutEvents: there is no event bus %r, only default; nobody hears of this", bus)
    return False
