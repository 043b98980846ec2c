"""What every `EventLog` promises of Map Runs and their children."""

from dataclasses import replace

import pytest

from eventmill.errors import ExecutionAlreadyExists
from eventmill.log.records import encode_execution
from eventmill.ports import EventLog, Transaction
from eventmill.rows import Child, ChildHistory, ExecutionRow, MapRunChange, MapRunRow, Progress
from tests.conformance.event_logs import Open, create, execution, outcomes, step, steps

PARENT = 100
RUN = (PARENT, 4)


def map_run(execution: int = PARENT, event: int = 4, items: int | None = None) -> MapRunRow:
    return MapRunRow(
        execution=execution,
        map_run=event,
        arn=f"arn:aws:states:local:000000000000:mapRun:orders/each:{execution}-{event}",
        max_concurrency=7,
        tolerated_count=1,
        tolerated_percentage=12.5,
        start_ms=5,
        items=items,
    )


def child(id: int, index: int, *, items: int = 1, run: tuple[int, int] = RUN) -> ExecutionRow:
    place = Child(execution=run[0], map_run=run[1], index=index, items=items)
    return replace(execution(id), child=place)


async def begin(log: EventLog, *children: ExecutionRow) -> None:
    await log.commit(
        Transaction(
            created=[execution(PARENT)], steps=[step(PARENT, 1)], map_runs=[map_run(items=9)]
        )
    )
    await create(log, *children)


async def test_keeps_a_map_run_and_what_is_new_about_it(log: EventLog) -> None:
    await begin(log)
    assert await log.map_run(map_run().arn) == map_run(items=9)
    assert await log.map_run("arn:aws:states:local:000000000000:mapRun:none:none") is None

    await log.commit(Transaction(map_run_changes={RUN: MapRunChange(items=3)}))
    await log.commit(Transaction(map_run_changes={RUN: MapRunChange(status="FAILED", stop_ms=8)}))

    ended = replace(map_run(), items=3, status="FAILED", stop_ms=8)
    assert await log.map_run(map_run().arn) == ended


async def test_lists_the_map_runs_of_one_execution_newest_first(log: EventLog) -> None:
    await begin(log)
    await create(log, execution(101))
    await log.commit(Transaction(map_runs=[map_run(PARENT, 11), map_run(101, 4)]))

    assert [each.map_run for each in await log.map_runs(PARENT)] == [11, 4]
    assert list(await log.map_runs(101)) == [map_run(101, 4)]
    assert list(await log.map_runs(102)) == []


async def test_children_know_their_place_and_stay_out_of_other_lists(log: EventLog) -> None:
    await begin(log, child(201, 0), child(202, 1, items=5))
    await create(log, child(203, 0, run=(PARENT, 11)))

    assert await log.execution_by_id(202) == replace(child(202, 1, items=5), steps=1)
    assert [row.id for row in await log.executions()] == [PARENT]
    assert [row.id for row in await log.executions(status="RUNNING")] == [PARENT]
    assert [row.id for row in await log.executions(map_run=RUN)] == [202, 201]
    assert [row.id for row in await log.executions(map_run=RUN, before_id=202)] == [201]
    assert list(await log.executions(map_run=RUN, status="FAILED")) == []
    assert set(await log.unfinished()) == {PARENT, 201, 202, 203}
    assert await log.newest_id() == 203


async def test_an_empty_log_has_no_newest_id(log: EventLog) -> None:
    assert await log.newest_id() == 0


async def test_tells_how_far_a_map_run_has_come(log: EventLog) -> None:
    assert await log.progress(RUN) == Progress(ended={}, running={}, started=0)
    await begin(log, *(child(200 + index, index, items=index + 1) for index in range(5)))
    await log.commit(
        Transaction(finished={200: ("SUCCEEDED", 9), 202: ("SUCCEEDED", 9), 203: ("TIMED_OUT", 9)})
    )

    assert await log.progress(RUN) == Progress(
        ended={"SUCCEEDED": (2, 4), "TIMED_OUT": (1, 4)}, running={201: 2, 204: 5}, started=5
    )


async def test_pages_through_children_with_their_first_and_last_steps(log: EventLog) -> None:
    await begin(log, *(child(200 + index, index) for index in range(5)))
    await log.commit(Transaction(steps=steps(203, 2, 3)))

    page = await log.children(RUN, after_index=1, limit=2)

    assert [each.row.id for each in page] == [202, 203]
    assert page[1] == ChildHistory(
        row=replace(child(203, 3), steps=3), first=step(203, 1).body, last=step(203, 3).body
    )
    assert page[0].first == page[0].last
    assert list(await log.children(RUN, after_index=4, limit=2)) == []


async def test_children_of_a_map_run_that_has_ended_are_orphans_while_they_run(
    log: EventLog,
) -> None:
    await begin(log, child(201, 0), child(202, 1))
    assert list(await log.orphans(limit=9)) == []

    await log.commit(
        Transaction(
            finished={201: ("SUCCEEDED", 9)},
            map_run_changes={RUN: MapRunChange(status="ABORTED", stop_ms=9)},
        )
    )

    assert [row.id for row in await log.orphans(limit=9)] == [202]


async def test_everything_is_there_after_a_restart(open_log: Open) -> None:
    async with open_log() as log:
        await begin(log, child(201, 0, items=3))
    async with open_log() as log:
        assert await log.map_run(map_run().arn) == map_run(items=9)
        assert (await log.progress(RUN)).running == {201: 3}


async def test_a_refused_transaction_leaves_no_map_run(log: EventLog) -> None:
    await create(log, execution(PARENT))
    (refusal,) = await outcomes(log, Transaction(created=[execution(PARENT)], map_runs=[map_run()]))
    assert isinstance(refusal, ExecutionAlreadyExists)
    assert await log.map_run(map_run().arn) is None


@pytest.mark.parametrize("place", [child(201, 1), child(201, 0, items=2)])
def test_the_chain_covers_the_place_of_a_child(place: ExecutionRow) -> None:
    assert encode_execution(place) != encode_execution(child(201, 0))
    assert encode_execution(place) != encode_execution(execution(201))
