"""Facts measured on the service about TestState: stages, texts, the Context Object."""

import json
from typing import Any

import pytest

from tests.unit.inspection.trials import INVOKE, MOCKED_ERROR, mocked, refused, tried

PASS = {"Type": "Pass", "End": True}


async def test_a_state_alone_is_called_state_name() -> None:
    state = {**PASS, "ResultSelector": {}}
    assert await refused(state) == (
        "InvalidDefinition",
        "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: Field 'ResultSelector' is "
        "not supported at /States/StateName'",
    )


async def test_causes_have_no_prefix() -> None:
    answer = await tried({**PASS, "InputPath": "$.missing"}, input={"a": 1})
    assert (answer["status"], answer["error"], answer["cause"]) == (
        "FAILED",
        "States.Runtime",
        "Invalid path '$.missing' : No results for path: $['missing']",
    )


async def test_the_cause_of_a_query_has_no_prefix_either() -> None:
    state = {**PASS, "QueryLanguage": "JSONata", "Output": "{% $states.input.absent %}"}
    answer = await tried(state)
    assert answer["cause"] == (
        "The JSONata expression '$states.input.absent' specified for the field 'Output' returned "
        "nothing (undefined)."
    )


@pytest.mark.parametrize(
    ("fields", "stages"),
    [
        ({}, ["input", "afterInputPath", "afterParameters", "afterResultSelector",
              "afterResultPath"]),
        ({"Result": 1}, ["input", "result", "afterResultSelector", "afterResultPath"]),
    ],
)  # fmt: skip
async def test_the_stages_of_a_pass(fields: dict[str, Any], stages: list[str]) -> None:
    answer = await tried({**PASS, **fields}, input={"a": 1})
    assert sorted(answer["inspectionData"]) == sorted(stages)


async def test_the_stages_of_a_jsonata_pass() -> None:
    answer = await tried({**PASS, "QueryLanguage": "JSONata"}, variables={"x": 1})
    assert set(answer["inspectionData"]) == {"input", "variables"}


async def test_the_stages_of_a_task() -> None:
    answer = await tried(INVOKE, mock=mocked({"Payload": "{}", "StatusCode": 200}))
    assert sorted(answer["inspectionData"]) == sorted(
        ["input", "afterInputPath", "afterParameters", "result", "afterResultSelector",
         "afterResultPath"]
    )  # fmt: skip


async def test_an_error_that_is_retried_tells_its_delay() -> None:
    retry = [{"ErrorEquals": ["Own.Error"], "IntervalSeconds": 2, "BackoffRate": 2}]
    answer = await tried(
        {**INVOKE, "Retry": retry}, mock=MOCKED_ERROR, stateConfiguration={"retrierRetryCount": 1}
    )
    assert (answer["status"], answer["error"], answer["cause"]) == (
        "RETRIABLE", "Own.Error", "mocked"
    )  # fmt: skip
    assert answer["inspectionData"]["errorDetails"] == {
        "retryIndex": 0, "retryBackoffIntervalSeconds": 4
    }  # fmt: skip


async def test_an_error_that_is_caught_tells_its_catcher() -> None:
    catch = [{"ErrorEquals": ["Own.Error"], "Next": "Z"}]
    answer = await tried({**INVOKE, "Catch": catch}, mock=MOCKED_ERROR)
    assert (answer["status"], answer["nextState"]) == ("CAUGHT_ERROR", "Z")
    assert answer["inspectionData"]["errorDetails"] == {"catchIndex": 0}


async def test_the_context_object_made_for_it() -> None:
    answer = await tried({**PASS, "Parameters": {"c.$": "$$"}})
    context = json.loads(answer["output"])["c"]
    assert "RedriveCount" not in context["Execution"]
    assert context["Execution"]["RoleArn"] is None
    assert ":express:" in context["Execution"]["Id"]
    assert context["State"]["Name"] == "StateName"


async def test_a_context_that_is_given_replaces_it_whole() -> None:
    state = {**INVOKE, "Parameters": {"FunctionName": "f", "Payload": {"c.$": "$$"}}}
    answer = await tried(state, mock=mocked({}), context={"Execution": {"Id": "x"}})
    parameters = json.loads(answer["inspectionData"]["afterParameters"])
    assert parameters["Payload"] == {"c": {"Execution": {"Id": "x"}}}
