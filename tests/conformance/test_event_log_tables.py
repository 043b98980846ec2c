"""What every `EventLog` promises of executions, timers, the inbox and what sensors keep."""

import pytest

from eventmill.errors import (
    DuplicateEvent,
    ExecutionAlreadyExists,
)
from eventmill.ports import EventLog, Transaction
from eventmill.rows import ExecutionHistory, ExecutionRow, InboxEvent, StepRow
from tests.conformance.event_logs import (
    MACHINE,
    OTHER_MACHINE,
    arn,
    create,
    execution,
    outcomes,
    step,
    steps,
    trigger_event,
)

# Executions


async def test_finds_an_execution_by_arn_and_by_id(log: EventLog) -> None:
    row = execution(7, event=("eventmill.files", "e"), trigger="on-file")
    await log.commit(Transaction(created=[row], steps=steps(7, 1, 2)))
    expected = execution(7, steps=2, event=("eventmill.files", "e"), trigger="on-file")
    assert await log.execution(row.arn) == expected
    assert await log.execution_by_id(7) == expected
    assert await log.execution(arn(8)) is None
    assert await log.execution_by_id(8) is None


async def test_an_id_may_use_63_bits(log: EventLog) -> None:
    largest = 2**63 - 1
    await create(log, execution(largest))
    assert await log.execution_by_id(largest) == execution(largest, steps=1)
    assert list(await log.read(largest)) == steps(largest, 1)


async def test_an_execution_may_have_no_steps_yet(log: EventLog) -> None:
    await log.commit(Transaction(created=[execution(7)]))
    assert await log.execution_by_id(7) == execution(7, steps=0)
    await log.commit(Transaction(steps=steps(7, 1)))
    assert await log.execution_by_id(7) == execution(7, steps=1)


async def test_refuses_an_arn_that_is_taken_also_by_one_that_has_ended(log: EventLog) -> None:
    await create(log, execution(7))
    await log.commit(Transaction(finished={7: ("SUCCEEDED", 9)}))
    again = ExecutionRow(
        id=8,
        arn=arn(7),
        state_machine_arn=MACHINE,
        name="run-7",
        definition="sha256:0123",
        status="RUNNING",
        start_ms=1,
    )
    with pytest.raises(ExecutionAlreadyExists, match=arn(7)):
        await create(log, again)
    assert await log.execution_by_id(8) is None


async def test_refuses_an_arn_twice_in_one_transaction(log: EventLog) -> None:
    with pytest.raises(ExecutionAlreadyExists):
        await log.commit(Transaction(created=[execution(7), execution(7)]))
    assert list(await log.executions()) == []


async def test_of_two_with_the_same_arn_in_one_batch_the_first_wins(log: EventLog) -> None:
    done = await outcomes(
        log,
        Transaction(created=[execution(7)], steps=steps(7, 1)),
        Transaction(created=[execution(7)], steps=steps(7, 1)),
    )
    assert [type(each) for each in done] == [type(None), ExecutionAlreadyExists]
    assert list(await log.read(7)) == steps(7, 1)


async def test_refuses_an_id_that_is_taken(log: EventLog) -> None:
    await create(log, execution(7))
    clash = ExecutionRow(
        id=7,
        arn=arn(8),
        state_machine_arn=MACHINE,
        name="run-8",
        definition="sha256:0123",
        status="RUNNING",
        start_ms=1,
    )
    with pytest.raises(ExecutionAlreadyExists, match="the id 7"):
        await create(log, clash)
    assert list(await log.executions()) == [execution(7, steps=1)]


async def test_lists_executions_newest_first_narrowed_by_each_argument(log: EventLog) -> None:
    await create(
        log,
        execution(3, state_machine_arn=OTHER_MACHINE),
        execution(1),
        execution(2),
        execution(4),
    )
    await log.commit(Transaction(finished={2: ("FAILED", 9), 3: ("FAILED", 9)}))

    async def ids(
        state_machine_arn: str | None = None,
        status: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[int]:
        found = await log.executions(
            state_machine_arn=state_machine_arn, status=status, before_id=before_id, limit=limit
        )
        return [row.id for row in found]

    assert await ids() == [4, 3, 2, 1]
    assert await ids(state_machine_arn=MACHINE) == [4, 2, 1]
    assert await ids(status="FAILED") == [3, 2]
    assert await ids(status="RUNNING") == [4, 1]
    assert await ids(before_id=3) == [2, 1]
    assert await ids(limit=2) == [4, 3]
    assert await ids(MACHINE, "FAILED") == [2]
    assert await ids(MACHINE, "RUNNING", before_id=4, limit=1) == [1]
    assert await ids("arn:of:nobody") == []


async def test_pages_through_executions_without_missing_or_repeating_one(log: EventLog) -> None:
    await create(log, *(execution(id) for id in range(1, 26)))
    seen: list[int] = []
    while page := await log.executions(before_id=seen[-1] if seen else None, limit=10):
        seen += [row.id for row in page]
    assert seen == list(range(25, 0, -1))


async def test_a_finished_execution_keeps_its_status_and_when_it_stopped(log: EventLog) -> None:
    await create(log, execution(7), execution(8))
    await log.commit(Transaction(finished={7: ("TIMED_OUT", 99)}))
    assert await log.execution_by_id(7) == execution(7, status="TIMED_OUT", stop_ms=99, steps=1)
    assert await log.execution_by_id(8) == execution(8, steps=1)


# Timers and recovery


async def test_unfinished_are_the_running_ones_without_a_timer_by_id(log: EventLog) -> None:
    await create(log, *(execution(id) for id in (5, 1, 4, 2, 3)))
    await log.commit(Transaction(finished={2: ("SUCCEEDED", 9)}, timers={4: 50}))
    assert list(await log.unfinished()) == [1, 3, 5]
    await log.commit(Transaction(timers={4: None}))
    assert list(await log.unfinished()) == [1, 3, 4, 5]


async def test_histories_come_by_id_with_all_steps_and_timers(log: EventLog) -> None:
    await create(log, *(execution(id) for id in (5, 1, 4, 2, 3)))
    await log.commit(
        Transaction(
            created=[execution(6)],
            steps=[step(4, 2), step(1, 2), step(4, 3)],
            timers={4: 50, 3: 7},
            finished={2: ("FAILED", 9)},
        )
    )
    assert [each async for each in log.histories([6, 4, 99, 2, 4, 1])] == [
        ExecutionHistory(
            row=execution(1, steps=2), bodies=[each.body for each in steps(1, 1, 2)], due_ms=None
        ),
        ExecutionHistory(
            row=execution(2, status="FAILED", stop_ms=9, steps=1),
            bodies=[step(2, 1).body],
            due_ms=None,
        ),
        ExecutionHistory(
            row=execution(4, steps=3), bodies=[each.body for each in steps(4, 1, 2, 3)], due_ms=50
        ),
        ExecutionHistory(row=execution(6, steps=0), bodies=[], due_ms=None),
    ]
    assert [each async for each in log.histories([])] == []
    assert [each async for each in log.histories([98, 99])] == []


async def test_histories_are_whole_however_many_and_however_large(log: EventLog) -> None:
    count, body = 1_100, bytes(1_048_576)
    await create(log, *(execution(id) for id in range(1, count + 1)))
    large = [StepRow(execution=id, step=2, body=body) for id in (3, 4, 5, 6, 7, 9)]
    await log.commit(Transaction(steps=large))
    sizes = {
        each.row.id: [len(body) for body in each.bodies]
        async for each in log.histories(range(count + 1))
    }
    assert list(sizes) == list(range(1, count + 1))
    for id, found in sizes.items():
        expected = [len(step(id, 1).body)]
        assert found == ([*expected, 1_048_576] if id in (3, 4, 5, 6, 7, 9) else expected)


async def test_due_timers_come_soonest_first(log: EventLog) -> None:
    await create(log, *(execution(id) for id in range(1, 6)))
    await log.commit(Transaction(timers={1: 30, 2: 10, 3: 20, 4: 10, 5: 31}))
    assert list(await log.due(9, limit=10)) == []
    assert list(await log.due(10, limit=10)) == [(10, 2), (10, 4)]
    assert list(await log.due(30, limit=10)) == [(10, 2), (10, 4), (20, 3), (30, 1)]
    assert list(await log.due(30, limit=3)) == [(10, 2), (10, 4), (20, 3)]
    assert await log.next_due_ms() == 10


async def test_a_timer_can_be_moved_and_removed(log: EventLog) -> None:
    await create(log, execution(1), execution(2))
    assert await log.next_due_ms() is None
    await log.commit(Transaction(timers={1: 10, 2: 20}))
    await log.commit(Transaction(timers={1: 30}))
    assert list(await log.due(100, limit=10)) == [(20, 2), (30, 1)]
    await log.commit(Transaction(timers={2: None}))
    assert list(await log.due(100, limit=10)) == [(30, 1)]
    await log.commit(Transaction(timers={1: None, 2: None}))
    assert await log.next_due_ms() is None


# The inbox


async def test_an_event_and_what_it_starts_become_durable_together(log: EventLog) -> None:
    event = trigger_event("e")
    started = [
        execution(1, event=(event.source, event.id), trigger="on-file"),
        execution(2, event=(event.source, event.id), trigger="audit"),
        execution(3),
    ]
    await log.commit(
        Transaction(
            events=[event],
            received_ms=1_700_000_000_456,
            created=started,
            steps=[step(1, 1), step(2, 1), step(3, 1)],
        )
    )
    found = await log.event("eventmill.files", "e")
    assert found is not None
    assert found == InboxEvent(
        position=found.position,
        event=event,
        received_ms=1_700_000_000_456,
        executions={"on-file": arn(1), "audit": arn(2)},
    )


async def test_an_execution_started_later_is_found_by_its_event_too(log: EventLog) -> None:
    event = trigger_event("e")
    await log.commit(Transaction(events=[event]))
    await create(log, execution(1, event=(event.source, event.id), trigger="batch"))
    found = await log.event(event.source, event.id)
    assert found is not None
    assert found.executions == {"batch": arn(1)}


async def test_of_several_executions_that_a_trigger_started_the_event_names_the_first(
    log: EventLog,
) -> None:
    event = trigger_event("e")
    of_event = (event.source, event.id)
    await log.commit(
        Transaction(events=[event], created=[execution(1, event=of_event, trigger="t")])
    )
    await create(log, execution(2, event=of_event, trigger="t"), execution(3, event=of_event))
    found = await log.event(event.source, event.id)
    assert found is not None
    assert found.executions == {"t": arn(1)}


async def test_the_inbox_takes_an_event_once(log: EventLog) -> None:
    await log.commit(Transaction(events=[trigger_event("e")], received_ms=5))
    with pytest.raises(DuplicateEvent) as caught:
        await log.commit(Transaction(events=[trigger_event("e")], received_ms=6))
    assert caught.value.events == [("eventmill.files", "e")]
    found = await log.event("eventmill.files", "e")
    assert found is not None
    assert found.received_ms == 5


async def test_of_the_same_event_twice_in_one_batch_the_first_wins(log: EventLog) -> None:
    event = trigger_event("e")
    done = await outcomes(
        log,
        Transaction(events=[event], created=[execution(1)], steps=steps(1, 1)),
        Transaction(events=[event], created=[execution(2)], steps=steps(2, 1)),
    )
    assert [type(each) for each in done] == [type(None), DuplicateEvent]
    assert [row.id for row in await log.executions()] == [1]


async def test_events_of_one_transaction_lie_in_the_inbox_in_their_order(log: EventLog) -> None:
    events = [trigger_event(id) for id in "bac"]
    created = [execution(number + 1, event=(e.source, e.id)) for number, e in enumerate(events)]
    await log.commit(Transaction(events=events, received_ms=7, created=created))
    inbox = await log.inbox()
    assert [each.event.id for each in inbox] == ["c", "a", "b"]
    assert {each.received_ms for each in inbox} == {7}


async def test_a_refusal_names_all_events_that_are_there_and_those_that_come_twice(
    log: EventLog,
) -> None:
    await log.commit(Transaction(events=[trigger_event("a"), trigger_event("c")]))
    wanted = [trigger_event(id) for id in "abcdda"]
    with pytest.raises(DuplicateEvent) as caught:
        await log.commit(Transaction(events=wanted))
    assert [id for _, id in caught.value.events] == ["a", "c", "d"]
    assert [each.event.id for each in await log.inbox()] == ["c", "a"]


async def test_a_refusal_names_all_executions_whose_arns_are_taken(log: EventLog) -> None:
    await create(log, execution(1), execution(3))
    with pytest.raises(ExecutionAlreadyExists) as caught:
        await log.commit(Transaction(created=[execution(id) for id in (1, 2, 3, 4)]))
    assert caught.value.arns == [arn(1), arn(3)]


async def test_a_duplicate_event_is_the_reason_given_before_all_others(log: EventLog) -> None:
    await log.commit(Transaction(events=[trigger_event("e")]))
    await create(log, execution(1))
    done = await outcomes(
        log,
        Transaction(events=[trigger_event("e")], created=[execution(1)], steps=steps(1, 9)),
        Transaction(created=[execution(1)], steps=steps(1, 9)),
    )
    assert [type(each) for each in done] == [DuplicateEvent, ExecutionAlreadyExists]


async def test_events_of_different_sources_may_share_an_id(log: EventLog) -> None:
    await log.commit(Transaction(events=[trigger_event("e", "a")]))
    await log.commit(Transaction(events=[trigger_event("e", "b")]))
    assert [each.event.source for each in await log.inbox()] == ["b", "a"]
    assert await log.event("c", "e") is None


async def test_pages_through_the_inbox_newest_first(log: EventLog) -> None:
    for number in range(5):
        await log.commit(Transaction(events=[trigger_event(str(number))], received_ms=number))
    newest = await log.inbox(limit=2)
    older = await log.inbox(before_position=newest[-1].position, limit=10)
    assert [each.event.id for each in (*newest, *older)] == ["4", "3", "2", "1", "0"]
    assert [each.received_ms for each in newest] == [4, 3]
    assert older[0] == await log.event("eventmill.files", "2")


# Sensors and definitions


async def test_a_sensor_remembers_each_key_and_forgets_what_is_none(log: EventLog) -> None:
    await log.commit(
        Transaction(
            sensor_state={("files", "a"): b"1", ("files", "b"): b"\x00\xff", ("kafka", "a"): b""}
        )
    )
    await log.commit(
        Transaction(sensor_state={("files", "a"): None, ("files", "c"): b"3", ("x", "y"): None})
    )
    assert await log.sensor_state("files") == {"b": b"\x00\xff", "c": b"3"}
    assert await log.sensor_state("kafka") == {"a": b""}
    assert len(await log.sensor_state("files", limit=1)) == 1
    assert len(await log.sensor_state("files", limit=3)) == 2
    assert await log.sensor_state("files", limit=0) == {}
    assert await log.sensor_state("x") == {}


async def test_a_definition_that_is_known_is_left_alone(log: EventLog) -> None:
    await log.commit(Transaction(definitions={"d1": '{"a": 1}', "d2": "{}"}))
    await log.commit(Transaction(definitions={"d1": "something else", "d3": "3"}))
    assert await log.definition("d1") == '{"a": 1}'
    assert await log.definition("d2") == "{}"
    assert await log.definition("d3") == "3"
    assert await log.definition("d4") is None
