"""Logs with something in them, and ways to tamper with them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from eventmill.codec import encode_step
from eventmill.events import TriggerEvent
from eventmill.log.connection import driver
from eventmill.machine.facts import TimeReached
from eventmill.machine.history import HistoryEvent
from eventmill.model import LARGE_BYTES_MIN, Payload
from eventmill.ports import Transaction
from eventmill.rows import Child, ExecutionRow, StepRow

ARN = "arn:aws:states:local:000000000000:execution:orders:run-"


def digest(definition: str) -> str:
    return sha256(definition.encode()).hexdigest()


def event(id: str, at_ms: int = 1_000) -> TriggerEvent:
    return TriggerEvent(
        id=id,
        source="files",
        detail_type="Created",
        at_ms=at_ms,
        account="000000000000",
        region="local",
        detail={"name": f"Grüße {id}", "rate": 0.5},
    )


def row(
    id: int,
    *,
    start_ms: int = 1_000,
    event: tuple[str, str] | None = None,
    child: Child | None = None,
    definition: str = "none",
) -> ExecutionRow:
    return ExecutionRow(
        id=id,
        arn=f"{ARN}{id}",
        state_machine_arn="arn:aws:states:local:000000000000:stateMachine:orders",
        name=f"run-{id}",
        definition=definition,
        status="RUNNING",
        start_ms=start_ms,
        event=event,
        trigger=None if event is None else "on-file",
        child=child,
    )


def step(execution: int, number: int, size: int = 0) -> StepRow:
    body = f'["execution {execution}, step {number}",{"1" * size or 0}]'.encode()
    return StepRow(execution=execution, step=number, body=body)


def large(mark: str) -> Payload:
    """A payload that is kept apart."""
    return Payload.of([mark, "ü" * LARGE_BYTES_MIN])


def step_with(execution: int, number: int, *payloads: Payload) -> StepRow:
    """A step with an event for each payload, written as the engine does it."""
    events = [
        HistoryEvent(id, id - 1, "PassStateEntered", 1_000, 0, {"name": "A", "input": payload})
        for id, payload in enumerate(payloads, 1)
    ]
    body, kept = encode_step(1_000, TimeReached(), events)
    return StepRow(execution=execution, step=number, body=body, payloads=kept)


def started(id: int, *, at_ms: int = 1_000, size: int = 0, definition: str = "{}") -> Transaction:
    """An execution that an event started: three rows of the chain."""
    cause = event(f"file-{id}", at_ms)
    created = row(id, start_ms=at_ms, event=(cause.source, cause.id), definition=digest(definition))
    return Transaction(
        events=[cause],
        received_ms=at_ms,
        created=[created],
        steps=[step(id, 1, size)],
        definitions={digest(definition): definition},
    )


def ended(id: int, number: int = 2, *, at_ms: int = 2_000) -> Transaction:
    """The last step of an execution."""
    return Transaction(steps=[step(id, number)], finished={id: ("SUCCEEDED", at_ms)})


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    connection = driver.connect(path)
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()


def tamper(path: Path, statement: str) -> None:
    with tampering(path) as connection:
        assert connection.execute(statement).rowcount > 0


def ids(path: Path, select: str = "SELECT id FROM executions ORDER BY id") -> list[int]:
    with tampering(path) as connection:
        return [id_ for (id_,) in connection.execute(select)]
