"""A distributed Map in the machine alone: what it asks for, and what follows from each end."""

from typing import Any

import pytest

from eventmill.machine.commands import CancelMap, RunMap
from eventmill.machine.facts import MapRunFailed, MapRunSucceeded, StopExecution, TimeReached
from eventmill.machine.map_run import Item, Reading, Writing
from eventmill.machine.transition import outstanding
from eventmill.model import Json, Payload
from tests.unit.machine.worlds import World

PROCESSOR = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
    "StartAt": "P",
    "States": {"P": {"Type": "Pass", "End": True}},
}
READER = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSON", "MaxItemsPath": "$.max", "ItemsPointer": "/rows"},
    "Parameters": {"Bucket": "b", "Key.$": "$.key", "VersionId": "7"},
}


def mapping(**fields: Any) -> dict[str, Any]:
    return {
        "M": {"Type": "Map", "ItemProcessor": PROCESSOR, "Label": "Each", "End": True, **fields}
    }


def begun(world: World, data: Json) -> RunMap:
    (command,) = world.start(data).commands
    assert isinstance(command, RunMap)
    return command


def failure(world: World) -> dict[str, Any]:
    return {"type": world.events[-1].type, **(world.events[-1].details or {})}


def test_asks_for_a_map_run_and_ends_with_its_output() -> None:
    world = World(mapping(ItemsPath="$.rows", MaxConcurrency=5))
    command = begun(world, {"rows": ["a", "b"]})

    assert command.items == [Item(value="a"), Item(value="b")]
    assert (command.max_concurrency, command.is_express, command.state) == (5, True, "M")
    assert command.arn.startswith("arn:aws:states:local:000000000000:mapRun:machine/Each:")
    assert world.execution.waits_only() is False
    assert [each.map_run for each in outstanding(world.execution) if isinstance(each, RunMap)] == [
        4
    ]

    world.tell(MapRunSucceeded(map_run=4, output=Payload.of([1, 2])))

    assert world.execution.output == Payload.of([1, 2])
    assert outstanding(world.execution) == []


def test_a_reader_a_batcher_and_a_writer_are_worked_out_once() -> None:
    world = World(
        mapping(
            ItemReader=READER,
            ItemBatcher={"MaxItemsPerBatchPath": "$.max", "BatchInput": {"k.$": "$.key"}},
            ResultWriter={
                "Resource": "arn:aws:states:::s3:putObject",
                "Parameters": {"Bucket": "out", "Prefix.$": "$.key"},
                "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
            },
            ToleratedFailureCountPath="$.max",
            ToleratedFailurePercentage=5,
        )
    )
    command = begun(world, {"max": "3", "key": "k"})

    assert command.items is None
    assert command.reading == Reading(
        action="getObject",
        bucket="b",
        key="k",
        version="7",
        input_type="JSON",
        items_pointer="/rows",
        max_items=3,
    )
    assert command.batching is not None
    assert (command.batching.items_max, command.batching.bytes_max) == (3, None)
    assert command.batching.input == Payload.of({"k": "k"})
    assert command.writing == Writing(
        bucket="out", prefix="k", transformation="COMPACT", output_type="JSONL"
    )
    assert (command.tolerated_count, command.tolerated_percentage) == (3, 5)
    assert world.events[2].details == {"length": 0}


def test_an_item_selector_sees_the_item_the_parent_and_its_own_random_numbers() -> None:
    selector = {
        "i.$": "$$.Map.Item.Index",
        "v.$": "$$.Map.Item.Value",
        "s.$": "$$.Map.Item.Source",
        "run.$": "$$.Execution.Name",
        "all.$": "$.all",
        "id.$": "States.UUID()",
    }
    world = World(mapping(ItemsPath="$.rows", ItemSelector=selector))
    command = begun(world, {"rows": [7], "all": True})

    first = command.item_input(0, Item(value=7)).value
    other = command.item_input(1, Item(value=8, source="s3://b/k")).value

    assert isinstance(first, dict)
    assert isinstance(other, dict)
    assert first.pop("id") != other.pop("id")
    assert first == {"i": 0, "v": 7, "s": "STATE_DATA", "run": "run", "all": True}
    assert (other["i"], other["s"]) == (1, "s3://b/k")


def test_what_is_asked_after_a_restart_is_what_was_asked_before() -> None:
    states = mapping(ItemsPath="$.rows", ItemSelector={"id.$": "States.UUID()"})
    world = World(states)
    command = begun(world, {"rows": [1, 2]})

    (again,) = outstanding(world.folded())

    assert isinstance(again, RunMap)
    assert (again.arn, again.items) == (command.arn, command.items)
    one = Item(value=1)
    assert again.item_input(0, one) == command.item_input(0, one)


def test_the_members_of_an_object_are_items_in_jsonata() -> None:
    states = mapping(Items="{% $states.input.rows %}", QueryLanguage="JSONata")
    command = begun(World(states), {"rows": {"a": 1, "b": 2}})

    assert command.items == [Item(value=1, key="a"), Item(value=2, key="b")]
    assert command.item_input(0, command.items[0]).value == {"Key": "a", "Value": 1}


def test_a_map_run_that_failed_is_retried_as_a_new_one() -> None:
    retry = [{"ErrorEquals": ["E"], "IntervalSeconds": 10, "MaxAttempts": 1}]
    world = World(mapping(ItemsPath="$.rows", Retry=retry))
    command = begun(world, {"rows": [1]})

    world.tell(MapRunFailed(map_run=4, error="E", cause=None))
    (second,) = world.tell(TimeReached(), after_ms=10_000).commands

    assert isinstance(second, RunMap)
    assert second.arn != command.arn
    world.tell(MapRunFailed(map_run=second.map_run, error="E", cause="again"))
    assert [(e.type, e.previous_id) for e in world.events[-3:]] == [
        ("MapRunFailed", second.map_run),
        ("MapStateFailed", second.map_run + 1),
        ("ExecutionFailed", second.map_run + 2),
    ]


def test_stopping_the_execution_aborts_its_map_run() -> None:
    world = World(mapping(ItemsPath="$.rows"))
    command = begun(world, {"rows": [1]})

    assert world.tell(StopExecution()).commands == (CancelMap(map_run=command.map_run),)
    assert world.tell(MapRunSucceeded(map_run=4, output=Payload.of([]))).events == ()


def test_a_failure_beside_it_aborts_a_map_run() -> None:
    branch = {"StartAt": "M", "States": mapping(ItemsPath="$.rows")}
    late = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 5, "Next": "F"},
                                       "F": {"Type": "Fail", "Error": "E"}}}  # fmt: skip
    world = World({"Both": {"Type": "Parallel", "Branches": [branch, late], "End": True}})
    world.start({"rows": [1]})

    step = world.tell(TimeReached(), after_ms=5_000)

    assert [type(command) for command in step.commands] == [CancelMap]
    assert "MapStateAborted" in [event.type for event in step.events]


@pytest.mark.parametrize(
    ("fields", "data", "cause"),
    [
        ({"ToleratedFailureCountPath": "$.n"}, {"n": "x"},
         'The ToleratedFailureCountPath field refers to value "x" which is not a valid integer: '
         "$.n"),
        ({"ToleratedFailurePercentagePath": "$.n"}, {"n": 101},
         "ToleratedFailurePercentage must be between 0 and 100."),
        ({"MaxConcurrencyPath": "$.n"}, {"n": -1},
         "Expected non-negative integer for MaxConcurrency, got -1 instead."),
    ],
)  # fmt: skip
def test_a_limit_that_is_none_ends_the_execution(
    fields: dict[str, Any], data: dict[str, Json], cause: str
) -> None:
    world = World(mapping(ItemsPath="$.rows", **fields))
    world.start({"rows": [], **data})

    assert failure(world) == {
        "type": "ExecutionFailed",
        "error": "States.Runtime",
        "cause": "An error occurred while executing the state 'M' (entered at the event id #2). "
        + cause,
    }


def test_a_bucket_that_is_no_text_is_the_reader_s_failure() -> None:
    world = World(mapping(ItemReader={**READER, "Parameters": {"Bucket.$": "$.n", "Key": "k"}}))
    world.start({"n": 5, "max": 1})

    assert failure(world)["error"] == "States.ItemReaderFailed"


def test_an_inline_map_with_a_reader_fails_when_it_is_entered() -> None:
    inline = {**PROCESSOR, "ProcessorConfig": {"Mode": "INLINE"}}
    world = World(
        {"M": {"Type": "Map", "ItemProcessor": inline, "ItemReader": READER, "End": True}}
    )
    world.start([])

    assert failure(world)["cause"].endswith(
        "The ItemReader, ItemBatcher and ResultWriter fields are not supported for INLINE maps"
    )
