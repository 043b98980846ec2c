"""What every `EventLog` promises, sentence by sentence of the port."""

import asyncio
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from eventmill.errors import (
    AppendConflict,
    DuplicateEvent,
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
)
from eventmill.events import TriggerEvent
from eventmill.ports import EventLog, Transaction
from eventmill.rows import StepRow, StoredStep
from tests.conformance.event_logs import (
    MACHINE,
    Open,
    arn,
    create,
    execution,
    outcomes,
    step,
    steps,
    stored,
    trigger_event,
)

# Steps


async def test_reads_the_steps_of_an_execution_in_order(log: EventLog) -> None:
    await log.commit(Transaction(created=[execution(7), execution(8)], steps=steps(7, 1, 2)))
    await log.commit(Transaction(steps=[step(8, 1), step(7, 3)]))
    assert list(await log.read(7)) == steps(7, 1, 2, 3)
    assert list(await log.read(8)) == steps(8, 1)


async def test_reads_only_the_steps_after_a_given_one(log: EventLog) -> None:
    await log.commit(Transaction(created=[execution(7)], steps=steps(7, 1, 2, 3)))
    assert list(await log.read(7, after_step=2)) == steps(7, 3)
    assert list(await log.read(7, after_step=3)) == []


async def test_an_execution_that_never_was_has_no_steps(log: EventLog) -> None:
    assert list(await log.read(7)) == []


async def test_keeps_bodies_byte_for_byte(log: EventLog) -> None:
    body = bytes(range(256)) * 1_024
    row = StepRow(execution=7, step=1, body=body)
    empty = StepRow(execution=7, step=2, body=b"")
    await log.commit(Transaction(created=[execution(7)], steps=[row, empty]))
    assert list(await log.read(7)) == [row, empty]


@pytest.mark.parametrize("number", [1, 2, 4, 0], ids=["first", "same", "gap", "zero"])
async def test_refuses_a_step_that_is_not_the_next(log: EventLog, number: int) -> None:
    await log.commit(Transaction(created=[execution(7)], steps=steps(7, 1, 2)))
    with pytest.raises(AppendConflict) as caught:
        await log.commit(Transaction(steps=steps(7, number)))
    assert (caught.value.execution, caught.value.expected, caught.value.actual) == (
        7,
        number - 1,
        2,
    )
    assert list(await log.read(7)) == steps(7, 1, 2)


async def test_refuses_a_gap_within_a_transaction(log: EventLog) -> None:
    with pytest.raises(AppendConflict) as caught:
        await log.commit(Transaction(created=[execution(7)], steps=steps(7, 1, 3)))
    assert (caught.value.expected, caught.value.actual) == (2, 1)
    assert await log.execution_by_id(7) is None


async def test_refuses_steps_ends_and_timers_of_executions_that_were_never_created(
    log: EventLog,
) -> None:
    refused = await outcomes(
        log,
        Transaction(steps=steps(7, 1)),
        Transaction(finished={8: ("FAILED", 5)}),
        Transaction(timers={9: 5}),
    )
    assert [type(each) for each in refused] == [ExecutionDoesNotExist] * 3
    assert await log.next_due_ms() is None


# One batch, many transactions


async def test_transactions_of_one_batch_build_on_each_other(log: EventLog) -> None:
    done = await outcomes(
        log,
        Transaction(created=[execution(7)], steps=steps(7, 1), timers={7: 5}),
        Transaction(steps=steps(7, 2), timers={7: 9}),
        Transaction(steps=steps(7, 3), finished={7: ("SUCCEEDED", 99)}, timers={7: None}),
    )
    assert done == [None, None, None]
    assert list(await log.read(7)) == steps(7, 1, 2, 3)
    assert await log.execution_by_id(7) == execution(7, status="SUCCEEDED", stop_ms=99, steps=3)
    assert await log.next_due_ms() is None


async def test_of_the_changes_of_one_batch_to_the_same_thing_the_last_counts(
    log: EventLog,
) -> None:
    await create(log, execution(7))
    await outcomes(
        log,
        Transaction(timers={7: 1}, sensor_state={("s", "k"): b"1", ("s", "gone"): b"1"}),
        Transaction(timers={7: None}, sensor_state={("s", "k"): None, ("s", "gone"): None}),
        Transaction(timers={7: 3}, sensor_state={("s", "k"): b"3"}),
    )
    assert list(await log.due(10, limit=10)) == [(3, 7)]
    assert await log.sensor_state("s") == {"k": b"3"}


async def test_a_refused_transaction_leaves_no_trace_and_spares_its_neighbours(
    log: EventLog,
) -> None:
    await log.commit(Transaction(events=[trigger_event("seen")]))
    await create(log, execution(1), execution(2))
    everything = Transaction(
        events=[trigger_event("fresh")],
        created=[execution(3)],
        steps=[step(3, 1), step(1, 2), step(2, 5)],
        finished={1: ("FAILED", 9)},
        timers={1: 5},
        sensor_state={("s", "k"): b"v"},
        definitions={"d": "{}"},
    )
    done = await outcomes(
        log,
        Transaction(steps=steps(1, 2)),
        everything,
        Transaction(events=[trigger_event("seen")], sensor_state={("s", "k"): b"v"}),
        Transaction(events=[trigger_event("fresh")], created=[execution(2)], timers={1: 5}),
        Transaction(steps=steps(1, 3)),
        Transaction(steps=steps(1, 3)),
        Transaction(steps=steps(2, 2)),
    )
    assert [type(each) for each in done] == [
        type(None),
        AppendConflict,
        DuplicateEvent,
        ExecutionAlreadyExists,
        type(None),
        AppendConflict,
        type(None),
    ]
    assert list(await log.executions()) == [execution(2, steps=2), execution(1, steps=3)]
    assert list(await log.read(1)) == steps(1, 1, 2, 3)
    assert list(await log.read(2)) == steps(2, 1, 2)
    assert list(await log.read(3)) == []
    assert await log.event("eventmill.files", "fresh") is None
    assert await log.next_due_ms() is None
    assert await log.sensor_state("s") == {}
    assert await log.definition("d") is None


async def test_what_was_refused_can_be_handed_over_again_once_it_fits(log: EventLog) -> None:
    await create(log, execution(7))
    early = Transaction(events=[trigger_event("e")], steps=steps(7, 3))
    assert isinstance((await outcomes(log, early))[0], AppendConflict)
    assert await outcomes(log, Transaction(steps=steps(7, 2)), early) == [None, None]
    assert list(await log.read(7)) == steps(7, 1, 2, 3)


def _note(arrived: list[int], id: int, _: object) -> None:
    arrived.append(id)


async def test_outcomes_come_in_the_order_of_handing_over(log: EventLog) -> None:
    await create(log, *(execution(id) for id in range(1, 2_001)))
    arrived: list[int] = []
    futures = []
    for id in range(1, 2_001):
        # Every third is refused, so that batches must be sorted out.
        future = log.commit(Transaction(steps=steps(id, 5 if id % 3 == 0 else 2)))
        future.add_done_callback(partial(_note, arrived, id))
        futures.append(future)
    done = await asyncio.gather(*futures, return_exceptions=True)
    await asyncio.sleep(0)
    assert arrived == list(range(1, 2_001))
    assert [each is None for each in done] == [id % 3 != 0 for id in range(1, 2_001)]


async def test_who_stops_waiting_for_a_transaction_does_not_stop_it(log: EventLog) -> None:
    await create(log, execution(7))
    log.commit(Transaction(steps=steps(7, 2))).cancel()
    await log.commit(Transaction(steps=steps(7, 3)))
    assert list(await log.read(7)) == steps(7, 1, 2, 3)


async def test_an_empty_transaction_succeeds(log: EventLog) -> None:
    assert await outcomes(log, Transaction()) == [None]


async def test_text_that_utf_8_cannot_hold_is_refused_alone(log: EventLog) -> None:
    await create(log, execution(7))
    done = await outcomes(
        log,
        Transaction(events=[trigger_event("caf\udce9.csv")]),
        Transaction(sensor_state={("files", "caf\udce9.csv"): b"seen"}),
        Transaction(steps=steps(7, 2)),
    )
    assert [isinstance(each, ValueError) for each in done] == [True, True, False]
    assert list(await log.read(7)) == steps(7, 1, 2)


# All steps


async def test_stored_steps_are_all_steps_in_the_order_of_commit(log: EventLog) -> None:
    await create(log, execution(9), execution(8))
    await log.commit(Transaction(events=[trigger_event("e")], steps=[step(8, 2), step(9, 2)]))
    found = await stored(log)
    assert [each.row for each in found] == [step(9, 1), step(8, 1), step(8, 2), step(9, 2)]
    positions = [each.position for each in found]
    assert positions == sorted(set(positions))
    assert [len(each.hash) for each in found] == [32] * 4
    assert [each async for each in log.stored_steps(after_position=positions[1])] == found[2:]


async def test_stored_steps_reach_over_many_pages(log: EventLog) -> None:
    await log.commit(Transaction(created=[execution(7)], steps=steps(7, *range(1, 1_702))))
    assert [each.row for each in await stored(log)] == steps(7, *range(1, 1_702))


async def test_one_chain_of_hashes_runs_through_events_executions_and_steps(
    log: EventLog,
) -> None:
    event = TriggerEvent(
        id="e",
        source="files",
        detail_type="Created",
        at_ms=1,
        account="0",
        region="local",
        detail={"a": [1.5, None, "é"]},
        resources=("r",),
    )
    row = execution(7, event=("files", "e"), trigger="t")
    await log.commit(
        Transaction(events=[event], received_ms=2, created=[row], steps=steps(7, 1, 2))
    )
    await log.commit(Transaction(steps=steps(7, 3)))

    def linked(previous: bytes, execution: int, step: int, body: str) -> bytes:
        numbers = execution.to_bytes(8, "big") + step.to_bytes(8, "big")
        return sha256(previous + numbers + sha256(body.encode()).digest()).digest()

    # Written out here because they may never change.
    received = '["e","files","Created",1,"0","local",{"a":[1.5,null,"é"]},["r"],2]'
    created = f'[7,"{arn(7)}","{MACHINE}","run-7","sha256:0123",1700000000007,"files","e","t"]'
    first = linked(linked(bytes(32), 0, 0, received), 7, 0, created)
    second = linked(first, 7, 1, '["7",1]')
    third = linked(second, 7, 2, '["7",2]')
    fourth = linked(third, 7, 3, '["7",3]')
    assert await stored(log) == [
        StoredStep(position=3, row=step(7, 1), hash=second),
        StoredStep(position=4, row=step(7, 2), hash=third),
        StoredStep(position=5, row=step(7, 3), hash=fourth),
    ]


# Reading and writing at once, closing and opening


async def test_a_reader_in_the_middle_of_all_steps_holds_up_no_commit(log: EventLog) -> None:
    await log.commit(Transaction(created=[execution(7)], steps=steps(7, *range(1, 1_202))))
    reading = log.stored_steps()
    first = await anext(reading)
    async with asyncio.timeout(10):
        await log.commit(Transaction(steps=steps(7, 1_202)))
    assert list(await log.read(7, after_step=1_201)) == steps(7, 1_202)
    rest = [each.row async for each in reading]
    assert [first.row, *rest][:1_201] == steps(7, *range(1, 1_202))


async def test_what_is_durable_can_be_read_at_once(log: EventLog) -> None:
    await create(log, *(execution(id) for id in range(1, 51)))

    async def live(id: int) -> None:
        for number in range(2, 12):
            await log.commit(Transaction(steps=steps(id, number)))
            assert list(await log.read(id, after_step=number - 1)) == steps(id, number)

    await asyncio.gather(*(live(id) for id in range(1, 51)))


async def test_everything_is_there_after_closing_and_opening_again(open_log: Open) -> None:
    event = trigger_event("e")
    row = execution(1, event=(event.source, event.id), trigger="on-file")
    async with open_log() as log:
        await log.commit(
            Transaction(
                events=[event],
                received_ms=5,
                created=[row, execution(2)],
                steps=[step(1, 1), step(2, 1)],
                timers={1: 10},
                sensor_state={("s", "k"): b"v"},
                definitions={"d": "{}"},
            )
        )
        before = await stored(log)
    async with open_log() as log:
        assert await stored(log) == before
        assert [row.id for row in await log.executions()] == [2, 1]
        assert list(await log.unfinished()) == [2]
        assert list(await log.due(10, limit=9)) == [(10, 1)]
        assert await log.sensor_state("s") == {"k": b"v"}
        assert await log.definition("d") == "{}"
        assert [each.executions for each in await log.inbox()] == [{"on-file": arn(1)}]
        done = await outcomes(
            log,
            Transaction(events=[event]),
            Transaction(steps=steps(1, 3)),
            Transaction(steps=steps(1, 2)),
        )
        assert [type(each) for each in done] == [DuplicateEvent, AppendConflict, type(None)]


async def test_what_was_handed_over_before_closing_becomes_durable(open_log: Open) -> None:
    async with open_log() as log:
        await create(log, execution(7))
        durable = log.commit(Transaction(steps=steps(7, 2)))
    await durable
    async with open_log() as log:
        assert list(await log.read(7)) == steps(7, 1, 2)


async def test_the_inbox_is_narrowed_by_source_and_id(open_log: Open) -> None:
    async with open_log() as log:
        for source, id_ in (("s", "a-1"), ("s", "a-2"), ("t", "a-1"), ("s", "b_1"), ("s", "A-3")):
            await log.commit(Transaction(events=[trigger_event(id_, source)]))

        async def found(**narrowed: Any) -> list[tuple[str, str]]:
            return [(e.event.source, e.event.id) for e in await log.inbox(**narrowed)]

        assert await found(source="t") == [("t", "a-1")]
        assert await found(event_id="a-1") == [("t", "a-1"), ("s", "a-1")]
        assert await found(event_id="a-") == []
        assert await found(id_prefix="a-") == [("t", "a-1"), ("s", "a-2"), ("s", "a-1")]
        assert await found(id_prefix="a-", source="s", limit=1) == [("s", "a-2")]
        assert await found(id_prefix="b%") == []
        newest, *_ = await log.inbox(source="s", id_prefix="a-")
        before = await found(source="s", id_prefix="a-", before_position=newest.position)
        assert before == [("s", "a-1")]


async def test_an_event_keeps_the_sensor_that_published_it(open_log: Open) -> None:
    event = replace(trigger_event("a"), sensor="filesystem:inbox")
    async with open_log() as log:
        await log.commit(Transaction(events=[event]))
        stored = await log.event(event.source, "a")
        assert stored is not None
        assert stored.event == event
