"""TestState, called by AWS's own client and by hand."""

import json
from typing import Any

import pytest

from eventmill.api.constraints import Flag, Member, Number, Text
from eventmill.api.operations.test_state import OPERATIONS
from eventmill.api.structures import Structure
from tests.api.conftest import Browser, Client
from tests.api.test_model import MODEL

PASS = json.dumps({"Type": "Pass", "Parameters": {"b.$": "$.a"}, "Next": "Later"})
SEND = json.dumps(
    {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": "q", "MessageBody.$": "$.a"},
        "Retry": [{"ErrorEquals": ["Sqs.Busy"], "IntervalSeconds": 3}],
        "End": True,
    }
)


async def test_a_state_is_tried_without_a_trace(client: Client) -> None:
    answer = await client(
        "test_state",
        definition=PASS,
        input='{"a": 1}',
        inspectionLevel="DEBUG",
        variables='{"v":2}',
    )

    assert answer == {
        "status": "SUCCEEDED",
        "output": '{"b":1}',
        "nextState": "Later",
        "inspectionData": {
            "input": '{"a": 1}',
            "afterInputPath": '{"a": 1}',
            "afterParameters": '{"b":1}',
            "afterResultSelector": '{"b":1}',
            "afterResultPath": '{"b":1}',
            "variables": '{"v":2}',
        },
    }


async def test_a_mock_comes_through_to_its_innermost_member(client: Client) -> None:
    answer = await client(
        "test_state",
        definition=SEND,
        input='{"a": "text"}',
        mock={"errorOutput": {"error": "Sqs.Busy", "cause": "too many"}},
        stateConfiguration={"retrierRetryCount": 1},
        inspectionLevel="DEBUG",
    )

    assert (answer["status"], answer["error"], answer["cause"]) == (
        "RETRIABLE",
        "Sqs.Busy",
        "too many",
    )
    assert answer["inspectionData"]["errorDetails"] == {
        "retryIndex": 0,
        "retryBackoffIntervalSeconds": 6,
    }


async def test_errors_are_those_of_the_service(client: Client) -> None:
    refused = await client.refused("test_state", definition='{"Type": "Pas", "End": true}')
    assert refused == (
        "InvalidDefinition",
        "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: The field 'Type' should have "
        "one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map] "
        "at /States/StateName/Type'",
    )
    refused = await client.refused("test_state", definition=PASS, input="{")
    assert refused[0] == "InvalidExecutionInput"
    refused = await client.refused("test_state", definition=SEND, mock={})
    assert refused == (
        "ValidationException",
        "One of the following fields is required for a test mock: [result, errorOutput].",
    )


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"stateName": ""},
            "1 validation error detected: Value '' at 'stateName' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        (
            {"mock": {"result": "{}", "fieldValidationMode": "LAX"}},
            "1 validation error detected: Value 'LAX' at 'mock.fieldValidationMode' failed to "
            "satisfy constraint: Member must satisfy enum value set: [STRICT, PRESENT, NONE]",
        ),
        (
            {"mock": {"errorOutput": {"error": "E" * 257}}},
            "1 validation error detected: Value '" + "E" * 257 + "' at 'mock.errorOutput.error' "
            "failed to satisfy constraint: Member must have length less than or equal to 256",
        ),
        (
            {"stateConfiguration": {"retrierRetryCount": -1}},
            "1 validation error detected: Value '-1' at 'stateConfiguration.retrierRetryCount' "
            "failed to satisfy constraint: Member must have value greater than or equal to 0",
        ),
    ],
)
async def test_constraints_hold_at_every_depth(
    browser: Browser, members: dict[str, Any], message: str
) -> None:
    reply = await browser.call("TestState", definition=PASS, **members)

    assert (reply.status, reply.body["message"]) == (400, message)


async def test_a_structure_must_be_one(browser: Browser) -> None:
    reply = await browser.call("TestState", definition=PASS, mock="{}")

    assert reply.body["__type"].endswith("#SerializationException")
    assert "'mock'" in reply.body["message"]


def test_members_and_constraints_are_those_of_the_model() -> None:
    operation = OPERATIONS["TestState"]
    # The input's limit is a quota of the project, in bytes.
    whole = Structure(members=operation.members, structures=operation.structures)

    assert described(whole, {"input"}) == modelled("TestStateInput", {"input"})


def described(structure: Structure, payloads: set[str]) -> dict[str, Any]:
    plain = {
        name: None if name in payloads else limits(each) for name, each in structure.members.items()
    }
    inner = {name: described(each, set()) for name, each in (structure.structures or {}).items()}
    return {**plain, **inner}


def limits(member: Member) -> Any:
    match member:
        case Text():
            return (member.min, member.max, member.values, member.required)
        case Number():
            return (member.min, member.required)
        case Flag():
            return member.required
    raise AssertionError(member)


def modelled(name: str, payloads: set[str]) -> dict[str, Any]:
    shape = MODEL["shapes"][name]
    required = shape.get("required", ())
    return {
        member: None
        if member in payloads
        else limits_of(reference["shape"], required=member in required)
        for member, reference in shape["members"].items()
    }


def limits_of(name: str, *, required: bool) -> Any:
    shape = MODEL["shapes"][name]
    match shape["type"]:
        case "string":
            return (
                shape.get("min", 0),
                shape.get("max"),
                tuple(shape.get("enum", ())),
                required,
            )
        case "integer":
            return (shape["min"], required)
        case "boolean":
            return required
        case _:
            return modelled(name, set())
