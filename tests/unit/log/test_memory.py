"""What only the `EventLog` in memory offers: failures on demand, and its chain."""

import asyncio

import pytest

from eventmill.errors import LogUnavailable
from eventmill.log.chain import verify
from eventmill.log.memory import MemoryEventLog
from eventmill.ports import Transaction
from eventmill.rows import ExecutionRow, StepRow


def started(id: int) -> Transaction:
    row = ExecutionRow(
        id=id,
        arn=f"arn:{id}",
        state_machine_arn="arn:m",
        name=str(id),
        definition="d",
        status="RUNNING",
        start_ms=1,
    )
    return Transaction(created=[row], steps=[StepRow(execution=id, step=1, body=b"{}")])


async def outcomes(log: MemoryEventLog, *transactions: Transaction) -> list[object]:
    futures = [log.commit(each) for each in transactions]
    return list(await asyncio.gather(*futures, return_exceptions=True))


async def test_nothing_is_durable_before_the_next_turn_of_the_loop() -> None:
    log = MemoryEventLog()
    durable = log.commit(started(1))
    assert await log.execution_by_id(1) is None
    await durable
    assert await log.execution_by_id(1) is not None


async def test_a_transaction_fails_with_what_the_hook_returns_and_leaves_no_trace() -> None:
    error = RuntimeError("on purpose")
    log = MemoryEventLog(fail=lambda each: error if each.created[0].id == 2 else None)
    assert await outcomes(log, started(1), started(2), started(3)) == [None, error, None]
    assert [row.id for row in await log.executions()] == [3, 1]


async def test_on_a_full_disk_all_that_is_not_durable_fails() -> None:
    full = True

    def fail(transaction: Transaction) -> Exception | None:
        return LogUnavailable("full") if full and transaction.created[0].id == 2 else None

    log = MemoryEventLog(fail=fail)
    done = await outcomes(log, started(1), started(2), started(3))
    assert [type(each) for each in done] == [type(None), LogUnavailable, LogUnavailable]
    assert [row.id for row in await log.executions()] == [1]
    full = False
    assert await outcomes(log, started(2), started(3)) == [None, None]
    assert [row.id for row in await log.executions()] == [3, 2, 1]


async def test_its_chain_verifies() -> None:
    log = MemoryEventLog()
    await outcomes(log, started(1), started(1), started(2))
    assert [(link.position, link.execution, link.step) for link in log.links()] == [
        (1, 1, 0),
        (2, 1, 1),
        (3, 2, 0),
        (4, 2, 1),
    ]
    assert verify(log.links()) is None


async def test_ids_of_executions_are_positive() -> None:
    log = MemoryEventLog()
    with pytest.raises(AssertionError):
        await log.commit(started(0))
