"""A distributed Map: what its fields mean, and what is refused in them."""

import json
from typing import Any

import pytest

from eventmill.asl.parser import check, parse
from eventmill.asl.syntax import Distribution, Map
from eventmill.query.jsonata import Query
from eventmill.query.jsonpath import Path

READER = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "CSV"},
    "Parameters": {"Bucket": "b", "Key.$": "$.key"},
}
WRITER = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}}
PROCESSOR = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "P",
    "States": {"P": {"Type": "Pass", "End": True}},
}


def definition(top: dict[str, Any] | None = None, **fields: Any) -> str:
    state = {"Type": "Map", "ItemProcessor": PROCESSOR, "End": True, **fields}
    return json.dumps({"StartAt": "M", "States": {"M": state}, **(top or {})})


def distribution(text: str) -> Distribution:
    state = parse(text).machine.states["M"]
    assert isinstance(state, Map)
    assert state.distribution is not None
    return state.distribution


def mistakes(text: str) -> list[tuple[str, str | None, str]]:
    return [
        (each.code, each.location, each.message) for each in check(text) if each.severity == "ERROR"
    ]


def test_children_run_the_processor_without_its_configuration() -> None:
    found = distribution(definition(Label="Each"))

    assert json.loads(found.definition) == {
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": True}},
    }
    assert (found.execution_type, found.label) == ("STANDARD", "Each")


def test_children_inherit_the_query_language_of_the_machine() -> None:
    found = distribution(definition({"QueryLanguage": "JSONata"}))

    assert json.loads(found.definition)["QueryLanguage"] == "JSONata"


def test_reads_the_fields_of_an_item_reader() -> None:
    config = {
        "InputType": "CSV",
        "CSVDelimiter": "PIPE",
        "CSVHeaderLocation": "GIVEN",
        "CSVHeaders": ["a", "b"],
        "MaxItemsPath": "$.max",
    }

    reader = distribution(definition(ItemReader={**READER, "ReaderConfig": config})).reader

    assert reader is not None
    assert (reader.action, reader.input_type, reader.csv_delimiter) == ("getObject", "CSV", "|")
    assert reader.csv_headers == ("a", "b")
    assert isinstance(reader.items_max, Path)


def test_a_listing_needs_no_input_type_and_may_be_flattened() -> None:
    listing = {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "ReaderConfig": {"InputType": "JSONL", "Transformation": "LOAD_AND_FLATTEN"},
        "Parameters": {"Bucket": "b", "Prefix": "p/"},
    }

    reader = distribution(definition(ItemReader=listing)).reader

    assert reader is not None
    assert (reader.action, reader.flatten) == ("listObjectsV2", True)


def test_in_jsonata_numbers_are_expressions_in_their_own_fields() -> None:
    batcher = {"MaxItemsPerBatch": "{% $states.input.n %}", "BatchInput": {"x": "{% 1 %}"}}
    text = definition(
        {"QueryLanguage": "JSONata"},
        ItemBatcher=batcher,
        ToleratedFailurePercentage="{% 5 %}",
        MaxConcurrency="{% 3 %}",
    )

    found = distribution(text)

    assert found.batcher is not None
    assert isinstance(found.batcher.items_max, Query)
    assert isinstance(found.tolerated_percentage, Query)


def test_a_result_writer_without_a_resource_only_transforms() -> None:
    writer = {"WriterConfig": {"Transformation": "FLATTEN", "OutputType": "JSONL"}}

    found = distribution(definition(ResultWriter=writer)).writer

    assert found is not None
    assert found.arguments is None
    assert (found.transformation, found.output_type) == ("FLATTEN", "JSONL")


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"ItemReader": {**READER, "Resource": "arn:aws:states:::s3:copyObject"}},
         "/ItemReader/Resource",
         "The resource provided in the Map state is not recognized. The value is not a valid "
         "resource ARN, or the resource is not available in this region."),
        ({"ItemReader": {**READER, "Parameters": {"Key": "k"}}},
         "/ItemReader/Parameters", "The field 'Bucket' is required but was missing"),
        ({"ItemReader": {**READER, "ReaderConfig": {}}},
         "/ItemReader/ReaderConfig", "These fields are required: [InputType]"),
        ({"ItemReader": {**READER, "ReaderConfig": {"InputType": "XML"}}},
         "/ItemReader/ReaderConfig/InputType",
         "Value should be one of the following: [CSV, JSON, JSONL, PARQUET, MANIFEST]"),
        ({"ItemReader": {**READER, "ReaderConfig": {"InputType": "JSON", "MaxItems": 100_000_001}}},
         "/ItemReader/ReaderConfig/MaxItems", "Maximum value is 100000000"),
        ({"ItemReader": {**READER, "ReaderConfig": {
            "InputType": "JSON", "MaxItems": 1, "MaxItemsPath": "$.x"}}},
         "/ItemReader/ReaderConfig",
         "There should only be one of the following fields: [MaxItems, MaxItemsPath]"),
        ({"ItemReader": {**READER, "ReaderConfig": {
            "InputType": "CSV", "CSVHeaderLocation": "GIVEN"}}},
         "/ItemReader/ReaderConfig", "These fields are required: [CSVHeaders]"),
        ({"ItemReader": {"Resource": READER["Resource"], "ReaderConfig": {"InputType": "CSV"}}},
         "/ItemReader", "These fields are required: [Parameters]"),
        ({"ItemBatcher": {"BatchInput": {}}},
         "/ItemBatcher",
         "This object should have at least one of the following fields: [MaxItemsPerBatch, "
         "MaxInputBytesPerBatch, MaxItemsPerBatchPath, MaxInputBytesPerBatchPath]"),
        ({"ItemBatcher": {"MaxInputBytesPerBatch": 262_145}},
         "/ItemBatcher/MaxInputBytesPerBatch", "Maximum value is 262144"),
        ({"ResultWriter": {}}, "/ResultWriter", "These fields are required: [Resource]"),
        ({"ResultWriter": {**WRITER, "WriterConfig": {"OutputType": "CSV"}}},
         "/ResultWriter/WriterConfig/OutputType",
         "Value should be one of the following: [JSON, JSONL]"),
        ({"Label": "x" * 41}, "/Label", "String must be at most 40 characters"),
        ({"ToleratedFailureCountPath": "$.a", "ToleratedFailureCount": 1}, "",
         "There should only be one of the following fields: "
         "[ToleratedFailureCount, ToleratedFailureCountPath]"),
        ({"ItemProcessor": {**PROCESSOR, "ProcessorConfig": {"Mode": "DISTRIBUTED"}}},
         "/ItemProcessor/ProcessorConfig", "These fields are required: [ExecutionType]"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused(fields: dict[str, Any], place: str, message: str) -> None:
    expected = ("SCHEMA_VALIDATION_FAILED", f"/States/M{place}", message)

    assert mistakes(definition(**fields)) == [expected]


def test_labels_are_unique_in_a_definition() -> None:
    state = {"Type": "Map", "ItemProcessor": PROCESSOR, "Label": "same"}
    inner = json.loads(json.dumps(PROCESSOR).replace('"P"', '"Q"'))
    other = {**state, "ItemProcessor": inner, "End": True}
    text = json.dumps({"StartAt": "A", "States": {"A": {**state, "Next": "B"}, "B": other}})

    assert mistakes(text) == [
        ("DUPLICATE_LABEL_NAME", "/States/B/Label", "Duplicate Label name: same")
    ]


def test_express_children_wait_for_no_token() -> None:
    wait = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "f", "Payload": {"t.$": "$$.Task.Token"}},
        "End": True,
    }
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    processor = {"ProcessorConfig": config, "StartAt": "W", "States": {"W": wait}}

    ((_, location, _),) = mistakes(definition(ItemProcessor=processor))

    assert location == "/States/M/ItemProcessor/States/W/Resource"


@pytest.mark.parametrize("field", ["ItemReader", "ItemBatcher", "ResultWriter"])
def test_an_inline_map_with_a_field_of_the_other_mode_is_accepted_with_a_warning(
    field: str,
) -> None:
    inline = {**PROCESSOR, "ProcessorConfig": {"Mode": "INLINE"}}
    text = definition(ItemProcessor=inline, **{field: READER})

    (warning,) = check(text)

    assert (warning.severity, warning.location) == ("WARNING", f"/States/M/{field}")
    state = parse(text).machine.states["M"]
    assert isinstance(state, Map)
    assert state.is_misplaced
