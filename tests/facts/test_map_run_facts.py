"""Facts measured on the service about Distributed Maps, their Map Runs and their children."""

import json
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from eventmill.api.operations.map_runs import describe_map_run
from eventmill.codec import aws_event
from eventmill.log.memory import MemoryEventLog
from eventmill.model import Json
from eventmill.rows import ExecutionRow
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World

FUNCTION = "arn:aws:lambda:local:000000000000:function:work"
PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
WORK = {"StartAt": "W", "States": {"W": {"Type": "Task", "Resource": FUNCTION, "End": True}}}
TO_FILES = {
    "Resource": "arn:aws:states:::s3:putObject",
    "Parameters": {"Bucket": "out", "Prefix": "results"},
}


def distributed(processor: dict[str, Any] = PASS, **fields: Any) -> dict[str, Any]:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    state = {"Type": "Map", "ItemProcessor": {**processor, "ProcessorConfig": config}, **fields}
    return state if "Next" in fields else {**state, "End": True}


def machine(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"StartAt": "M", "States": {"M": state}, **fields}


def reader(action: str = "getObject", **more: Any) -> dict[str, Any]:
    return {"Resource": f"arn:aws:states:::s3:{action}", **more}


async def work(event: Any, context: object) -> Json:
    items = event["Items"] if isinstance(event, dict) else [event]
    if "bad" in items:
        raise ValueError("a bad item")
    answer: Json = event
    return answer


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


@pytest.fixture
def play(log: MemoryEventLog, tmp_path: Path) -> Any:
    """Run a machine to its end: its row, and its output or its error and cause."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for path, text in (("in/a.jsonl", '{"n": 1}\n{"n": 2}\n'), ("in/o.json", '{"k": 1, "l": 2}')):
        (tmp_path / path).write_text(text)

    numbers = count()

    async def played(definition: dict[str, Any], data: Json = None) -> "Played":
        async with World(
            log, VirtualClock(), {"work": work}, {"m": definition}, buckets=tmp_path
        ) as world:
            row = await world.start("m", name=f"run{next(numbers)}", data=data)
            ended = await world.engine.ended(row.id)
            children: list[ExecutionRow] = []
            for run in await log.map_runs(row.id):
                children += await log.executions(map_run=(run.execution, run.map_run))
            events = [*await world.events(row.id)]
            inputs = [(await world.events(child.id))[0].payload("input").text for child in children]
            return Played(ended, events, children[::-1], inputs[::-1], tmp_path)

    return played


class Played:
    """What there is to see of an execution that has ended; its children, the oldest first."""

    def __init__(
        self,
        row: ExecutionRow,
        events: list[Any],
        children: list[ExecutionRow],
        inputs: list[bytes],
        buckets: Path,
    ) -> None:
        self.row, self.events = row, events
        self.children, self.inputs, self.buckets = children, inputs, buckets

    @property
    def output(self) -> Any:
        return self.events[-1].payload("output").value

    def chain(self) -> list[tuple[str, int]]:
        return [(event.type, event.previous_id) for event in self.events[1:]]

    def details(self, type: str) -> Any:
        (event,) = [event for event in self.events if event.type == type]
        return aws_event(event).get(f"{type[0].lower()}{type[1:]}EventDetails")


async def test_the_events_of_a_parent_when_all_goes_well(play: Any) -> None:
    played = await play(machine(distributed()), [1, 2])
    assert played.chain() == [
        ("MapStateEntered", 0), ("MapStateStarted", 2), ("MapRunStarted", 3),
        ("MapRunSucceeded", 4), ("MapStateSucceeded", 5), ("MapStateExited", 4),
        ("ExecutionSucceeded", 7),
    ]  # fmt: skip
    assert played.details("MapStateStarted") == {"length": 2}
    assert list(played.details("MapRunStarted")) == ["mapRunArn"]
    assert played.details("MapRunSucceeded") is None
    assert played.details("MapStateSucceeded") is None


async def test_the_events_of_a_parent_when_too_many_items_fail(play: Any) -> None:
    played = await play(machine(distributed(WORK)), ["bad"])
    assert played.chain()[2:] == [
        ("MapRunStarted", 3), ("MapRunFailed", 4), ("MapStateFailed", 5), ("ExecutionFailed", 6)
    ]  # fmt: skip
    told = {
        "error": "States.ExceedToleratedFailureThreshold",
        "cause": "The specified tolerated failure threshold was exceeded",
    }
    assert played.details("MapRunFailed") == told
    assert played.details("ExecutionFailed") == told
    assert played.details("MapStateFailed") is None


async def test_with_a_reader_the_length_is_0(play: Any) -> None:
    jsonl = reader(ReaderConfig={"InputType": "JSONL"}, Parameters={"Bucket": "in",
                                                                    "Key": "a.jsonl"})  # fmt: skip
    played = await play(machine(distributed(ItemReader=jsonl)))
    assert played.details("MapStateStarted") == {"length": 0}
    assert played.output == [{"n": 1}, {"n": 2}]


async def test_a_tolerated_failure_has_its_place_in_the_result(play: Any) -> None:
    played = await play(machine(distributed(WORK, ToleratedFailureCount=1)), ["a", "bad", "c"])
    failed = played.output[1]
    assert (played.output[0], played.output[2]) == ("a", "c")
    assert list(failed) == ["Status", "Error", "Cause"]
    assert (failed["Status"], failed["Error"]) == ("FAILED", "ValueError")


@pytest.mark.parametrize(("tolerance", "status"), [(1, "FAILED"), (2, "SUCCEEDED")])
async def test_a_failed_batch_counts_all_its_items_and_takes_one_place(
    play: Any, tolerance: int, status: str
) -> None:
    state = distributed(WORK, ItemBatcher={"MaxItemsPerBatch": 2}, ToleratedFailureCount=tolerance)
    played = await play(machine(state), ["a", "bad", "c"])
    assert played.row.status == status
    if status == "SUCCEEDED":
        assert [list(each) for each in played.output] == [["Status", "Error", "Cause"], ["Items"]]


async def test_a_tolerance_of_0_counts_as_not_set(play: Any) -> None:
    tolerance = {"ToleratedFailureCount": 0, "ToleratedFailurePercentage": 50}
    played = await play(machine(distributed(WORK, **tolerance)), ["a", "bad"])
    assert played.row.status == "SUCCEEDED"


async def test_names_are_uuids_of_version_3_and_a_map_run_is_one_of_version_4(play: Any) -> None:
    played = await play(machine(distributed()), [1, 2])
    arn = played.details("MapRunStarted")["mapRunArn"]
    label, id = arn.rpartition("mapRun:m/")[2].split(":")
    first, second = played.children
    assert (UUID(label).version, UUID(id).version) == (3, 4)
    assert [UUID(each.name).version for each in (first, second)] == [3, 3]
    assert first.name != second.name
    assert first.arn.endswith(f":execution:m/{label}:{first.name}")
    assert first.state_machine_arn.endswith(f":stateMachine:m/{label}")


async def test_a_label_that_is_left_out_is_one_of_the_state_and_not_of_the_run(play: Any) -> None:
    states = {"M": distributed(Next="N"), "N": distributed(
        {"StartAt": "Q", "States": {"Q": {"Type": "Pass", "End": True}}})}  # fmt: skip
    definition = {"StartAt": "M", "States": states}

    async def labels() -> list[str]:
        played = await play(definition, [1])
        return sorted({child.state_machine_arn for child in played.children})

    first, second = await labels()
    assert first != second
    assert await labels() == [first, second]


async def test_an_item_of_an_object_has_key_and_value(play: Any) -> None:
    state = distributed(Items="{% {'a': 1, 'b': null} %}")
    played = await play(machine(state, QueryLanguage="JSONata"))
    assert played.inputs == [b'{"Key":"a","Value":1}', b'{"Key":"b","Value":null}']


async def test_an_object_that_is_read_gives_its_entries(play: Any) -> None:
    json_object = reader(ReaderConfig={"InputType": "JSON"},
                         Parameters={"Bucket": "in", "Key": "o.json"})  # fmt: skip
    played = await play(machine(distributed(ItemReader=json_object)))
    assert played.inputs == [b'{"Key":"k","Value":1}', b'{"Key":"l","Value":2}']


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, "STATE_DATA"),
        (
            {"ItemReader": reader(ReaderConfig={"InputType": "JSONL"},
                                  Parameters={"Bucket": "in", "Key": "a.jsonl"})},
            "s3://in/a.jsonl",
        ),
        ({"ItemReader": reader("listObjectsV2", Parameters={"Bucket": "in", "Prefix": ""})},
         "s3://in"),
        (
            {"ItemReader": reader("listObjectsV2", Parameters={"Bucket": "in", "Prefix": "a"},
                                  ReaderConfig={"InputType": "JSONL",
                                                "Transformation": "LOAD_AND_FLATTEN"})},
            "s3://in/a.jsonl",
        ),
    ],
)  # fmt: skip
async def test_an_item_tells_where_it_comes_from(
    play: Any, fields: dict[str, Any], source: str
) -> None:
    selector = {"from.$": "$$.Map.Item.Source", "at.$": "$$.Map.Item.Index",
                "parent.$": "$$.Execution.Id"}  # fmt: skip
    played = await play(machine(distributed(ItemSelector=selector, **fields)), [5, 6])
    assert [(each["from"], each["at"]) for each in played.output] == [(source, 0), (source, 1)]
    assert {each["parent"] for each in played.output} == {played.row.arn}


async def test_batches_hold_items_and_their_index_runs_on(play: Any) -> None:
    state = distributed(
        ItemBatcher={"MaxItemsPerBatch": 2}, ItemSelector={"i.$": "$$.Map.Item.Index"}
    )
    played = await play(machine(state), ["a", "b", "c"])
    assert played.inputs == [b'{"Items":[{"i":0},{"i":1}]}', b'{"Items":[{"i":2}]}']
    played = await play(machine(distributed(ItemBatcher={"MaxItemsPerBatch": 2})), [10, 20, 30])
    assert played.inputs == [b'{"Items":[10,20]}', b'{"Items":[30]}']


async def test_the_number_of_items_is_cut_before_they_are_batched(play: Any) -> None:
    config = {"InputType": "JSONL", "MaxItems": 1}
    jsonl = reader(ReaderConfig=config, Parameters={"Bucket": "in", "Key": "a.jsonl"})
    state = distributed(ItemReader=jsonl, ItemBatcher={"MaxItemsPerBatch": 2})
    played = await play(machine(state))
    assert played.output == [{"Items": [{"n": 1}]}]


async def test_a_scalar_item_is_the_whole_input_of_its_child(play: Any) -> None:
    played = await play(machine(distributed()), [10, "a", None])
    assert played.inputs == [b"10", b'"a"', b"null"]


async def test_a_child_has_an_ordinary_history(play: Any, log: MemoryEventLog) -> None:
    async with World(log, VirtualClock(), {}, {"m": machine(distributed())}) as world:
        row = await world.start("m", data=[1])
        await world.engine.ended(row.id)
        (run,) = await log.map_runs(row.id)
        (child,) = await log.executions(map_run=(run.execution, run.map_run))
        events = [(event.id, event.type, event.previous_id) for event in
                  await world.events(child.id)]  # fmt: skip
    assert events == [
        (1, "ExecutionStarted", 0), (2, "PassStateEntered", 0), (3, "PassStateExited", 2),
        (4, "ExecutionSucceeded", 3),
    ]  # fmt: skip


async def test_a_child_has_a_context_object_without_a_map(play: Any) -> None:
    shows = {"P": {"Type": "Pass", "Parameters": {"c.$": "$$"}, "End": True}}
    played = await play(machine(distributed({"StartAt": "P", "States": shows}, Label="L")), [1])
    context = played.output[0]["c"]
    assert {key: list(value) for key, value in context.items()} == {
        "Execution": ["Id", "Input", "StartTime", "Name", "RoleArn", "RedriveCount"],
        "StateMachine": ["Id", "Name"],
        "State": ["Name", "EnteredTime"],
    }
    assert context["StateMachine"]["Id"].endswith(":stateMachine:m/L")
    assert context["StateMachine"]["Name"] == "m"


async def test_what_a_result_writer_leaves(play: Any) -> None:
    played = await play(machine(distributed(ResultWriter=TO_FILES)), [1, 2])
    details = played.output["ResultWriterDetails"]
    run = played.output["MapRunArn"].rpartition(":")[2]
    assert list(played.output) == ["MapRunArn", "ResultWriterDetails"]
    assert details == {"Bucket": "out", "Key": f"results/{run}/manifest.json"}
    manifest = json.loads((played.buckets / "out" / details["Key"]).read_text())
    assert list(manifest) == ["DestinationBucket", "MapRunArn", "ResultFiles"]
    assert list(manifest["ResultFiles"]) == ["FAILED", "PENDING", "SUCCEEDED"]
    assert sorted(path.name for path in (played.buckets / "out" / "results" / run).iterdir()) == [
        "SUCCEEDED_0.json", "manifest.json"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "parameters", [{"Bucket": "none", "Key": "a.jsonl"}, {"Bucket": "in", "Key": "none"}]
)
async def test_what_cannot_be_read_fails_the_reader(play: Any, parameters: dict[str, Any]) -> None:
    jsonl = reader(ReaderConfig={"InputType": "JSONL"}, Parameters=parameters)
    played = await play(machine(distributed(ItemReader=jsonl)))
    assert played.details("ExecutionFailed")["error"] == "States.ItemReaderFailed"
    assert [type for type, _ in played.chain()][2:] == [
        "MapRunStarted", "MapRunFailed", "MapStateFailed", "ExecutionFailed"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "cause"),
    [
        ("/none", "The provided ReaderConfig.ItemsPointer does not match any valid path in the "
         "JSON structure."),
        ("/k", "Attempting to map over non-iterable node."),
    ],
)  # fmt: skip
async def test_a_pointer_that_leads_to_no_items(play: Any, pointer: str, cause: str) -> None:
    config = {"InputType": "JSON", "ItemsPointer": pointer}
    json_object = reader(ReaderConfig=config, Parameters={"Bucket": "in", "Key": "o.json"})
    played = await play(machine(distributed(ItemReader=json_object)))
    assert played.details("ExecutionFailed") == {
        "error": "States.ItemReaderFailed", "cause": cause
    }  # fmt: skip


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="doubles are not written as Java writes them"
)
async def test_the_time_of_a_listed_object_is_written_with_an_exponent(play: Any) -> None:
    listing = reader("listObjectsV2", Parameters={"Bucket": "in", "Prefix": "a"})
    played = await play(machine(distributed(ItemReader=listing)))
    assert b'"LastModified":1.' in played.inputs[0]
    assert b'E9,"Size"' in played.inputs[0]


async def test_no_limit_of_concurrency_is_told_as_a_number(log: MemoryEventLog) -> None:
    async with World(log, VirtualClock(), {}, {"m": machine(distributed())}) as world:
        row = await world.start("m", data=[1])
        await world.engine.ended(row.id)
        (run,) = await log.map_runs(row.id)
        system: Any = world  # of a whole system it needs the log only
        told = await describe_map_run(system, {"mapRunArn": run.arn})
    assert told["maxConcurrency"] == 2147483647
