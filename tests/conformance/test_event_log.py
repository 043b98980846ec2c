"""What every `EventLog` promises, sentence by sentence of the port."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import pytest

from eventmill.errors import (
    AppendConflict,
    DuplicateEvent,
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
)
from eventmill.events import TriggerEvent
from eventmill.log.memory import MemoryEventLog
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import (
    EventLog,
    ExecutionRow,
    InboxEvent,
    StepRow,
    StoredStep,
    Transaction,
)

Open: TypeAlias = Callable[[], AbstractAsyncContextManager[EventLog]]

MACHINE = "arn:aws:states:local:000000000000:stateMachine:orders"
OTHER_MACHINE = "arn:aws:states:local:000000000000:stateMachine:invoices"


@pytest.fixture(params=["memory", "sqlite"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same log each time, as a server does that is started again."""
    if request.param == "sqlite":
        return lambda: SqliteEventLog.open(tmp_path / "eventmill.db")
    memory = MemoryEventLog()

    @asynccontextmanager
    async def open_memory() -> AsyncIterator[EventLog]:
        yield memory

    return open_memory


@pytest.fixture
async def log(open_log: Open) -> AsyncIterator[EventLog]:
    async with open_log() as opened:
        yield opened


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
    await log.commit(Transaction(event=trigger_event("seen")))
    await create(log, execution(1), execution(2))
    everything = Transaction(
        event=trigger_event("fresh"),
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
        Transaction(event=trigger_event("seen"), sensor_state={("s", "k"): b"v"}),
        Transaction(event=trigger_event("fresh"), created=[execution(2)], timers={1: 5}),
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
    early = Transaction(event=trigger_event("e"), steps=steps(7, 3))
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
        Transaction(event=trigger_event("caf\udce9.csv")),
        Transaction(sensor_state={("files", "caf\udce9.csv"): b"seen"}),
        Transaction(steps=steps(7, 2)),
    )
    assert [isinstance(each, ValueError) for each in done] == [True, True, False]
    assert list(await log.read(7)) == steps(7, 1, 2)


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

    async def ids(after_id: int, limit: int) -> list[int]:
        return [row.id for row in await log.unfinished(after_id=after_id, limit=limit)]

    assert await ids(0, 10) == [1, 3, 5]
    assert await ids(0, 2) == [1, 3]
    assert await ids(3, 2) == [5]
    assert await ids(5, 2) == []
    await log.commit(Transaction(timers={4: None}))
    assert await ids(0, 10) == [1, 3, 4, 5]
    assert (await log.unfinished(after_id=0, limit=1))[0] == execution(1, steps=1)


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
            event=event,
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
    await log.commit(Transaction(event=event))
    await create(log, execution(1, event=(event.source, event.id), trigger="batch"))
    found = await log.event(event.source, event.id)
    assert found is not None
    assert found.executions == {"batch": arn(1)}


async def test_of_several_executions_that_a_trigger_started_the_event_names_the_first(
    log: EventLog,
) -> None:
    event = trigger_event("e")
    of_event = (event.source, event.id)
    await log.commit(Transaction(event=event, created=[execution(1, event=of_event, trigger="t")]))
    await create(log, execution(2, event=of_event, trigger="t"), execution(3, event=of_event))
    found = await log.event(event.source, event.id)
    assert found is not None
    assert found.executions == {"t": arn(1)}


async def test_the_inbox_takes_an_event_once(log: EventLog) -> None:
    await log.commit(Transaction(event=trigger_event("e"), received_ms=5))
    with pytest.raises(DuplicateEvent) as caught:
        await log.commit(Transaction(event=trigger_event("e"), received_ms=6))
    assert (caught.value.source, caught.value.event_id) == ("eventmill.files", "e")
    found = await log.event("eventmill.files", "e")
    assert found is not None
    assert found.received_ms == 5


async def test_of_the_same_event_twice_in_one_batch_the_first_wins(log: EventLog) -> None:
    event = trigger_event("e")
    done = await outcomes(
        log,
        Transaction(event=event, created=[execution(1)], steps=steps(1, 1)),
        Transaction(event=event, created=[execution(2)], steps=steps(2, 1)),
    )
    assert [type(each) for each in done] == [type(None), DuplicateEvent]
    assert [row.id for row in await log.executions()] == [1]


async def test_a_duplicate_event_is_the_reason_given_before_all_others(log: EventLog) -> None:
    await log.commit(Transaction(event=trigger_event("e")))
    await create(log, execution(1))
    done = await outcomes(
        log,
        Transaction(event=trigger_event("e"), created=[execution(1)], steps=steps(1, 9)),
        Transaction(created=[execution(1)], steps=steps(1, 9)),
    )
    assert [type(each) for each in done] == [DuplicateEvent, ExecutionAlreadyExists]


async def test_events_of_different_sources_may_share_an_id(log: EventLog) -> None:
    await log.commit(Transaction(event=trigger_event("e", "a")))
    await log.commit(Transaction(event=trigger_event("e", "b")))
    assert [each.event.source for each in await log.inbox()] == ["b", "a"]
    assert await log.event("c", "e") is None


async def test_pages_through_the_inbox_newest_first(log: EventLog) -> None:
    for number in range(5):
        await log.commit(Transaction(event=trigger_event(str(number)), received_ms=number))
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
    assert await log.sensor_state("x") == {}


async def test_a_definition_that_is_known_is_left_alone(log: EventLog) -> None:
    await log.commit(Transaction(definitions={"d1": '{"a": 1}', "d2": "{}"}))
    await log.commit(Transaction(definitions={"d1": "something else", "d3": "3"}))
    assert await log.definition("d1") == '{"a": 1}'
    assert await log.definition("d2") == "{}"
    assert await log.definition("d3") == "3"
    assert await log.definition("d4") is None


# All steps


async def test_stored_steps_are_all_steps_in_the_order_of_commit(log: EventLog) -> None:
    await create(log, execution(9), execution(8))
    await log.commit(Transaction(event=trigger_event("e"), steps=[step(8, 2), step(9, 2)]))
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
    await log.commit(Transaction(event=event, received_ms=2, created=[row], steps=steps(7, 1, 2)))
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
                event=event,
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
        assert [row.id for row in await log.unfinished(after_id=0, limit=9)] == [2]
        assert list(await log.due(10, limit=9)) == [(10, 1)]
        assert await log.sensor_state("s") == {"k": b"v"}
        assert await log.definition("d") == "{}"
        assert [each.executions for each in await log.inbox()] == [{"on-file": arn(1)}]
        done = await outcomes(
            log,
            Transaction(event=event),
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
