"""The stored form of a step, and the form in which AWS shows an event. The only place that knows.

A step is one JSON array, `[at_ms, fact, events]`. Payloads stand in it as JSON, byte for byte as
they came. The fact holds only what its events do not: `restore_fact` joins the two again.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from eventmill.machine.execution import quotas_of
from eventmill.machine.facts import (
    Fact,
    MapRunFailed,
    MapRunSucceeded,
    StartExecution,
    StopExecution,
    TaskFailed,
    TaskHeartbeat,
    TaskOversized,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    TimeReached,
)
from eventmill.machine.history import DETAILS_KEY, PAYLOAD_FIELDS, Details, HistoryEvent
from eventmill.model import Json, Payload, encode_json, record

_StoredEvent = tuple[int, int, str, int, dict[str, msgspec.Raw] | None, dict[str, Any] | None]
_StoredStep = tuple[int, list[Any], list[_StoredEvent]]


@record
class RecordedStep:
    """A step as the log holds it."""

    at_ms: int
    fact: Fact
    events: tuple[HistoryEvent, ...]


def _raw(value: object) -> msgspec.Raw:
    assert isinstance(value, Payload)
    return msgspec.Raw(value.text)


_encode: Final = msgspec.json.Encoder(enc_hook=_raw).encode
_decode: Final[Callable[[bytes], _StoredStep]] = msgspec.json.Decoder(_StoredStep).decode


def encode_step(at_ms: int, fact: Fact, events: Sequence[HistoryEvent]) -> bytes:
    """Write a step. The same step gives the same bytes, so two can be compared by them."""
    rows = [
        (event.id, event.previous_id, event.type, event.frame, event.details, event.internal)
        for event in events
    ]
    return _encode((at_ms, _bare(fact), rows))


def decode_step(body: bytes) -> RecordedStep:
    """Read what `encode_step` wrote.

    Raises:
        ValueError: The bytes are no stored step.
    """
    try:
        at_ms, bare, rows = _decode(body)
        events = tuple(
            HistoryEvent(id, previous_id, type, at_ms, frame, _details(details), internal)
            for id, previous_id, type, frame, details, internal in rows
        )
        fact = restore_fact(bare, events)
    except (msgspec.DecodeError, KeyError, IndexError) as error:
        raise ValueError(f"not a stored step: {error}") from None
    return RecordedStep(at_ms=at_ms, fact=fact, events=events)


def _details(raw: dict[str, msgspec.Raw] | None) -> Details | None:
    if raw is None:
        return None
    return {
        name: Payload(bytes(value)) if name in PAYLOAD_FIELDS else msgspec.json.decode(value)
        for name, value in raw.items()
    }


def _bare(fact: Fact) -> list[Json]:
    """The fact without what its events carry."""
    name = type(fact).__name__
    match fact:
        case StartExecution() | StopExecution() | TimeReached():
            return [name]
        case TaskOversized():
            return [name, fact.task, fact.bytes]
        case MapRunSucceeded() | MapRunFailed():
            return [name, fact.map_run]
        case _:
            return [name, fact.task]


def restore_fact(bare: list[Any], events: Sequence[HistoryEvent]) -> Fact:
    """The fact that was recorded as `bare` in the step of these events.

    Raises:
        KeyError: There is no fact of this name, or the events have not what it needs.
    """
    name, *numbers = bare
    return _RESTORE[name](numbers, events)


# Where a full history left no room for the event that carries a fact, these stand in: whatever the
# fact was, it ended the execution.
_LOST_OUTPUT: Final = Payload(b"null")


def _start(numbers: list[int], events: Sequence[HistoryEvent]) -> Fact:
    details, internal = events[0].details or {}, events[0].internal or {}
    input, role_arn, seed = details["input"], details["roleArn"], internal["seed"]
    if not (isinstance(input, Payload) and isinstance(role_arn, str) and isinstance(seed, int)):
        raise ValueError("ExecutionStarted lacks what a start needs")
    quotas = quotas_of(events[0])
    return StartExecution(input=input, seed=seed, role_arn=role_arn, quotas=quotas)


def _output(events: Sequence[HistoryEvent], *types: str) -> Payload:
    return next((e.payload("output") for e in events if e.type in types), _LOST_OUTPUT)


def _reason(events: Sequence[HistoryEvent], *types: str) -> dict[str, str | None]:
    details = next((event.details for event in events if event.type in types), None) or {}
    return {name: _text_or_none(details.get(name)) for name in ("error", "cause")}


def _text_or_none(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"{value!r} is no text")


_RESTORE: Final[dict[str, Callable[[list[int], Sequence[HistoryEvent]], Fact]]] = {
    "StartExecution": _start,
    "TaskStarted": lambda numbers, events: TaskStarted(task=numbers[0]),
    "TaskSubmitted": lambda numbers, events: TaskSubmitted(
        task=numbers[0], output=_output(events, "TaskSubmitted")
    ),
    "TaskSucceeded": lambda numbers, events: TaskSucceeded(
        task=numbers[0], output=_output(events, "TaskSucceeded", "LambdaFunctionSucceeded")
    ),
    "TaskOversized": lambda numbers, events: TaskOversized(task=numbers[0], bytes=numbers[1]),
    "TaskFailed": lambda numbers, events: TaskFailed(
        task=numbers[0], **_reason(events, "TaskFailed", "LambdaFunctionFailed")
    ),
    "TaskHeartbeat": lambda numbers, events: TaskHeartbeat(task=numbers[0]),
    "MapRunSucceeded": lambda numbers, events: MapRunSucceeded(
        map_run=numbers[0], output=_output(events, "MapRunSucceeded")
    ),
    "MapRunFailed": lambda numbers, events: MapRunFailed(
        map_run=numbers[0], **_reason(events, "MapRunFailed")
    ),
    "TimeReached": lambda numbers, events: TimeReached(),
    "StopExecution": lambda numbers, events: StopExecution(**_reason(events, "ExecutionAborted")),
}

_NOT_TRUNCATED: Final[dict[str, Json]] = {"truncated": False}


def aws_event(event: HistoryEvent) -> dict[str, Json]:
    """An event as GetExecutionHistory shows it, the time in seconds since the epoch.

    Internal events have no such form.
    """
    assert event.id, f"{event.type} is internal"
    shown: dict[str, Json] = {
        "id": event.id,
        "previousEventId": event.previous_id,
        "timestamp": event.at_ms / 1000,
        "type": event.type,
    }
    key = DETAILS_KEY.get(event.type)
    if key is not None and (event.details is not None or event.type in _ALWAYS_DETAILED):
        shown[key] = _aws_details(event.details or {})
    return shown


# ExecutionAborted has its details even when no reason was given.
_ALWAYS_DETAILED: Final = frozenset({"ExecutionAborted"})


def _texts(variables: Payload) -> Json:
    """Variables as AWS shows them: the JSON text of each under its name."""
    assert isinstance(variables.value, dict)
    return {name: encode_json(value).decode() for name, value in variables.value.items()}


def _aws_details(details: Details) -> Json:
    shown: dict[str, Json] = {}
    for name, value in details.items():
        if isinstance(value, Payload):
            shown[name] = _texts(value) if name == "assignedVariables" else value.text.decode()
            if name != "parameters":
                shown[f"{name}Details"] = _NOT_TRUNCATED
        else:
            shown[name] = value
    return shown
