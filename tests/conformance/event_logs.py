"""Rows and transactions for the suite of the `EventLog` port."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from eventmill.events import TriggerEvent
from eventmill.ports import EventLog, Transaction
from eventmill.rows import ExecutionRow, StepRow, StoredStep

Open: TypeAlias = Callable[[], AbstractAsyncContextManager[EventLog]]

MACHINE = "arn:aws:states:local:000000000000:stateMachine:orders"
OTHER_MACHINE = "arn:aws:states:local:000000000000:stateMachine:invoices"


def arn(id: int) -> str:
    return f"arn:aws:states:local:000000000000:execution:orders:run-{id}"


def execution(
    id: int,
    *,
    state_machine_arn: str = MACHINE,
    status: str = "RUNNING",
    stop_ms: int | None = None,
    steps: int = 0,
    event: tuple[str, str] | None = None,
    trigger: str | None = None,
) -> ExecutionRow:
    return ExecutionRow(
        id=id,
        arn=arn(id),
        state_machine_arn=state_machine_arn,
        name=f"run-{id}",
        definition="sha256:0123",
        status=status,
        start_ms=1_700_000_000_000 + id % 1_000,
        stop_ms=stop_ms,
        steps=steps,
        event=event,
        trigger=trigger,
    )


def step(execution: int, number: int) -> StepRow:
    return StepRow(execution=execution, step=number, body=f'["{execution}",{number}]'.encode())


def steps(execution: int, *numbers: int) -> Sequence[StepRow]:
    return [step(execution, number) for number in numbers]


def trigger_event(id: str, source: str = "eventmill.files") -> TriggerEvent:
    return TriggerEvent(
        id=id,
        source=source,
        detail_type="File Created",
        at_ms=1_700_000_000_123,
        account="000000000000",
        region="local",
        detail={"name": "Grüße.csv", "bytes": 12, "rate": 0.1, "nested": [None, {"deep": True}]},
        resources=("file:///in/Grüße.csv",),
    )


async def create(log: EventLog, *rows: ExecutionRow) -> None:
    await log.commit(Transaction(created=rows, steps=[step(row.id, 1) for row in rows]))


async def outcomes(log: EventLog, *transactions: Transaction) -> list[BaseException | None]:
    """Hand all over at once, so that one batch carries them."""
    futures = [log.commit(each) for each in transactions]
    return await asyncio.gather(*futures, return_exceptions=True)


async def stored(log: EventLog) -> list[StoredStep]:
    return [each async for each in log.stored_steps()]
