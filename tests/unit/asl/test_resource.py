import pytest

from eventmill.asl.resource import MachineType, Refused, read_resource, what_lacks
from eventmill.asl.syntax import Resource

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:resize"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:dig"


@pytest.mark.parametrize("text", [FUNCTION, f"{FUNCTION}:live", f"{FUNCTION}:$LATEST"])
@pytest.mark.parametrize("machine_type", ["STANDARD", "EXPRESS"])
def test_a_function_is_called_by_its_arn(text: str, machine_type: MachineType) -> None:
    assert read_resource(text, machine_type) == Resource(
        text=text, kind="function", service="lambda", action="invoke"
    )


@pytest.mark.parametrize(
    ("suffix", "pattern"), [("", "request"), (".waitForTaskToken", "callback")]
)
@pytest.mark.parametrize("partition", ["aws", "aws-cn"])
def test_lambda_is_invoked_in_both_patterns(suffix: str, pattern: str, partition: str) -> None:
    text = f"arn:{partition}:states:::lambda:invoke{suffix}"

    resource = read_resource(text, "STANDARD")

    assert what_lacks(resource) is None
    assert (resource.text, resource.kind, resource.service, resource.action, resource.pattern) == (
        text, "integration", "lambda", f"invoke{suffix}", pattern,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "resize", "foo:bar", "arn:aws:lambda:${Region}::f"])
def test_what_is_no_arn_is_refused_in_aws_words(text: str) -> None:
    with pytest.raises(Refused, match="Value is not a valid resource ARN"):
        read_resource(text, "STANDARD")


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:states:::dynamodb:query",
        "arn:aws:states:::dynamodb:putItem.sync",
        "arn:aws:states:::lambda:invoke.sync",
        "arn:aws:states:::batch:submitJob.waitForTaskToken",
        "arn:aws:states:::glue:startJobRun.sync:2",
        "arn:aws:states:::nowhere:doThis",
        "arn:aws:states:::aws-sdk:s3",
        "arn:aws:states:::aws-sdk:s3:getObject.sync",
        "arn:aws:swf:us-east-1:123456789012:task:X",
        "arn:aws:states:us-east-1:123456789012:stateMachine:m",
        "arn:aws:states:::lambda:invoke\n",
    ],
)
def test_what_aws_does_not_offer_is_refused_in_its_words(text: str) -> None:
    with pytest.raises(Refused) as refused:
        read_resource(text, "STANDARD")

    assert str(refused.value) == (
        f"The resource provided {text} is not recognized. The value is not a valid resource"
        " ARN, or the resource is not available in this region."
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (ACTIVITY, "activities"),
        ("arn:aws:states:::aws-sdk:s3:getObject", "the integration aws-sdk:s3:getObject"),
        ("arn:aws:states:::aws-sdk:sfn:startExecution.waitForTaskToken",
         "the integration aws-sdk:sfn:startExecution.waitForTaskToken"),
        ("arn:aws:states:::sqs:sendMessage", "the integration sqs:sendMessage"),
        ("arn:aws:states:::states:startExecution.sync:2",
         "the integration states:startExecution.sync:2"),
    ],
)  # fmt: skip
def test_what_does_not_run_yet_says_what_does(text: str, what: str) -> None:
    resource = read_resource(text, "STANDARD")

    assert resource.text == text
    assert what_lacks(resource) == (
        f"Eventmill does not offer {what} yet ({text}); Lambda function ARNs,"
        " arn:aws:states:::lambda:invoke and its .waitForTaskToken do run"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ACTIVITY, "Express state machine does not support Activity ARN"),
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken",
         "Express state machine does not support '.waitForTaskToken' service integration "),
        ("arn:aws:states:::states:startExecution.sync:2",
         "Express state machine does not support '.sync:2' service integration "),
    ],
)  # fmt: skip
def test_an_express_machine_only_requests(text: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        read_resource(text, "EXPRESS")

    assert str(refused.value) == message
