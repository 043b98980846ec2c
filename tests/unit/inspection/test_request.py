"""Which members of a request go together."""

from typing import Any

import pytest

from tests.unit.inspection.trials import INVOKE, MOCKED_ERROR, mocked, refused, tried

PASS = {"Type": "Pass", "End": True}


@pytest.mark.parametrize(
    ("mock", "message"),
    [
        ({}, "One of the following fields is required for a test mock: [result, errorOutput]."),
        (
            {**mocked({}), **MOCKED_ERROR},
            "A test mock should have only one of the following fields: [result, errorOutput].",
        ),
        ({"errorOutput": {}}, "An error was not specified in the mocked error output."),
        ({"errorOutput": {"error": ""}}, "An error was not specified in the mocked error output."),
        ({"result": "so"}, "Mocked result must be valid JSON"),
        ({"result": "so", "fieldValidationMode": "NONE"}, "Mocked result must be valid JSON"),
    ],
)
async def test_a_mock_is_one_result_or_one_error(mock: dict[str, Any], message: str) -> None:
    assert await refused(INVOKE, mock=mock) == ("ValidationException", message)


async def test_secrets_are_not_revealed_of_a_mock() -> None:
    assert await refused(INVOKE, mock=mocked({}), revealSecrets=True) == (
        "ValidationException",
        "TestState does not support RevealSecrets when a mock is specified.",
    )
    assert (await tried(INVOKE, mock=mocked({}), revealSecrets=False))["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("members", "called"),
    [
        ({"stateConfiguration": {"retrierRetryCount": 0}}, "RetrierRetryCount"),
        ({"stateConfiguration": {"errorCausedByState": "A"}}, "ErrorCausedByState"),
        ({"stateConfiguration": {"mapIterationFailureCount": 0}}, "MapIterationFailureCount"),
        ({"stateConfiguration": {"mapItemReaderData": "[]"}}, "MapItemReaderData"),
        ({"context": {}}, "Context"),
    ],
)
async def test_what_tells_of_a_mock_wants_one(members: dict[str, Any], called: str) -> None:
    assert await refused(PASS, **members) == (
        "ValidationException",
        f"TestState does not support {called} when a mock is not specified.",
    )
    assert (await tried(PASS, stateConfiguration={}))["status"] == "SUCCEEDED"


@pytest.mark.parametrize("text", ["{", "[1]", "1"])
async def test_variables_are_an_object(text: str) -> None:
    code, message = await refused(PASS, variables=text)

    assert code == "ValidationException"
    assert "'variables'" in message


async def test_the_input_is_json_and_an_empty_object_when_absent() -> None:
    assert (await refused(PASS, input="{"))[0] == "InvalidExecutionInput"
    assert (await tried(PASS))["output"] == "{}"
    assert (await tried(PASS, input=" [ 1 ] "))["output"] == " [ 1 ] "


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"Pokedex": {}}, "Field 'Pokedex' is not allowed"),
        ({"Execution": {"Color": 1}}, "Field 'Color' is not allowed"),
        ({"Map": {}}, "'Map' field is not supported when mocking a Context object"),
        ({"Execution": {"Id": 1}}, "Execution.Id must be a string"),
        ({"State": {"Name": None}}, "State.Name must be a string"),
        ({"State": {"RetryCount": "1"}}, "State.RetryCount must be a number"),
        ({"State": {"RetryCount": True}}, "State.RetryCount must be a number"),
        ({"Task": {"Token": {}}}, "Task.Token must be a string"),
        ({"StateMachine": "x"}, "StateMachine must be an object"),
    ],
)
async def test_a_context_object_is_one_that_a_state_could_see(context: Any, message: str) -> None:
    assert await refused(INVOKE, mock=mocked({}), context=context) == (
        "ValidationException",
        f"Invalid Context object provided: {message}",
    )


@pytest.mark.parametrize("given", [None, True, "text", [1], {"a": 1}])
async def test_the_input_of_an_execution_may_be_anything(given: Any) -> None:
    context = {"Execution": {"Input": given, "RoleArn": None}, "Task": {"Token": "t"}}

    assert (await tried(INVOKE, mock=mocked({}), context=context))["status"] == "SUCCEEDED"
