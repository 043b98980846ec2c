"""A Map under test: where its items are on their way, and how many iterations may fail."""

import json
from typing import Any

import pytest

from tests.unit.inspection.trials import MOCKED_ERROR, machine, mocked, refused, tried

INNER = machine(Child={"Type": "Pass", "End": True})
MAP: dict[str, Any] = {
    "Type": "Map",
    "ItemsPath": "$.items",
    "ItemSelector": {"v.$": "$$.Map.Item.Value"},
    "ItemProcessor": INNER,
    "End": True,
}
DISTRIBUTED: dict[str, Any] = {
    **MAP,
    "ItemProcessor": {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        **INNER,
    },
}
READER: dict[str, Any] = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSON"},
    "Parameters": {"Bucket": "b", "Key.$": "$.key"},
}
ITEMS = {"items": [{"a": 1}, "x", 3]}
EXCEEDED = "States.ExceedToleratedFailureThreshold"


async def stages(state: dict[str, Any], **members: Any) -> dict[str, Any]:
    data = dict((await tried(state, **members))["inspectionData"])
    del data["input"], data["afterInputPath"]
    return data


async def test_items_are_shown_on_their_way_as_java_lists() -> None:
    data = await stages(MAP, input=ITEMS, mock=mocked([1, 2, 3]))

    assert data == {
        "afterItemsPath": '[{"a":1}, "x", 3]',
        "afterItemSelector": '[{"v":{"a":1}}, {"v":"x"}, {"v":3}]',
        "maxConcurrency": 0,
        "afterResultSelector": "[1,2,3]",
        "afterResultPath": "[1,2,3]",
    }


async def test_stages_that_a_map_does_not_have_are_left_out() -> None:
    state = {**MAP, "MaxConcurrency": 4, "ResultSelector": {"all.$": "$"}}
    del state["ItemSelector"]
    data = await stages(state, input=ITEMS, mock=mocked([1, 2, 3]))

    assert "afterItemSelector" not in data
    assert (data["maxConcurrency"], data["afterResultSelector"]) == (4, '{"all":[1,2,3]}')


async def test_jsonata_shows_no_items() -> None:
    state = {
        "Type": "Map",
        "QueryLanguage": "JSONata",
        "Items": "{% $states.input.items %}",
        "ItemProcessor": INNER,
        "End": True,
    }
    answer = await tried(state, input=ITEMS, mock=mocked([1, 2, 3]))

    assert answer["inspectionData"] == {
        "input": json.dumps(ITEMS, separators=(",", ":")),
        "maxConcurrency": 0,
    }


async def test_items_that_are_not_there_fail_the_map() -> None:
    answer = await tried(MAP, mock=mocked([]))

    assert (answer["status"], answer["error"]) == ("FAILED", "States.ReferencePathConflict")


@pytest.mark.parametrize("state", [MAP, DISTRIBUTED])
async def test_a_result_has_one_element_for_each_iteration(state: dict[str, Any]) -> None:
    assert await refused(state, input=ITEMS, mock=mocked([1, 2])) == (
        "ValidationException",
        "Input array does not equal the mocked result array's size",
    )


async def test_a_result_that_is_written_is_an_object() -> None:
    writer = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": "b", "Prefix": "p"},
    }
    state = {**DISTRIBUTED, "ResultWriter": writer}

    assert (await refused(state, input=ITEMS, mock=mocked([])))[1] == (
        "Mocked result must be a JSON object."
    )
    assert (await tried(state, input=ITEMS, mock=mocked({"MapRunArn": "a"})))["output"] == (
        '{"MapRunArn":"a"}'
    )


async def test_batches_hold_their_items_as_texts() -> None:
    state = {**DISTRIBUTED, "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"b": 1}}}
    data = await stages(state, input=ITEMS, mock=mocked([1, 2]))

    assert data["afterItemBatcher"] == (
        r'[{"BatchInput":{"b":1},"Items":["{\"v\":{\"a\":1}}","{\"v\":\"x\"}"]}, '
        r'{"BatchInput":{"b":1},"Items":["{\"v\":3}"]}]'
    )


async def test_batches_may_be_limited_by_bytes() -> None:
    state = {**DISTRIBUTED, "ItemBatcher": {"MaxInputBytesPerBatch": 31}}
    data = await stages(state, input=ITEMS, mock=mocked([1, 2]))

    assert [len(each["Items"]) for each in json.loads(data["afterItemBatcher"])] == [1, 2]


@pytest.mark.parametrize(
    ("tolerance", "failed", "status"),
    [
        ({}, 3, "SUCCEEDED"),
        ({"ToleratedFailureCount": 2}, 2, "SUCCEEDED"),
        ({"ToleratedFailureCount": 2}, 3, "FAILED"),
        ({"ToleratedFailureCount": 0}, 1, "FAILED"),
        ({"ToleratedFailurePercentage": 67}, 2, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 100}, 3, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 66}, 2, "FAILED"),
        ({"ToleratedFailureCountPath": "$.items[2]"}, 3, "SUCCEEDED"),
    ],
)
async def test_more_failures_than_tolerated_fail_the_map(
    tolerance: dict[str, Any], failed: int, status: str
) -> None:
    answer = await tried(
        {**DISTRIBUTED, **tolerance},
        input=ITEMS,
        mock=mocked([1, 2, 3]),
        stateConfiguration={"mapIterationFailureCount": failed},
    )

    assert answer["status"] == status
    assert answer.get("error") == (EXCEEDED if status == "FAILED" else None)


async def test_the_threshold_can_be_caught_and_is_shown() -> None:
    catcher = {"ErrorEquals": [EXCEEDED], "ResultPath": None, "Next": "Z"}
    tolerance = {"ToleratedFailurePercentage": 10, "ToleratedFailureCount": 1}
    answer = await tried(
        {**DISTRIBUTED, **tolerance, "Catch": [catcher]},
        input=ITEMS,
        mock=mocked([1, 2]),
        stateConfiguration={"mapIterationFailureCount": 2},
    )

    data = answer["inspectionData"]
    assert (answer["status"], answer["nextState"]) == ("CAUGHT_ERROR", "Z")
    assert (data["toleratedFailureCount"], data["toleratedFailurePercentage"]) == (1, 10)
    assert data["errorDetails"] == {"catchIndex": 0}


async def test_no_more_iterations_fail_than_there_are() -> None:
    configuration = {"mapIterationFailureCount": 4}
    assert await refused(
        MAP, input=ITEMS, mock=mocked([1, 2, 3]), stateConfiguration=configuration
    ) == (
        "ValidationException",
        "Map iteration failure count must be less than or equal to the number of Map iterations",
    )


async def test_a_mocked_error_fails_the_map_after_its_items_are_known() -> None:
    data = await stages(MAP, input=ITEMS, mock=MOCKED_ERROR)

    assert set(data) == {"afterItemsPath", "afterItemSelector", "maxConcurrency"}


def read_map(**reader: Any) -> dict[str, Any]:
    state = {**DISTRIBUTED, "ItemReader": {**READER, "ReaderConfig": reader}}
    del state["ItemsPath"]
    return {**state, "ItemSelector": {"i.$": "$$.Map.Item"}}


async def selected(state: dict[str, Any], text: str, count: int) -> list[Any]:
    configuration = {"mapItemReaderData": text}
    mock = mocked([0] * count)
    data = await stages(state, input={"key": "k"}, mock=mock, stateConfiguration=configuration)
    return [each["i"] for each in json.loads(data["afterItemSelector"])]


async def test_a_reader_wants_its_data() -> None:
    assert await refused(read_map(InputType="JSON"), input={"key": "k"}, mock=mocked([])) == (
        "ValidationException",
        "ItemReader data must be specified when testing a Map state with ItemReader specified.",
    )


@pytest.mark.parametrize(
    ("reader", "text", "values"),
    [
        ({"InputType": "JSON"}, "[1, 2]", [1, 2]),
        ({"InputType": "JSON", "MaxItems": 1}, "[1, 2]", [1]),
        ({"InputType": "JSON", "ItemsPointer": "/a/b~1c"}, '{"a":{"b/c":[7]}}', [7]),
        ({"InputType": "JSONL"}, '{"a":1}\n\n2\n', [{"a": 1}, 2]),
        (
            {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            'a,b\n1,"x,y"\n',
            [{"a": "1", "b": "x,y"}],
        ),
        (
            {
                "InputType": "CSV",
                "CSVHeaderLocation": "GIVEN",
                "CSVHeaders": ["a"],
                "CSVDelimiter": "PIPE",
            },
            "1|2\n",
            [{"a": "1"}],
        ),
    ],
)
async def test_the_data_of_a_reader_is_read_as_its_type(
    reader: dict[str, Any], text: str, values: list[Any]
) -> None:
    items = await selected(read_map(**reader), text, len(values))

    assert [each["Value"] for each in items] == values
    assert {each["Source"] for each in items} == {"s3://b/k"}


async def test_only_a_pointer_shows_what_was_read() -> None:
    configuration = {"mapItemReaderData": '{"a":[1, 2]}'}
    state = read_map(InputType="JSON", ItemsPointer="/a")
    mock = mocked([0, 0])
    data = await stages(state, input={"key": "k"}, mock=mock, stateConfiguration=configuration)

    assert data["afterItemsPointer"] == "[1,2]"
    assert "afterItemsPath" not in data


@pytest.mark.parametrize("text", ["{", "{}", '{"a": 1}', '{"b": []}'])
async def test_data_that_a_reader_could_not_read_is_refused(text: str) -> None:
    state = read_map(InputType="JSON", ItemsPointer="/a")
    configuration = {"mapItemReaderData": text}
    code, message = await refused(
        state, input={"key": "k"}, mock=mocked([]), stateConfiguration=configuration
    )

    assert code == "ValidationException"
    assert "mapItemReaderData" in message
