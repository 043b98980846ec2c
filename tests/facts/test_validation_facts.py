"""Facts measured on the service about what it accepts as a definition, and how it refuses."""

import json
from typing import Any

import pytest

from eventmill.asl.parser import check, parse
from eventmill.errors import InvalidDefinition

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
PASS: dict[str, Any] = {"Type": "Pass", "End": True}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
CALL: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}
INNER: dict[str, Any] = {"StartAt": "P", "States": {"P": PASS}}
MAP: dict[str, Any] = {"Type": "Map", "ItemProcessor": INNER, "End": True}
DISTRIBUTED: dict[str, Any] = {
    **MAP,
    "ItemProcessor": {**INNER, "ProcessorConfig": {"Mode": "DISTRIBUTED",
                                                   "ExecutionType": "STANDARD"}},
}  # fmt: skip
PARALLEL: dict[str, Any] = {"Type": "Parallel", "Branches": [INNER], "End": True}
CHOICE: dict[str, Any] = {
    "Type": "Choice",
    "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "Z"}],
}
KINDS: dict[str, dict[str, Any]] = {
    "Pass": PASS,
    "Wait": {"Type": "Wait", "Seconds": 1, "End": True},
    "Succeed": {"Type": "Succeed"},
    "Fail": {"Type": "Fail"},
    "Choice": CHOICE,
    "Map": MAP,
    "Parallel": PARALLEL,
    "Task": CALL,
}


def told(states: dict[str, Any], **fields: Any) -> list[tuple[str, str | None, str]]:
    """Code, location and message of all that is wrong, warnings included."""
    text = json.dumps({"StartAt": next(iter(states)), "States": states, **fields})
    return [(each.code, each.location, each.message) for each in check(text)]


def alone(state: dict[str, Any], **fields: Any) -> list[tuple[str, str | None, str]]:
    """The same of one state, with another to go to where it needs one."""
    beside = {"Z": {"Type": "Succeed"}} if '"Z"' in json.dumps(state) else {}
    return told({"S": state, **beside}, **fields)


def test_the_message_of_the_refusal_joins_everything() -> None:
    text = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "NOPE"}}})
    with pytest.raises(InvalidDefinition) as caught:
        parse(text)
    assert str(caught.value) == (
        "Invalid State Machine Definition: 'MISSING_TRANSITION_TARGET: Missing 'Next' target: NOPE"
        " at /States/A/Next, MISSING_END_STATE: Workflow has no terminal state at null'"
    )


def test_a_loop_without_an_end_passes_in_a_branch() -> None:
    states: dict[str, Any] = {"L": {"Type": "Pass", "Next": "L"}}
    loop = {"StartAt": "L", "States": states}
    assert alone({**PARALLEL, "Branches": [loop]}) == []
    assert told(states)[0] == (
        "MISSING_END_STATE", None, "Workflow has no terminal state"
    )  # fmt: skip


@pytest.mark.parametrize("field", ["Retry", "Catch"])
@pytest.mark.parametrize("kind", ["Pass", "Wait", "Succeed", "Fail", "Choice"])
def test_only_task_parallel_and_map_retry_and_catch(kind: str, field: str) -> None:
    assert alone({**KINDS[kind], field: []}) == [
        (SCHEMA, "/States/S", f"Field '{field}' is not supported")
    ]


@pytest.mark.parametrize("kind", ["Pass", "Wait", "Succeed", "Fail", "Choice", "Map", "Parallel"])
def test_only_a_task_has_a_timeout(kind: str) -> None:
    assert alone({**KINDS[kind], "TimeoutSeconds": 5}) == [
        (SCHEMA, "/States/S", "Field 'TimeoutSeconds' is not supported")
    ]


@pytest.mark.parametrize("processor", ["ItemProcessor", "Iterator"])
def test_a_processor_has_no_query_language(processor: str) -> None:
    state = {"Type": "Map", processor: {**INNER, "QueryLanguage": "JSONata"}, "End": True}
    assert alone(state) == [
        (SCHEMA, f"/States/S/{processor}", "Field 'QueryLanguage' is not supported")
    ]


@pytest.mark.parametrize("around", [MAP, PARALLEL])
def test_states_inside_have_the_language_of_the_machine(around: dict[str, Any]) -> None:
    text = json.dumps(around).replace('"Type": "Pass"', '"Type": "Pass", "Output": 1')
    place = "ItemProcessor" if around is MAP else "Branches[0]"
    assert alone({**json.loads(text), "QueryLanguage": "JSONata"}) == [
        (
            SCHEMA,
            f"/States/S/{place}/States/P",
            "The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the "
            "'JSONata' QueryLanguage",
        )
    ]
    assert alone(json.loads(text), QueryLanguage="JSONata") == []


@pytest.mark.parametrize(
    "field",
    ["MaxConcurrencyPath", "ToleratedFailureCountPath", "ToleratedFailurePercentagePath"],
)
def test_limits_of_a_map_are_reference_paths_into_the_input(field: str) -> None:
    assert alone({**DISTRIBUTED, field: "$$.Execution.Input.n"}) == [
        (SCHEMA, f"/States/S/{field}", "Value is not a Reference Path")
    ]
    assert alone({**DISTRIBUTED, field: "$.n"}) == []


def test_only_the_items_may_come_from_the_context_object() -> None:
    assert alone({**MAP, "ItemsPath": "$$.Execution.Input.items"}) == []


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"ToleratedFailurePercentage": -1}, "ToleratedFailurePercentage", "Minimum value is 0.0"),
        ({"ToleratedFailurePercentage": 101}, "ToleratedFailurePercentage",
         "Maximum value is 100.0"),
        ({"ToleratedFailureCount": -1}, "ToleratedFailureCount", "Minimum value is 0"),
        ({"MaxConcurrency": -1}, "MaxConcurrency", "Minimum value is 0"),
    ],
)  # fmt: skip
def test_limits_of_a_distributed_map(fields: dict[str, Any], place: str, message: str) -> None:
    assert alone({**DISTRIBUTED, **fields}) == [(SCHEMA, f"/States/S/{place}", message)]


def test_a_reader_of_an_inline_map_is_let_pass() -> None:
    reader = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"},
              "Parameters": {"Bucket": "b", "Key": "k"}}  # fmt: skip
    text = json.dumps({"StartAt": "S", "States": {"S": {**MAP, "ItemReader": reader}}})
    assert parse(text).machine.start_at == "S"


@pytest.mark.parametrize(
    "state",
    [
        PASS,
        {**CHOICE, "Choices": [{**CHOICE["Choices"][0], "Comment": "x"}]},
        {**CALL, "Retry": [{"ErrorEquals": ["E"], "Comment": "x"}]},
        {**CALL, "Catch": [{"ErrorEquals": ["E"], "Next": "Z", "Comment": "x"}]},
        {**PARALLEL, "Branches": [{**INNER, "Comment": "x"}]},
        {**MAP, "ItemProcessor": {**INNER, "Comment": "x"}},
    ],
)
def test_comments_are_accepted_nearly_everywhere(state: dict[str, Any]) -> None:
    assert alone({**state, "Comment": "x"}, Comment="x") == []


@pytest.mark.parametrize("payload", [1, 1.5, True, False])
def test_a_literal_payload_is_no_number_and_no_boolean(payload: Any) -> None:
    found = alone({**CALL, "Parameters": {"FunctionName": "f", "Payload": payload}})
    assert [(code, place) for code, place, _ in found] == [(SCHEMA, "/States/S/Parameters")]


@pytest.mark.parametrize("payload", ["text", {"a": 1}, [1], None])
def test_any_other_payload_is_accepted(payload: Any) -> None:
    assert alone({**CALL, "Parameters": {"FunctionName": "f", "Payload": payload}}) == []


def test_a_resource_with_a_placeholder_in_it_is_refused() -> None:
    [(code, place, _)] = alone({**CALL, "Resource": "${Function}"})
    assert (code, place) == (SCHEMA, "/States/S/Resource")


def test_a_parameter_in_the_wrong_case_is_missing() -> None:
    found = alone({**CALL, "Parameters": {"functionName": "f"}})
    assert found[0] == (
        SCHEMA, "/States/S/Parameters", "The field 'FunctionName' is required but was missing"
    )  # fmt: skip


def test_a_state_of_a_processor_repeats_the_name_of_an_earlier_one() -> None:
    states = {"P": {"Type": "Pass", "Next": "M"}, "M": MAP}
    assert told(states) == [
        ("DUPLICATE_STATE_NAME", "/States/M/ItemProcessor/States/P", "Duplicate State name: P")
    ]


def test_a_name_without_its_context_is_refused_at_its_leaf() -> None:
    assert alone({**PASS, "Output": {"v": "{% phone %}"}}, QueryLanguage="JSONata") == [
        (
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "/States/S/Output/v",
            "Reference to 'phone' at the top level is not supported.",
        )
    ]


def test_a_variable_may_hide_a_function_and_nothing_is_said() -> None:
    state = {**PASS, "Assign": {"count": 1}, "Output": "{% $count([1]) %}"}
    assert alone(state, QueryLanguage="JSONata") == []


def test_a_variable_of_another_scope_may_be_undefined() -> None:
    branch = {"StartAt": "B", "States": {"B": {**PASS, "Assign": {"branchOnly": 1}}}}
    states = {
        "Fork": {"Type": "Parallel", "Branches": [branch], "Next": "Read"},
        "Read": {**PASS, "Output": "{% $branchOnly %}"},
    }
    assert told(states, QueryLanguage="JSONata") == [
        (
            "POSSIBLY_UNDEFINED_VARIABLE",
            "/States/Read/Output",
            "Variable 'branchOnly' is possibly not defined.",
        )
    ]


def test_the_items_of_a_distributed_map_may_be_an_object() -> None:
    assert alone({**DISTRIBUTED, "Items": {"a": 1}}, QueryLanguage="JSONata") == []
