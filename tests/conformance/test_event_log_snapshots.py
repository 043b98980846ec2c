"""What every `EventLog` promises about snapshots: a cache that is never taken for the truth."""

from eventmill.ports import EventLog, Transaction
from eventmill.rows import ExecutionHistory, Snapshot
from tests.conformance.event_logs import create, execution, outcomes, step, steps


def snapshot(execution: int, at: int, body: bytes = b"state", layout: int = 3) -> Snapshot:
    return Snapshot(execution=execution, step=at, layout=layout, body=body)


async def history(log: EventLog, execution: int) -> ExecutionHistory:
    (found,) = [each async for each in log.histories([execution])]
    return found


async def test_a_history_has_the_snapshot_and_only_the_steps_after_it(log: EventLog) -> None:
    await log.commit(
        Transaction(created=[execution(7)], steps=steps(7, 1, 2, 3, 4), snapshots=[snapshot(7, 2)])
    )
    found = await history(log, 7)
    assert found.snapshot == snapshot(7, 2)
    assert list(found.bodies) == [step(7, 3).body, step(7, 4).body]
    assert found.row == execution(7, steps=4)
    assert await log.snapshot(7) == snapshot(7, 2)
    assert list(await log.read(7)) == steps(7, 1, 2, 3, 4)


async def test_a_snapshot_of_the_last_step_leaves_no_step_to_read(log: EventLog) -> None:
    await create(log, execution(7), execution(8))
    await log.commit(Transaction(steps=steps(7, 2), timers={7: 5}, snapshots=[snapshot(7, 2)]))
    assert [each async for each in log.histories([7, 8])] == [
        ExecutionHistory(row=execution(7, steps=2), bodies=[], due_ms=5, snapshot=snapshot(7, 2)),
        ExecutionHistory(row=execution(8, steps=1), bodies=[step(8, 1).body], due_ms=None),
    ]


async def test_a_snapshot_takes_the_place_of_the_one_before(log: EventLog) -> None:
    await create(log, execution(7))
    done = await outcomes(
        log,
        Transaction(steps=steps(7, 2), snapshots=[snapshot(7, 2)]),
        Transaction(steps=steps(7, 3), snapshots=[snapshot(7, 3, bytes(range(256)), 4)]),
    )
    assert done == [None, None]
    assert await log.snapshot(7) == snapshot(7, 3, bytes(range(256)), 4)
    await log.commit(Transaction(snapshots=[snapshot(7, 1, b"")]))
    assert (await history(log, 7)).snapshot == snapshot(7, 1, b"")


async def test_an_execution_without_a_snapshot_has_none(log: EventLog) -> None:
    await create(log, execution(7))
    assert await log.snapshot(7) is None
    assert await log.snapshot(99) is None


async def test_a_snapshot_of_a_step_that_is_not_there_is_left_out(log: EventLog) -> None:
    await create(log, execution(7))
    await log.commit(Transaction(snapshots=[snapshot(7, 2), snapshot(8, 1)]))
    assert await log.snapshot(7) is None
    assert await log.snapshot(8) is None


async def test_a_snapshot_goes_when_its_execution_has_ended(log: EventLog) -> None:
    await create(log, execution(7), execution(8))
    await log.commit(Transaction(snapshots=[snapshot(7, 1), snapshot(8, 1)]))
    end = Transaction(steps=steps(7, 2), finished={7: ("FAILED", 9)}, snapshots=[snapshot(7, 2)])
    await log.commit(end)
    assert await log.snapshot(7) is None
    assert list((await history(log, 7)).bodies) == [step(7, 1).body, step(7, 2).body]
    assert await log.snapshot(8) == snapshot(8, 1)


async def test_a_transaction_that_is_refused_leaves_no_snapshot(log: EventLog) -> None:
    await create(log, execution(7))
    await log.commit(Transaction(snapshots=[snapshot(7, 1)]))
    refused, stored = await outcomes(
        log,
        Transaction(steps=steps(7, 5), snapshots=[snapshot(7, 1, b"of what was refused")]),
        Transaction(steps=steps(7, 2)),
    )
    assert refused is not None
    assert stored is None
    assert await log.snapshot(7) == snapshot(7, 1)


async def test_histories_with_and_without_snapshots_come_whole_and_in_order(
    log: EventLog,
) -> None:
    ids = range(1, 1_201)
    await create(log, *(execution(id) for id in ids))
    shortened = {id for id in ids if id % 3 == 0 or 500 < id < 520}
    large = bytes(1_048_576)
    for first in range(0, 1_200, 400):
        some = [id for id in ids if first < id <= first + 400]
        await log.commit(
            Transaction(
                steps=[step(id, number) for id in some for number in (2, 3)],
                snapshots=[
                    snapshot(id, 2, large if id % 50 == 0 else b"%d" % id)
                    for id in some
                    if id in shortened
                ],
            )
        )
    found = [each async for each in log.histories(ids)]
    assert [each.row.id for each in found] == list(ids)
    for each in found:
        id = each.row.id
        after = 3 if id in shortened else 1
        assert list(each.bodies) == [step(id, number).body for number in range(after, 4)]
        assert (each.snapshot is not None) == (id in shortened)
        if each.snapshot is not None:
            assert each.snapshot.body == (large if id % 50 == 0 else b"%d" % id)
