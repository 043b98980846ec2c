"""What every `EventLog` promises about payloads that are kept apart from the steps."""

from collections.abc import Mapping
from dataclasses import replace

from eventmill.codec import encode_step
from eventmill.machine.facts import TimeReached
from eventmill.machine.history import HistoryEvent
from eventmill.model import LARGE_BYTES_MIN, Payload
from eventmill.ports import EventLog, Transaction
from eventmill.rows import Child, ExecutionHistory, StepRow
from tests.conformance.event_logs import Open, create, execution, outcomes, step, stored


def large(mark: str) -> Payload:
    return Payload.of([mark, "ü" * LARGE_BYTES_MIN])


def step_with(execution: int, number: int, *payloads: Payload) -> StepRow:
    events = [
        HistoryEvent(id, 0, "PassStateEntered", 1, 0, {"name": "A", "input": payload})
        for id, payload in enumerate(payloads, 1)
    ]
    body, kept = encode_step(1, TimeReached(), events)
    return StepRow(execution=execution, step=number, body=body, payloads=kept)


def texts(payloads: Mapping[str, Payload] | None) -> list[bytes]:
    return [each.text for each in (payloads or {}).values()]


async def test_steps_come_back_with_the_payloads_they_refer_to(log: EventLog) -> None:
    first = step_with(7, 1, large("a"), Payload(b"1"), large("b"), large("a"))
    await log.commit(Transaction(created=[execution(7)], steps=[first]))
    await log.commit(Transaction(steps=[step(7, 2), step_with(7, 3, large("b"))]))
    rows = await log.read(7)
    assert list(rows) == [first, step(7, 2), step_with(7, 3, large("b"))]
    assert [texts(row.payloads) for row in rows] == [
        [large("a").text, large("b").text],
        [],
        [large("b").text],
    ]
    assert list(await log.read(7, after_step=2)) == [step_with(7, 3, large("b"))]


async def test_what_is_read_in_one_go_shares_its_payloads(log: EventLog) -> None:
    digest = large("a").digest
    created = [execution(7), execution(8)]
    rows = [step_with(id, number, large("a")) for id in (7, 8) for number in (1, 2)]
    await log.commit(Transaction(created=created, steps=rows))
    first, second = await log.read(7)
    assert (first.payloads or {})[digest] is (second.payloads or {})[digest]
    histories = [each async for each in log.histories([7, 8])]
    assert (histories[0].payloads or {})[digest] is (histories[1].payloads or {})[digest]
    everything = [(each.row.payloads or {})[digest] for each in await stored(log)]
    assert len(everything) == 4
    assert len({id(each) for each in everything}) == 1


async def test_histories_have_the_payloads_of_all_their_steps(log: EventLog) -> None:
    await create(log, execution(6))
    rows = [step_with(7, 1, large("a")), step(7, 2), step_with(7, 3, large("b"))]
    await log.commit(Transaction(created=[execution(7)], steps=rows))
    assert [each async for each in log.histories([6, 7])] == [
        ExecutionHistory(
            row=execution(6, steps=1), bodies=[step(6, 1).body], due_ms=None, payloads=None
        ),
        ExecutionHistory(
            row=execution(7, steps=3),
            bodies=[row.body for row in rows],
            due_ms=None,
            payloads={each.digest: each for each in (large("a"), large("b"))},
        ),
    ]


async def test_children_have_the_payloads_of_their_first_and_last_step(log: EventLog) -> None:
    for index, id in enumerate((8, 9)):
        child = Child(execution=7, map_run=3, index=index, items=1)
        first, middle, last = (
            step_with(id, 1, large("a")),
            step_with(id, 2, large("not asked for")),
            step_with(id, 3, large(f"{id}")),
        )
        row = replace(execution(id), child=child)
        await log.commit(Transaction(created=[row], steps=[first, middle, last]))
    children = await log.children((7, 3), after_index=-1, limit=9)
    assert [texts(child.payloads) for child in children] == [
        [large("a").text, large("8").text],
        [large("a").text, large("9").text],
    ]


async def test_payloads_of_a_refused_transaction_do_not_come_in_the_way(log: EventLog) -> None:
    await create(log, execution(7))
    refused = Transaction(steps=[step_with(7, 9, large("a"), large("b"))])
    taken = Transaction(steps=[step_with(7, 2, large("a"))])
    error, nothing = await outcomes(log, refused, taken)
    assert error is not None
    assert nothing is None
    await log.commit(Transaction(steps=[step_with(7, 3, large("b"))]))
    assert [texts(row.payloads) for row in await log.read(7)] == [
        [],
        [large("a").text],
        [large("b").text],
    ]


async def test_payloads_of_one_batch_are_kept_once(log: EventLog) -> None:
    await create(log, execution(7), execution(8))
    steps = [Transaction(steps=[step_with(id, 2, large("a"), large("a"))]) for id in (7, 8)]
    assert await outcomes(log, *steps) == [None, None]
    for id in (7, 8):
        assert texts((await log.read(id))[1].payloads) == [large("a").text]


async def test_payloads_outlive_the_log_that_took_them(open_log: Open) -> None:
    row = step_with(7, 1, large("a"))
    async with open_log() as log:
        await log.commit(Transaction(created=[execution(7)], steps=[row]))
    async with open_log() as log:
        assert list(await log.read(7)) == [row]
