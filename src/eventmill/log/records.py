"""The stored form of inbox events and of the records of executions, and what is refused.

The chain hashes these forms. Both are JSON arrays, compact and in UTF-8. Later versions may add
elements to an event's, at the end; an execution's is made anew from its columns in every audit,
so it stays as it is.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from eventmill.errors import ExecutionAlreadyExists, ExecutionDoesNotExist
from eventmill.events import TriggerEvent
from eventmill.model import Json
from eventmill.rows import ExecutionRow

_K = TypeVar("_K")


class _StoredEvent(msgspec.Struct, array_like=True):
    id: str
    source: str
    detail_type: str
    at_ms: int
    account: str
    region: str
    detail: dict[str, Any]
    resources: tuple[str, ...]
    received_ms: int


class _PublishedEvent(_StoredEvent, array_like=True):
    sensor: str = ""


_encode: Final = msgspec.json.Encoder().encode
_decode_event: Final = msgspec.json.Decoder(_PublishedEvent).decode


def encode_event(event: TriggerEvent, received_ms: int) -> bytes:
    """The body of an event in the inbox, with when it was received.

    Raises:
        ValueError: It has text that UTF-8 cannot hold, or is nested too deeply.
    """
    named: dict[str, Any] = {
        "id": event.id,
        "source": event.source,
        "detail_type": event.detail_type,
        "at_ms": event.at_ms,
        "account": event.account,
        "region": event.region,
        "detail": event.detail,
        "resources": event.resources,
        "received_ms": received_ms,
    }
    # Without a sensor the form is that of earlier versions.
    stored = (
        _PublishedEvent(**named, sensor=event.sensor) if event.sensor else _StoredEvent(**named)
    )
    try:
        return _encode(stored)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def decode_event(body: bytes) -> tuple[TriggerEvent, int]:
    """The event and when it was received, from what `encode_event` wrote.

    Raises:
        ValueError: `body` is something else.
    """
    try:
        stored = _decode_event(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    event = TriggerEvent(
        id=stored.id,
        source=stored.source,
        detail_type=stored.detail_type,
        at_ms=stored.at_ms,
        account=stored.account,
        region=stored.region,
        detail=stored.detail,
        resources=stored.resources,
        sensor=stored.sensor,
    )
    return event, stored.received_ms


def encode_execution(row: ExecutionRow) -> bytes:
    """What is settled about an execution when it is created; its status is not part of it."""
    source, event_id = row.event or (None, None)
    settled: list[Json] = [
        row.id,
        row.arn,
        row.state_machine_arn,
        row.name,
        row.definition,
        row.start_ms,
        source,
        event_id,
        row.trigger,
    ]
    if row.child is not None:
        settled += [
            row.child.execution,
            row.child.map_run,
            row.child.index,
            row.child.items,
        ]
    return _encode(settled)


def taken(keys: Iterable[_K], is_there: Callable[[_K], bool]) -> list[_K]:
    """Those of the keys that are there, or that stand in `keys` a second time; each once."""
    seen: set[_K] = set()
    found: dict[_K, None] = {}
    for key in keys:
        if key in seen or is_there(key):
            found[key] = None
        seen.add(key)
    return list(found)


def arns_taken(arns: Sequence[str]) -> ExecutionAlreadyExists:
    """The refusal of new executions whose ARNs others have, in AWS's words."""
    return ExecutionAlreadyExists(f"Execution Already Exists: '{arns[0]}'", arns=arns)


def id_taken(row: ExecutionRow) -> ExecutionAlreadyExists:
    """The refusal of a new execution whose id another one has."""
    return ExecutionAlreadyExists(f"the id {row.id} of {row.arn} belongs to another execution")


def unknown_execution(execution: int) -> ExecutionDoesNotExist:
    """The refusal of a step, an end or a timer of an execution that was never created."""
    return ExecutionDoesNotExist(f"the log has no execution with the id {execution}")
