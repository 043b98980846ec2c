"""Distributed Maps on the engine: children, tolerances, restarts, results in files."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventmill.errors import LogUnavailable
from eventmill.log.memory import MemoryEventLog
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.facts import TaskSucceeded
from eventmill.model import Json, Payload, Quotas
from eventmill.ports import EventLog, Transaction
from eventmill.rows import ExecutionRow
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

FUNCTION = "arn:aws:lambda:local:000000000000:function:"
STANDARD = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
EXPRESS = {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
WORK = {
    "StartAt": "W",
    "States": {"W": {"Type": "Task", "Resource": f"{FUNCTION}work", "End": True}},
}
PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "S", "States": {"S": {"Type": "Wait", "Seconds": 3600, "End": True}}}
LINES = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSONL"},
    "Parameters": {"Bucket": "in", "Key": "items.jsonl"},
}
TO_FILES = {
    "Resource": "arn:aws:states:::s3:putObject",
    "Parameters": {"Bucket": "out", "Prefix": "results"},
}


def mapping(
    processor: dict[str, Any], mode: Any = STANDARD, name: str = "M", **fields: Any
) -> dict[str, Any]:
    state = {"Type": "Map", "ItemProcessor": {**processor, "ProcessorConfig": mode}, **fields}
    state.setdefault("End", True)
    return {"StartAt": name, "States": {name: state}}


async def work(event: Any, context: object) -> Json:
    if event == "bad" or (isinstance(event, dict) and event.get("bad")):
        raise ValueError("a bad item")
    return {"done": event}


@pytest.fixture(params=["memory", "sqlite"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    if request.param == "memory":
        yield MemoryEventLog()
    else:
        async with SqliteEventLog.open(tmp_path / "log.db") as sqlite:
            yield sqlite


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def lines(buckets: Path, *items: Json) -> None:
    (buckets / "in").mkdir(parents=True, exist_ok=True)
    text = "".join(f"{json.dumps(item)}\n" for item in items)
    (buckets / "in" / "items.jsonl").write_text(text)


async def outcome(world: World, row: ExecutionRow) -> tuple[str, Json]:
    """The status of an ended execution, and its output or error and cause."""
    ended = await world.engine.ended(row.id)
    last = (await world.events(row.id))[-1]
    details = last.details or {}
    if ended.status == "SUCCEEDED":
        return ended.status, last.payload("output").value
    return ended.status, [value for value in details.values() if isinstance(value, str)]


async def run_of(log: EventLog, row: ExecutionRow) -> tuple[int, int]:
    (run,) = await log.map_runs(row.id)
    return run.execution, run.map_run


async def test_each_item_is_an_execution_of_its_own(log: EventLog, clock: VirtualClock) -> None:
    machine = mapping(WORK, Label="Each", ItemSelector={"v.$": "$$.Map.Item.Value"})
    async with World(log, clock, {"work": work}, {"m": machine}) as world:
        row = await world.start("m", data=["a", "b"])

        assert await outcome(world, row) == (
            "SUCCEEDED",
            [{"done": {"v": "a"}}, {"done": {"v": "b"}}],
        )
        types = [(e.type, e.previous_id) for e in await world.events(row.id)]
        assert types[2:7] == [
            ("MapStateStarted", 2),
            ("MapRunStarted", 3),
            ("MapRunSucceeded", 4),
            ("MapStateSucceeded", 5),
            ("MapStateExited", 4),
        ]
        second, first = await log.executions(map_run=await run_of(log, row))
        assert first.arn.startswith("arn:aws:states:local:000000000000:execution:m/Each:")
        assert first.state_machine_arn == f"{row.state_machine_arn}/Each"
        assert await world.proven(first) == await world.proven(second) == 2
        assert await world.proven(row) == 2
        assert world.engine.in_memory == 0


async def test_a_child_sees_itself_and_nothing_of_its_parent(
    log: EventLog, clock: VirtualClock
) -> None:
    inside = {"Type": "Pass", "Parameters": {"context.$": "$$"}, "End": True}
    machine = mapping({"StartAt": "P", "States": {"P": inside}}, Label="Each")
    async with World(log, clock, {}, {"m": machine}) as world:
        row = await world.start("m", data=[5])

        _, output = await outcome(world, row)

        assert isinstance(output, list)
        (seen,) = output
        assert isinstance(seen, dict)
        context: Any = seen["context"]
        assert context["Execution"]["Input"] == 5
        assert context["Execution"]["Id"] != row.arn
        assert context["StateMachine"] == {"Id": f"{row.state_machine_arn}/Each", "Name": "m"}
        assert "Map" not in context


@pytest.mark.parametrize(
    ("tolerance", "bad", "status"),
    [
        ({}, 0, "SUCCEEDED"),
        ({}, 1, "FAILED"),
        ({"ToleratedFailureCount": 2}, 2, "SUCCEEDED"),
        ({"ToleratedFailureCount": 2}, 3, "FAILED"),
        ({"ToleratedFailurePercentage": 50}, 2, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 50}, 3, "FAILED"),
        ({"ToleratedFailureCount": 0, "ToleratedFailurePercentage": 50}, 2, "SUCCEEDED"),
        ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 99}, 2, "FAILED"),
    ],
)
async def test_fails_when_more_items_fail_than_are_tolerated(
    log: EventLog, clock: VirtualClock, tolerance: dict[str, Any], bad: int, status: str
) -> None:
    machine = mapping(WORK, **tolerance)
    async with World(log, clock, {"work": work}, {"m": machine}) as world:
        items: list[Json] = [*["bad"] * bad, *["good"] * (4 - bad)]
        row = await world.start("m", data=items)

        got, output = await outcome(world, row)

        assert got == status
        if status == "FAILED":
            assert output == [
                "States.ExceedToleratedFailureThreshold",
                "The specified tolerated failure threshold was exceeded",
            ]
        else:
            assert isinstance(output, list)
            assert [isinstance(each, dict) and "Error" in each for each in output] == (
                [True] * bad + [False] * (4 - bad)
            )


async def test_no_more_run_at_once_than_allowed(log: EventLog, clock: VirtualClock) -> None:
    machine = mapping(WAIT, MaxConcurrency=2)
    async with World(log, clock, {}, {"m": machine}) as world:
        row = await world.start("m", data=[1, 2, 3])
        await until(lambda: asleep(world, row, 2), world)
        progress = await log.progress(await run_of(log, row))
        assert (len(progress.running), progress.started) == (2, 2)
        clock.advance(3_600_000)
        await until(lambda: asleep(world, row, 1), world)
        progress = await log.progress(await run_of(log, row))
        assert (len(progress.running), progress.started) == (1, 3)
        clock.advance(3_600_000)
        assert await outcome(world, row) == ("SUCCEEDED", [1, 2, 3])


async def test_items_go_in_batches(log: EventLog, clock: VirtualClock) -> None:
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"by.$": "$.by"}}
    machine = mapping(PASS, ItemsPath="$.items", ItemBatcher=batcher)
    async with World(log, clock, {}, {"m": machine}) as world:
        row = await world.start("m", data={"by": "me", "items": [1, 2, 3]})

        assert await outcome(world, row) == (
            "SUCCEEDED",
            [
                {"BatchInput": {"by": "me"}, "Items": [1, 2]},
                {"BatchInput": {"by": "me"}, "Items": [3]},
            ],
        )
        progress = await log.progress(await run_of(log, row))
        assert progress.ended == {"SUCCEEDED": (2, 3)}


async def test_reads_items_from_an_object_and_writes_results_to_files(
    log: EventLog, clock: VirtualClock, tmp_path: Path
) -> None:
    buckets = tmp_path / "buckets"
    lines(buckets, {"id": 1}, {"id": 2, "bad": True}, {"id": 3})
    (buckets / "out").mkdir()
    machine = mapping(WORK, ItemReader=LINES, ResultWriter=TO_FILES, ToleratedFailurePercentage=40)
    async with World(log, clock, {"work": work}, {"m": machine}, buckets=buckets) as world:
        row = await world.start("m")

        status, output = await outcome(world, row)

        assert status == "SUCCEEDED"
        assert isinstance(output, dict)
        details: Any = output["ResultWriterDetails"]
        manifest = json.loads((buckets / "out" / details["Key"]).read_text())
        assert manifest["MapRunArn"] == output["MapRunArn"]
        files = manifest["ResultFiles"]
        succeeded = json.loads((buckets / "out" / files["SUCCEEDED"][0]["Key"]).read_text())
        failed = json.loads((buckets / "out" / files["FAILED"][0]["Key"]).read_text())
        assert [json.loads(each["Input"])["id"] for each in succeeded] == [1, 3]
        assert [each["Error"] for each in failed] == ["ValueError"]
        assert files["PENDING"] == []
        run = await log.map_run(str(output["MapRunArn"]))
        assert run is not None
        assert (run.status, run.items) == ("SUCCEEDED", 3)


async def test_what_never_began_is_pending_in_the_files(
    log: EventLog, clock: VirtualClock, tmp_path: Path
) -> None:
    buckets = tmp_path / "buckets"
    lines(buckets, {"bad": True}, {"id": 2}, {"id": 3})
    (buckets / "out").mkdir()
    machine = mapping(WORK, ItemReader=LINES, ResultWriter=TO_FILES, MaxConcurrency=1)
    async with World(log, clock, {"work": work}, {"m": machine}, buckets=buckets) as world:
        row = await world.start("m")

        assert (await outcome(world, row))[0] == "FAILED"

        (pending,) = (buckets / "out").rglob("PENDING_0.json")
        inputs = [json.loads(each["Input"]) for each in json.loads(pending.read_text())]
        assert inputs == [{"id": 2}, {"id": 3}]


async def test_an_object_that_is_not_there_fails_the_map_run_and_can_be_caught(
    log: EventLog, clock: VirtualClock, tmp_path: Path
) -> None:
    catch = [{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "Caught"}]
    machine = mapping(PASS, ItemReader=LINES, Catch=catch)
    machine["States"]["Caught"] = {"Type": "Succeed"}
    async with World(log, clock, {}, {"m": machine}, buckets=tmp_path) as world:
        row = await world.start("m")

        status, output = await outcome(world, row)

        assert status == "SUCCEEDED"
        assert isinstance(output, dict)
        assert output["Error"] == "States.ItemReaderFailed"
        (run,) = await log.map_runs(row.id)
        assert run.status == "FAILED"


async def test_a_retry_is_a_new_map_run_over_all_items(log: EventLog, clock: VirtualClock) -> None:
    calls = []

    async def flaky(event: Json, context: object) -> Json:
        calls.append(event)
        if len(calls) == 1:
            raise ValueError("once")
        return event

    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 10}]
    machine = mapping(WORK, Retry=retry, MaxConcurrency=1)
    async with World(log, clock, {"work": flaky}, {"m": machine}) as world:
        row = await world.start("m", data=[1, 2])
        await until(lambda: ended_runs(log, row, 1), world)
        clock.advance(10_000)

        assert await outcome(world, row) == ("SUCCEEDED", [1, 2])

        second, first = await log.map_runs(row.id)
        assert (first.status, second.status) == ("FAILED", "SUCCEEDED")
        assert first.arn != second.arn
        assert calls == [1, 1, 2]


async def test_standard_children_are_aborted_when_too_many_have_failed(
    log: EventLog, clock: VirtualClock
) -> None:
    machine = mapping(fails_or_waits(), ItemsPath="$.items")
    async with World(log, clock, {}, {"m": machine}) as world:
        row = await world.start("m", data={"items": ["wait", "fail"]})

        assert (await outcome(world, row))[0] == "FAILED"

        run = await run_of(log, row)
        (aborted,) = await log.executions(map_run=run, status="ABORTED")
        (map_run,) = await log.map_runs(row.id)
        last = (await world.events(aborted.id))[-1]
        assert last.details == {
            "cause": f"The map run execution [{map_run.arn}] which was managing this resource"
            " was aborted"
        }


async def test_express_children_run_to_their_end_before_the_map_run_fails(
    log: EventLog, clock: VirtualClock
) -> None:
    machine = mapping(fails_or_waits(), EXPRESS, ItemsPath="$.items")
    async with World(log, clock, {}, {"m": machine}) as world:
        row = await world.start("m", data={"items": ["wait", "fail"]})
        await until(lambda: asleep(world, row, 1), world)
        found = await log.execution_by_id(row.id)
        assert found is not None
        assert found.status == "RUNNING"

        clock.advance(3_600_000)

        assert (await outcome(world, row))[0] == "FAILED"
        progress = await log.progress(await run_of(log, row))
        assert set(progress.ended) == {"SUCCEEDED", "FAILED"}


def fails_or_waits() -> dict[str, Any]:
    rule = {"Variable": "$", "StringEquals": "fail", "Next": "F"}
    return {
        "StartAt": "C",
        "States": {
            "C": {"Type": "Choice", "Choices": [rule], "Default": "S"},
            "S": {"Type": "Wait", "Seconds": 3600, "End": True},
            "F": {"Type": "Fail", "Error": "E"},
        },
    }


async def test_children_are_aborted_with_their_parent(log: EventLog, clock: VirtualClock) -> None:
    machine = mapping(WAIT)
    async with World(log, clock, {}, {"m": machine}) as world:
        row = await world.start("m", data=[1, 2, 3])
        await until(lambda: asleep(world, row, 3), world)

        await world.engine.stop(row.arn, "E", "why")

        run = await run_of(log, row)
        await until(lambda: no_child_runs(log, run), world)
        progress = await log.progress(run)
        assert progress.ended == {"ABORTED": (3, 3)}
        (map_run,) = await log.map_runs(row.id)
        assert map_run.status == "ABORTED"


async def test_nested_map_runs(log: EventLog, clock: VirtualClock) -> None:
    inner = mapping(PASS, name="Inner", Label="Inner")
    machine = mapping(inner, Label="Outer")
    async with World(log, clock, {}, {"m": machine}) as world:
        row = await world.start("m", data=[[1, 2], [3]])

        assert await outcome(world, row) == ("SUCCEEDED", [[1, 2], [3]])


async def test_an_output_over_the_quota_is_not_put_together(
    log: EventLog, clock: VirtualClock
) -> None:
    quotas = Quotas(payload_bytes_max=100)
    machine = mapping(PASS, ItemSelector={"long": "x" * 40})
    async with World(log, clock, {}, {"m": machine}, quotas) as world:
        row = await world.start("m", data=[1, 2])

        assert await outcome(world, row) == (
            "FAILED",
            [
                "States.DataLimitExceeded",
                "The state/task 'M' returned a result with a size exceeding "
                "the maximum number of bytes service limit.",
            ],
        )


async def test_an_item_over_the_quota_fails_the_map_run(log: EventLog, clock: VirtualClock) -> None:
    quotas = Quotas(payload_bytes_max=60)
    machine = mapping(PASS, ItemSelector={"long": "x" * 60})
    async with World(log, clock, {}, {"m": machine}, quotas) as world:
        row = await world.start("m", data=[1])

        status, reason = await outcome(world, row)

        assert status == "FAILED"
        assert isinstance(reason, list)
        assert reason[0] == "States.DataLimitExceeded"


async def test_a_restart_goes_on_where_the_log_ends(
    log: EventLog, clock: VirtualClock, tmp_path: Path
) -> None:
    """A crash in the middle: no child is lost, none is started twice."""
    lines(tmp_path, *range(7))
    called: list[Json] = []
    gate = asyncio.Event()

    async def slow(event: Json, context: object) -> Json:
        called.append(event)
        if len(called) > 3:
            await gate.wait()
        return event

    machine = mapping(WORK, ItemReader=LINES, MaxConcurrency=2)
    async with World(log, clock, {"work": slow}, {"m": machine}, buckets=tmp_path) as world:
        row = await world.start("m")
        await until(lambda: len(called) >= 4, world)
        before = (await log.progress(await run_of(log, row))).started
        assert 4 <= before < 7

    gate.set()
    async with World(log, clock, {"work": slow}, {"m": machine}, buckets=tmp_path) as world:
        assert await outcome(world, row) == ("SUCCEEDED", [0, 1, 2, 3, 4, 5, 6])
        rows = await log.executions(map_run=await run_of(log, row))
        assert len(rows) == 7
        assert await world.proven(row) == 2


async def test_a_restart_stops_the_children_of_a_map_run_that_was_aborted(
    log: EventLog, clock: VirtualClock
) -> None:
    machine = mapping(WAIT)
    async with World(log, clock, {}, {"m": machine}) as world:
        row = await world.start("m", data=[1, 2])
        await until(lambda: asleep(world, row, 2), world)
        # The server dies right after the parent's end became durable.
        world.engine._map_runs.close()
        await world.engine.stop(row.arn, None, None)
    run = await run_of(log, row)
    assert len((await log.progress(run)).running) == 2

    async with World(log, clock, {}, {"m": machine}) as world:
        await until(lambda: no_child_runs(log, run), world)
        assert (await log.progress(run)).ended == {"ABORTED": (2, 2)}


async def test_a_log_that_refuses_for_a_while_costs_nothing_but_time(clock: VirtualClock) -> None:
    refusals = iter([None, *[LogUnavailable("disk full")] * 3, None, LogUnavailable("again")])

    def fail(transaction: Transaction) -> Exception | None:
        return next(refusals, None)

    log = MemoryEventLog(fail=fail)
    async with World(log, clock, {"work": work}, {"m": mapping(WORK)}) as world:
        row = await world.start("m", data=[1, 2])
        for _ in range(20):
            await settled()
            clock.advance(1_000)
        assert await outcome(world, row) == ("SUCCEEDED", [{"done": 1}, {"done": 2}])
        assert len(await log.executions(map_run=await run_of(log, row))) == 2


async def test_facts_about_a_map_run_that_is_over_change_nothing(
    log: EventLog, clock: VirtualClock
) -> None:
    async with World(log, clock, {}, {"m": mapping(PASS)}) as world:
        row = await world.start("m", data=[1])
        await outcome(world, row)
        assert not await world.engine.told(row.id, TaskSucceeded(task=4, output=Payload(b"1")))


async def asleep(world: World, row: ExecutionRow, children: int) -> bool:
    """Whether so many children run, and all of them wait on disk."""
    running = (await world.log.progress(await run_of(world.log, row))).running
    return len(running) == children and world.engine.in_memory == 1


async def ended_runs(log: EventLog, row: ExecutionRow, count: int) -> bool:
    return [run.status == "RUNNING" for run in await log.map_runs(row.id)] == [False] * count


async def no_child_runs(log: EventLog, run: tuple[int, int]) -> bool:
    return not (await log.progress(run)).running


async def until(condition: Any, world: World) -> None:
    """Let the world go on until the condition holds; the test's timeout bounds it."""
    while True:
        await settled()
        holds = condition()
        if await holds if asyncio.iscoroutine(holds) else holds:
            return
        if world.time.done():
            await world.time  # the engine is broken, and says why
        await asyncio.sleep(0.001)  # a log on disk answers from a thread
