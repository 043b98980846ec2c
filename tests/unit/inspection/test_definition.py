"""Which state is under test, and which of its definition's mistakes count."""

from typing import Any

import pytest

from eventmill.model import Quotas
from tests.unit.inspection.trials import INVOKE, machine, mocked, refused, tried

PASS = {"Type": "Pass", "End": True}
SEND = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage",
    "Parameters": {"QueueUrl": "q"},
    "End": True,
}
NESTED = machine(
    Outer={
        "Type": "Parallel",
        "Branches": [machine(Each={"Type": "Map", "End": True})],
        "End": True,
    }
)
NESTED["States"]["Outer"]["Branches"][0]["States"]["Each"]["ItemProcessor"] = machine(
    Inner={"Type": "Pass", "Result": "deep", "End": True}
)


async def test_a_lone_state_may_lead_anywhere() -> None:
    state = {**INVOKE, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Nowhere"}]}

    assert (await tried(state, mock=mocked({})))["status"] == "SUCCEEDED"
    assert (await tried({"Type": "Pass", "Next": "Nowhere"}))["nextState"] == "Nowhere"


async def test_the_states_inside_a_lone_state_may_not() -> None:
    inside = machine(A={"Type": "Pass", "Next": "Nowhere"})
    state = {"Type": "Map", "ItemProcessor": inside, "End": True}

    assert await refused(state, mock=mocked([])) == (
        "InvalidDefinition",
        "Invalid State Machine Definition: 'MISSING_TRANSITION_TARGET: Missing 'Next' target: "
        "Nowhere at /States/StateName/ItemProcessor/States/A/Next'",
    )


async def test_a_state_is_found_at_any_depth() -> None:
    assert (await tried(NESTED, stateName="Inner"))["output"] == '"deep"'


@pytest.mark.parametrize("name", ["Missing", '"Outer"', "StateName"])
async def test_a_state_that_is_not_there_is_not_found(name: str) -> None:
    assert await refused(NESTED, stateName=name) == (
        "ValidationException",
        "State not found in definition",
    )


async def test_a_state_speaks_the_language_of_its_machine() -> None:
    whole = {"QueryLanguage": "JSONata", **machine(A={**PASS, "Output": "{% 1 + 1 %}"})}

    answer = await tried(whole, stateName="A")

    assert (answer["output"], answer["inspectionData"]) == ("2", {"input": "{}"})


async def test_all_of_a_machine_is_checked() -> None:
    whole = machine(A={**PASS, "Next": "B", "End": False}, B={"Type": "Pass"})

    code, message = await refused(whole, stateName="A")

    assert code == "InvalidDefinition"
    assert "[Next, End] at /States/B" in message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"Type":"Pass","End":true,"End":true}'])
async def test_a_definition_is_an_object_without_repetition(text: str) -> None:
    assert (await refused(text))[0] == "InvalidDefinition"


async def test_a_definition_is_measured_as_it_was_written() -> None:
    state = {**SEND, "Comment": "x" * 80}
    quotas = Quotas(definition_bytes_max=240)

    assert (await tried(state, mock=mocked({}), quotas=quotas))["status"] == "SUCCEEDED"
    too_large = {**SEND, "Comment": "x" * 160}
    assert (await refused(too_large, mock=mocked({}), quotas=quotas))[0] == "InvalidDefinition"


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::sqs:sendMessage",
        "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "arn:aws:states:::states:startExecution.sync:2",
        "arn:aws:states:::aws-sdk:s3:getObject",
        "arn:aws:states:::http:invoke",
        "arn:aws:states:us-east-1:123456789012:activity:work",
    ],
)
async def test_a_mock_stands_for_any_integration(resource: str) -> None:
    state = {**SEND, "Resource": resource, "Parameters": {"a": 1}}
    mock = mocked({}, fieldValidationMode="NONE")

    assert (await tried(state, mock=mock))["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"Resource": "arn:aws:states:::sqs:nonsense"}, "Resource'"),
        ({"Resource": "nonsense"}, "Resource'"),
        ({"ResultPath": "nonsense"}, "ResultPath'"),
        ({"Retry": [{"ErrorEquals": []}]}, "Retry[0]/ErrorEquals'"),
    ],
)
async def test_an_integration_that_does_not_run_here_is_checked_all_the_same(
    members: dict[str, Any], where: str
) -> None:
    code, message = await refused({**SEND, **members}, mock=mocked({}))

    assert code == "InvalidDefinition"
    assert message.endswith(f"/States/StateName/{where}")
