"""The stored form of a step, and the form in which AWS shows an event. The only place that knows.

A step is one JSON array, `[at_ms, fact, events]`. Payloads stand in it as JSON, byte for byte as
they came. The fact holds only what its events do not: `restore_fact` joins the two again.

Large payloads are kept apart, under their digests, and are null in the events. Then the step has a
fourth element, with a reference for each of them: `[event, field, digest, before, after]`. The text
of the payload of event number `event` is that of the one kept, between `before` and `after`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

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
from eventmill.model import LARGE_BYTES_MIN, Enveloped, Json, Payload, Payloads, encode_json
from eventmill.record import record

_StoredEvent = tuple[int, int, str, int, dict[str, msgspec.Raw] | None, dict[str, Any] | None]
_Reference = tuple[int, str, str, str, str]


class _StoredStep(msgspec.Struct, array_like=True):
    at_ms: int
    fact: list[Any]
    events: list[_StoredEvent]
    references: list[_Reference] = []


class _References(msgspec.Struct, array_like=True):
    at_ms: msgspec.Raw
    fact: msgspec.Raw
    events: msgspec.Raw
    references: list[_Reference]


class _IsLarge(Exception):
    """A payload of the step belongs apart."""


@record
class RecordedStep:
    """A step as the log holds it."""

    at_ms: int
    fact: Fact
    events: tuple[HistoryEvent, ...]


def _raw(value: object) -> msgspec.Raw:
    assert isinstance(value, Payload)
    return msgspec.Raw(value.text)


def _raw_if_small(value: object) -> msgspec.Raw:
    assert isinstance(value, Payload)
    text = value.text
    if len(text) >= LARGE_BYTES_MIN:
        raise _IsLarge
    return msgspec.Raw(text)


_encode: Final = msgspec.json.Encoder(enc_hook=_raw).encode
_encode_small: Final = msgspec.json.Encoder(enc_hook=_raw_if_small).encode
_decode: Final = msgspec.json.Decoder(_StoredStep).decode
_decode_references: Final = msgspec.json.Decoder(_References).decode

# Without references a step ends with the braces, the null or the brackets of its events.
_END_OF_REFERENCES: Final = b'"]]]'


def encode_step(
    at_ms: int, fact: Fact, events: Sequence[HistoryEvent]
) -> tuple[bytes, Payloads | None]:
    """Write a step: its body, and the payloads that the body refers to."""
    try:
        return _encode_small((at_ms, _bare(fact), _rows(events))), None
    except _IsLarge:
        pass
    apart: dict[str, Payload] = {}
    references: list[_Reference] = []
    rows = _rows(events)
    for index, (id, previous_id, type, frame, details, internal) in enumerate(rows):
        if details is None:
            continue
        small = dict(details)
        for field, value in _large(details):
            before, payload, after = _taken_apart(value)
            apart.setdefault(payload.digest, payload)
            references.append((index, field, payload.digest, before.decode(), after.decode()))
            small[field] = None
        rows[index] = (id, previous_id, type, frame, small, internal)
    return _encode((at_ms, _bare(fact), rows, references)), apart


def spell_out(at_ms: int, fact: Fact, events: Sequence[HistoryEvent]) -> bytes:
    """A step with all its payloads in it. The same step gives the same bytes."""
    return _encode((at_ms, _bare(fact), _rows(events)))


def references(body: bytes) -> Sequence[str]:
    """The digests of the payloads that a stored step refers to; a part may come again."""
    if not body.endswith(_END_OF_REFERENCES):
        return ()
    try:
        found = _decode_references(body).references
    except (msgspec.DecodeError, RecursionError):
        return ()  # no stored step
    return [digest for _, _, digest, _, _ in found]


def decode_step(body: bytes, payloads: Payloads | None) -> RecordedStep:
    """Read what `encode_step` wrote.

    Raises:
        ValueError: The bytes are no stored step, or a payload that it refers to is not given.
    """
    try:
        stored = _decode(body)
        at_ms, rows = stored.at_ms, stored.events
        events = tuple(
            HistoryEvent(id, previous_id, type, at_ms, frame, _details(details), internal)
            for id, previous_id, type, frame, details, internal in rows
        )
        for index, field, digest, before, after in stored.references:
            kept = (payloads or {})[digest]
            details = events[index].details or {}
            details[field] = _between(before.encode(), kept, after.encode())
        fact = restore_fact(stored.fact, events)
    except (msgspec.DecodeError, KeyError, IndexError) as error:
        raise ValueError(f"not a stored step: {error}") from None
    return RecordedStep(at_ms=at_ms, fact=fact, events=events)


_Row: TypeAlias = tuple[int, int, str, int, Details | None, dict[str, Json] | None]


def _rows(events: Sequence[HistoryEvent]) -> list[_Row]:
    return [
        (event.id, event.previous_id, event.type, event.frame, event.details, event.internal)
        for event in events
    ]


def _large(details: Details) -> list[tuple[str, Payload]]:
    """The fields with large payloads."""
    return [
        (field, value)
        for field, value in details.items()
        if isinstance(value, Payload) and len(value) >= LARGE_BYTES_MIN
    ]


def _taken_apart(payload: Payload) -> tuple[bytes, Payload, bytes]:
    """What is kept of a large payload, between what little stands around it."""
    before, kept, after = b"", payload, b""
    while isinstance(kept, Enveloped) and len(kept.inner) >= LARGE_BYTES_MIN:
        wider_before, wider_after = before + kept.before, kept.after + after
        if len(wider_before) + len(wider_after) >= LARGE_BYTES_MIN:
            break
        before, kept, after = wider_before, kept.inner, wider_after
    return before, kept, after


def _between(before: bytes, kept: Payload, after: bytes) -> Payload:
    return Enveloped(before, kept, after) if before or after else kept


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
