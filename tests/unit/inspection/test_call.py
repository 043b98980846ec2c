"""What a state under test answers, by its type and its query language."""

import json
from typing import Any

import pytest

from eventmill.model import Quotas
from tests.unit.inspection.trials import (
    HOME,
    INVOKE,
    MOCKED_ERROR,
    NOW,
    machine,
    mocked,
    refused,
    tried,
)

BRANCHES = [machine(A={"Type": "Pass", "End": True}), machine(B={"Type": "Pass", "End": True})]
PARALLEL: dict[str, Any] = {"Type": "Parallel", "Branches": BRANCHES, "End": True}


async def stages(definition: Any, **members: Any) -> dict[str, Any]:
    """The inspection data without the input, which is always there."""
    answer = await tried(definition, **members)
    data = dict(answer["inspectionData"])
    data.pop("input")
    return data


async def test_a_pass_shows_every_stage_of_jsonpath() -> None:
    state = {
        "Type": "Pass",
        "InputPath": "$.a",
        "Parameters": {"c.$": "$.b"},
        "ResultPath": "$.d",
        "OutputPath": "$.d.c",
        "Next": "Elsewhere",
    }
    answer = await tried(state, input={"a": {"b": 7}})

    assert answer == {
        "status": "SUCCEEDED",
        "output": "7",
        "nextState": "Elsewhere",
        "inspectionData": {
            "input": '{"a":{"b":7}}',
            "afterInputPath": '{"b":7}',
            "afterParameters": '{"c":7}',
            "afterResultSelector": '{"c":7}',
            "afterResultPath": '{"a":{"b":7},"d":{"c":7}}',
        },
    }


async def test_a_pass_of_jsonata_shows_variables_alone() -> None:
    state = {
        "Type": "Pass",
        "QueryLanguage": "JSONata",
        "Assign": {"w": "{% $v + 1 %}"},
        "Output": "{% $v %}",
        "End": True,
    }
    answer = await tried(state, variables={"v": 5})

    assert answer["output"] == "5"
    assert answer["inspectionData"] == {"input": "{}", "variables": '{"v":5,"w":6}'}


@pytest.mark.parametrize("level", ["INFO", "DEBUG", "TRACE"])
async def test_only_info_leaves_the_inspection_data_out(level: str) -> None:
    answer = await tried({"Type": "Succeed"}, level=level)

    assert ("inspectionData" in answer) == (level != "INFO")


async def test_a_choice_goes_where_its_rule_says_with_what_it_assigns() -> None:
    rule = {"Variable": "$.n", "NumericEquals": 1, "Next": "One", "Assign": {"seen.$": "$.n"}}
    answer = await tried({"Type": "Choice", "Choices": [rule], "Default": "More"}, input={"n": 1})

    assert answer["nextState"] == "One"
    assert answer["inspectionData"]["variables"] == '{"seen":1}'
    assert answer["inspectionData"]["afterInputPath"] == '{"n":1}'


async def test_a_wait_is_over_at_once() -> None:
    answer = await tried({"Type": "Wait", "Seconds": 86_400, "Next": "Z"}, input=[1])

    assert (answer["status"], answer["output"], answer["nextState"]) == ("SUCCEEDED", "[1]", "Z")


async def test_a_fail_tells_its_error_and_no_output() -> None:
    answer = await tried({"Type": "Fail", "Error": "E", "CausePath": "$.why"}, input={"why": "so"})

    assert answer == {
        "status": "FAILED",
        "error": "E",
        "cause": "so",
        "inspectionData": {"input": '{"why":"so"}', "afterInputPath": '{"why":"so"}'},
    }


async def test_a_failure_keeps_the_stages_before_it_and_names_no_place() -> None:
    answer = await tried({"Type": "Pass", "Parameters": {"a.$": "$.b"}, "End": True})

    assert answer == {
        "status": "FAILED",
        "error": "States.Runtime",
        "cause": "The JSONPath '$.b' specified for the field 'a.$' could not be found in the "
        "input '{}'",
        "inspectionData": {"input": "{}", "afterInputPath": "{}"},
    }


async def test_a_mocked_task_shows_parameters_and_result() -> None:
    state = {**INVOKE, "ResultSelector": {"code.$": "$.StatusCode"}, "ResultPath": "$.r"}
    data = await stages(state, input={"a": 1}, mock=mocked({"StatusCode": 200}))

    assert data == {
        "afterInputPath": '{"a":1}',
        "afterParameters": '{"FunctionName":"f"}',
        "result": '{"StatusCode":200}',
        "afterResultSelector": '{"code":200}',
        "afterResultPath": '{"a":1,"r":{"code":200}}',
    }


async def test_a_random_result_is_the_same_at_every_stage() -> None:
    data = await stages({**INVOKE, "ResultSelector": {"id.$": "States.UUID()"}}, mock=mocked({}))
    assert data["afterResultSelector"] == data["afterResultPath"]

    answer = await tried({"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}, "End": True})
    assert answer["inspectionData"]["afterParameters"] == answer["output"]


async def test_a_task_of_jsonata_shows_its_arguments_only_where_it_has_some() -> None:
    state = {"Type": "Task", "QueryLanguage": "JSONata", "End": True}
    function = {**state, "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"}
    invoke = {**state, "Resource": INVOKE["Resource"], "Arguments": {"FunctionName": "f"}}

    assert await stages(function, mock=mocked(1)) == {"result": "1"}
    assert await stages(invoke, mock=mocked({})) == {
        "afterArguments": '{"FunctionName":"f"}',
        "result": "{}",
    }


async def test_the_text_of_a_mocked_result_is_kept() -> None:
    answer = await tried(INVOKE, mock={"result": '{ "StatusCode":  200 }'})

    assert answer["output"] == answer["inspectionData"]["result"] == '{ "StatusCode":  200 }'


async def test_a_retry_tells_which_retrier_waits_for_how_long() -> None:
    retriers = [
        {"ErrorEquals": ["Other"]},
        {"ErrorEquals": ["Own.Error"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 3},
    ]
    state = {**INVOKE, "Retry": retriers}
    answer = await tried(state, mock=MOCKED_ERROR, stateConfiguration={"retrierRetryCount": 2})

    assert (answer["status"], answer["error"], answer["cause"]) == (
        "RETRIABLE",
        "Own.Error",
        "mocked",
    )
    assert answer["inspectionData"]["errorDetails"] == {
        "retryIndex": 1,
        "retryBackoffIntervalSeconds": 18,
    }
    used_up = await tried(state, mock=MOCKED_ERROR, stateConfiguration={"retrierRetryCount": 3})
    assert used_up["status"] == "FAILED"


async def test_a_catch_goes_on_with_the_error_output() -> None:
    catchers = [
        {"ErrorEquals": ["Other"], "Next": "X"},
        {
            "ErrorEquals": ["States.ALL"],
            "ResultPath": "$.e",
            "Assign": {"why.$": "$.Cause"},
            "Next": "Caught",
        },
    ]
    answer = await tried({**INVOKE, "Catch": catchers}, input={"a": 1}, mock=MOCKED_ERROR)

    output = '{"a":1,"e":{"Error":"Own.Error","Cause":"mocked"}}'
    assert answer == {
        "status": "CAUGHT_ERROR",
        "error": "Own.Error",
        "cause": "mocked",
        "output": output,
        "nextState": "Caught",
        "inspectionData": {
            "input": '{"a":1}',
            "afterInputPath": '{"a":1}',
            "afterParameters": '{"FunctionName":"f"}',
            "afterResultPath": output,
            "errorDetails": {"catchIndex": 1},
            "variables": '{"why":"mocked"}',
        },
    }


async def test_a_failing_catch_fails_the_state_and_names_no_place() -> None:
    catcher = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.a.b", "Next": "Caught"}
    answer = await tried({**INVOKE, "Catch": [catcher]}, input={"a": 1}, mock=MOCKED_ERROR)

    assert answer["status"] == "FAILED"
    assert answer["cause"].startswith("Unable to apply")
    assert "nextState" not in answer


async def test_a_failing_result_selector_can_be_retried() -> None:
    state = {
        **INVOKE,
        "QueryLanguage": "JSONata",
        "Arguments": INVOKE["Parameters"],
        "Output": "{% $states.result.none %}",
        "Retry": [{"ErrorEquals": ["States.QueryEvaluationError"]}],
    }
    del state["Parameters"]
    answer = await tried(state, mock=mocked({}))

    assert (answer["status"], answer["error"]) == ("RETRIABLE", "States.QueryEvaluationError")


async def test_a_result_over_the_quota_fails_its_task() -> None:
    small = Quotas(payload_bytes_max=30)
    answer = await tried(INVOKE, mock=mocked({"Payload": "x" * 40}), quotas=small)

    assert (answer["status"], answer["error"]) == ("FAILED", "States.DataLimitExceeded")
    assert "'lambda'" in answer["cause"]


async def test_a_parallel_takes_one_result_for_each_branch() -> None:
    state = {**PARALLEL, "Parameters": {"p": 1}, "ResultSelector": {"all.$": "$"}}
    data = await stages(state, mock=mocked([1, 2]))

    assert data == {
        "afterInputPath": "{}",
        "afterParameters": '{"p":1}',
        "afterResultSelector": '{"all":[1,2]}',
        "afterResultPath": '{"all":[1,2]}',
    }
    assert (await tried(PARALLEL, mock=MOCKED_ERROR))["status"] == "FAILED"


async def test_the_context_object_is_that_of_an_express_execution() -> None:
    state = {"Type": "Pass", "Parameters": {"c.$": "$$"}, "End": True}
    context = json.loads((await tried(state, input={"a": 1}))["output"])["c"]

    machine_id, name = context["StateMachine"]["Name"], context["Execution"]["Name"]
    prefix = f"arn:aws:states:{HOME.region}:{HOME.account}"
    assert context == {
        "Execution": {
            "Id": f"{prefix}:express:{machine_id}:{name}",
            "Input": {"a": 1},
            "Name": name,
            "RoleArn": None,
            "StartTime": NOW,
        },
        "StateMachine": {"Id": f"{prefix}:stateMachine:{machine_id}", "Name": machine_id},
        "State": {"Name": "StateName", "EnteredTime": NOW},
    }
    assert machine_id != name


async def test_a_task_sees_its_retries_its_role_and_its_token() -> None:
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": "q", "MessageBody": {"c.$": "$$"}},
        "End": True,
    }
    configuration = {"retrierRetryCount": 2}
    data = await stages(state, mock=mocked({}), roleArn="role", stateConfiguration=configuration)
    context = json.loads(data["afterParameters"])["MessageBody"]["c"]

    assert context["State"]["RetryCount"] == 2
    assert context["Execution"]["RoleArn"] == "role"
    assert context["Task"]["Token"]


async def test_a_context_that_is_given_is_all_there_is() -> None:
    state = {**INVOKE, "Parameters": {"FunctionName": "f", "Payload.$": "$$"}}
    data = await stages(state, mock=mocked({}), context={"State": {"Name": "Mine"}})

    assert json.loads(data["afterParameters"])["Payload"] == {"State": {"Name": "Mine"}}


@pytest.mark.parametrize("state", [PARALLEL, {**PARALLEL, "Retry": []}])
async def test_a_state_with_states_inside_wants_a_mock(state: dict[str, Any]) -> None:
    assert await refused(state) == (
        "InvalidDefinition",
        "TestState API does not support Map or Parallel states. Supported state types include: "
        "[Task, Wait, Pass, Succeed, Fail, Choice]",
    )


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "End": True},
        {"Type": "Wait", "Seconds": 1, "End": True},
        {"Type": "Succeed"},
        {"Type": "Fail"},
        {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True, "Next": "A"}]},
    ],
)
async def test_a_state_without_work_takes_no_mock(state: dict[str, Any]) -> None:
    assert await refused(state, mock=mocked({})) == (
        "ValidationException",
        f"State type '{state['Type']}' is not supported when a mock is specified",
    )


async def test_iterations_fail_in_a_map_alone() -> None:
    configuration = {"mapIterationFailureCount": 0}
    assert await refused(INVOKE, mock=mocked({}), stateConfiguration=configuration) == (
        "ValidationException",
        "MapIterationFailureCount is only supported when testing a Map state.",
    )
