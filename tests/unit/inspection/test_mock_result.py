"""Mocked results against the models of AWS's services."""

from typing import Any

import pytest

from eventmill.asl.syntax import Resource
from eventmill.inspection.service_model import output_shape
from tests.unit.inspection.trials import INVOKE, mocked, refused, tried

PREFIX = "Mock result schema validation error: "


def task(called: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{called}",
        "Parameters": {"a": 1},
        "End": True,
    }


@pytest.mark.parametrize(
    ("called", "result", "message"),
    [
        ("aws-sdk:lambda:getFunction", {"Tags": []}, "Field 'Tags' must be an object"),
        (
            "aws-sdk:lambda:getFunction",
            {"Configuration": 1},
            "Field 'Configuration' must be an object",
        ),
        ("aws-sdk:lambda:getFunction", {"Tags": {"a": 1}}, "Field 'Tags' must be a string"),
        ("events:putEvents", {"Entries": {}}, "Field 'Entries' must be an array"),
        (
            "events:putEvents",
            {"FailedEntryCount": True},
            "Field 'FailedEntryCount' must be a number",
        ),
        ("aws-sdk:s3:getObject", {"DeleteMarker": "no"}, "Field 'DeleteMarker' must be a boolean"),
        ("aws-sdk:s3:getObject", {"LastModified": 1}, "Field 'LastModified' must be a string"),
        ("aws-sdk:s3:getObject", {"ETag": None}, "Field 'ETag' must be a string"),
        (
            "aws-sdk:s3:getObject",
            {"StorageClass": "Papyrus"},
            "Field 'StorageClass' is not an expected value",
        ),
        (
            "aws-sdk:kms:encrypt",
            {"CiphertextBlob": ""},
            "Field 'CiphertextBlob' is smaller than the minimum length",
        ),
        (
            "aws-sdk:kms:encrypt",
            {"CiphertextBlob": "x" * 6145},
            "Field 'CiphertextBlob' exceeds the maximum length",
        ),
        (
            "aws-sdk:lambda:getFunction",
            {"Configuration": {"Timeout": 0}},
            "Field 'Timeout' is less than the minimum value",
        ),
        (
            "aws-sdk:lambda:getFunction",
            {"Configuration": {"EphemeralStorage": {"Size": 10**6}}},
            "Field 'Size' exceeds the maximum value",
        ),
        (
            "dynamodb:getItem",
            {"Item": {"id": {"L": [{"N": 1}]}}},
            "Field 'N' must be a string",
        ),
        ("lambda:invoke", {"Payload": {"k": 1}}, "Field 'Payload' must be a string"),
        (
            "states:startExecution.sync:2",
            {"Status": "DONE"},
            "Field 'Status' is not an expected value",
        ),
        (
            "sqs:sendMessage.waitForTaskToken",
            {"MessageId": 1},
            "Field 'MessageId' must be a string",
        ),
    ],
)
async def test_what_is_there_must_be_as_the_model_says(
    called: str, result: Any, message: str
) -> None:
    state = {**task(called), "Parameters": {"FunctionName": "f"}}
    refusal = ("ValidationException", PREFIX + message)

    assert await refused(state, mock=mocked(result, fieldValidationMode="PRESENT")) == refusal
    answer = await tried(state, mock=mocked(result, fieldValidationMode="NONE"))
    assert answer["status"] == "SUCCEEDED"


async def test_what_must_be_there_is_missed_in_strict_mode_alone() -> None:
    state, result = task("states:startExecution"), {"ExecutionArn": "arn"}

    assert await refused(state, mock=mocked(result)) == (
        "ValidationException",
        f"{PREFIX}Required field 'StartDate' is missing",
    )
    answer = await tried(state, mock=mocked(result, fieldValidationMode="PRESENT"))
    assert answer["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("called", "result"),
    [
        ("lambda:invoke", {"pokemon": ["squirtle"]}),
        ("aws-sdk:s3:getObject", {"SsekmsKeyId": "key", "ContentLength": 9.0}),
        ("apigateway:invoke", ["anything"]),
        ("http:invoke", "anything"),
        ("eks:call", {"ResponseBody": 1}),
        ("aws-sdk:nosuchservice:getThing", {"a": 1}),
        ("aws-sdk:s3:noSuchAction", {"a": 1}),
    ],
)
async def test_what_no_model_knows_is_let_through(called: str, result: Any) -> None:
    state = {**task(called), "Parameters": {"FunctionName": "f"}}

    assert (await tried(state, mock=mocked(result)))["status"] == "SUCCEEDED"


@pytest.mark.parametrize("result", [None, [], "text", 1])
@pytest.mark.parametrize("mode", ["STRICT", "PRESENT", "NONE"])
async def test_a_service_answers_with_an_object(result: Any, mode: str) -> None:
    assert await refused(INVOKE, mock=mocked(result, fieldValidationMode=mode)) == (
        "ValidationException",
        "Mocked result must be a valid JSON object.",
    )


async def test_a_function_may_answer_with_anything() -> None:
    state = {**INVOKE, "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"}

    assert (await tried(state, mock=mocked(None)))["output"] == "null"


async def test_a_parallel_wants_an_array_as_long_as_its_branches() -> None:
    branch = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    state = {"Type": "Parallel", "Branches": [branch], "End": True}

    assert (await refused(state, mock=mocked({})))[1] == "Mocked result must be an array."
    assert (await refused(state, mock=mocked([1, 2])))[1] == (
        "Mocked result must contain the same number of items as number of Parallel branches."
    )


@pytest.mark.parametrize(
    ("service", "action", "known"),
    [
        ("states", "startExecution", "executionArn"),
        ("states", "startExecution.sync", "output"),
        ("aws-sdk:sfn", "describeExecution", "output"),
        ("aws-sdk:cloudwatchlogs", "describeLogGroups", "logGroups"),
        ("aws-sdk:elasticloadbalancingv2", "describeRules", "Rules"),
        ("aws-sdk:configservice", "describeConfigRules", "ConfigRules"),
        ("aws-sdk:config", "describeConfigRules", "ConfigRules"),
        ("aws-sdk:databasemigration", "describeEndpoints", "Endpoints"),
        ("elasticmapreduce", "createCluster", None),
        ("aws-sdk:emr", "describeCluster", "Cluster"),
        ("emr-serverless", "startJobRun", "jobRunId"),
        ("glue", "startJobRun.sync", "JobRun"),
        ("sagemaker", "createTrainingJob.sync", None),
        ("sns", "publish.waitForTaskToken", "MessageId"),
    ],
)
def test_the_model_of_a_service_is_found_under_the_name_in_a_resource(
    service: str, action: str, known: str | None
) -> None:
    resource = Resource(text="", kind="integration", service=service, action=action)
    shape = output_shape(resource)

    if known is None:
        assert shape is None
    else:
        assert shape is not None
        assert shape.member(known) is not None
