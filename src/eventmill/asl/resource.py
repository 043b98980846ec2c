"""What the Resource of a Task may be, and which of it runs here.

The table of integrations is AWS's ("Integrating optimized services", developer guide), so that
a resource AWS would refuse is refused in AWS's words and any other one in ours.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from eventmill.arn import is_function_arn
from eventmill.asl.syntax import Resource

MachineType: TypeAlias = Literal["STANDARD", "EXPRESS"]

_SYNC: Final = (".sync:2", ".sync")
_CALLBACK: Final = ".waitForTaskToken"
_SDK: Final = "aws-sdk"

_INTEGRATION: Final = re.compile(r"arn:aws[a-z-]*:states:[^:]*:[^:]*:([^:]+):(.+)", re.DOTALL)
_ACTIVITY: Final = re.compile(r"arn:aws[a-z-]*:states:[^:]+:\d+:activity:.+", re.DOTALL)

# What runs here. Other integrations get a row when they do.
_OFFERED: Final = frozenset({"lambda:invoke", f"lambda:invoke{_CALLBACK}"})

# AWS's optimised integrations; an action is listed once for each pattern it has.
_OPTIMISED: Final[Mapping[str, frozenset[str]]] = {
    service: frozenset(actions.split())
    for service, actions in {
        "apigateway": "invoke invoke.waitForTaskToken",
        "athena": "startQueryExecution startQueryExecution.sync stopQueryExecution"
        " getQueryExecution getQueryResults",
        "batch": "submitJob submitJob.sync",
        "bedrock": "invokeModel createModelCustomizationJob createModelCustomizationJob.sync",
        "codebuild": "startBuild startBuild.sync stopBuild batchDeleteBuilds batchGetReports"
        " startBuildBatch startBuildBatch.sync stopBuildBatch retryBuildBatch"
        " retryBuildBatch.sync deleteBuildBatch",
        "databrew": "startJobRun startJobRun.sync",
        "dynamodb": "getItem putItem deleteItem updateItem",
        "ecs": "runTask runTask.sync runTask.waitForTaskToken",
        "eks": "call runJob runJob.sync createCluster createCluster.sync deleteCluster"
        " deleteCluster.sync createFargateProfile createFargateProfile.sync"
        " deleteFargateProfile deleteFargateProfile.sync createNodegroup createNodegroup.sync"
        " deleteNodegroup deleteNodegroup.sync",
        "elasticmapreduce": "createCluster createCluster.sync terminateCluster"
        " terminateCluster.sync addStep addStep.sync cancelStep setClusterTerminationProtection"
        " modifyInstanceFleetByName modifyInstanceGroupByName",
        "emr-containers": "createVirtualCluster deleteVirtualCluster deleteVirtualCluster.sync"
        " startJobRun startJobRun.sync",
        "emr-serverless": "createApplication createApplication.sync startApplication"
        " startApplication.sync stopApplication stopApplication.sync deleteApplication"
        " deleteApplication.sync startJobRun startJobRun.sync cancelJobRun cancelJobRun.sync",
        "events": "putEvents putEvents.waitForTaskToken",
        "glue": "startJobRun startJobRun.sync",
        "http": "invoke",
        "lambda": "invoke invoke.waitForTaskToken",
        "mediaconvert": "createJob createJob.sync",
        "sagemaker": "createEndpoint createEndpointConfig createHyperParameterTuningJob"
        " createHyperParameterTuningJob.sync createLabelingJob createLabelingJob.sync createModel"
        " createProcessingJob createProcessingJob.sync createTrainingJob createTrainingJob.sync"
        " createTransformJob createTransformJob.sync updateEndpoint",
        "sns": "publish publish.waitForTaskToken",
        "sqs": "sendMessage sendMessage.waitForTaskToken",
        "states": "startExecution startExecution.sync startExecution.sync:2"
        " startExecution.waitForTaskToken",
    }.items()
}


class Refused(Exception):
    """AWS refuses the resource; the message is its own."""


def read_resource(text: str, machine_type: MachineType) -> Resource:
    """The resource that `text` names, whether it runs here or not: `what_lacks` tells.

    Raises:
        Refused: AWS has no such resource, or a machine of this type cannot call it.
    """
    if not text.startswith("arn:") or "${" in text:
        raise Refused("Value is not a valid resource ARN")
    if is_function_arn(text):
        return Resource(text=text, kind="function", service="lambda", action="invoke")
    if _ACTIVITY.fullmatch(text):
        if machine_type == "EXPRESS":
            raise Refused("Express state machine does not support Activity ARN")
        name = text.rsplit(":", 1)[-1]
        return Resource(text=text, kind="function", service="activity", action=name)
    match = _INTEGRATION.fullmatch(text)
    if match is None or not _is_known(match[1], match[2]):
        raise Refused(
            f"The resource provided {text} is not recognized. The value is not a valid resource"
            " ARN, or the resource is not available in this region."
        )
    return _integration(text, match[1], match[2], machine_type)


def what_lacks(resource: Resource) -> str | None:
    """Why the resource does not run here, although AWS has it; None when it does."""
    if resource.service == "activity":
        what = "activities"
    elif resource.kind == "function" or f"{resource.service}:{resource.action}" in _OFFERED:
        return None
    else:
        what = f"the integration {resource.service}:{resource.action}"
    return (
        f"Eventmill does not offer {what} yet ({resource.text}); Lambda function ARNs,"
        " arn:aws:states:::lambda:invoke and its .waitForTaskToken do run"
    )


def _is_known(service: str, action: str) -> bool:
    if service == _SDK:
        return not action.endswith(_SYNC) and re.fullmatch(r"\w+:\w+(\.\w+)?", action) is not None
    return action in _OPTIMISED.get(service, ())


def _integration(text: str, service: str, action: str, machine_type: MachineType) -> Resource:
    pattern = next((each for each in (*_SYNC, _CALLBACK) if action.endswith(each)), "")
    if machine_type == "EXPRESS" and pattern:
        # AWS's message ends in a space.
        raise Refused(f"Express state machine does not support '{pattern}' service integration ")
    if service == _SDK:  # the service behind it is a part of its name, as in aws-sdk:s3
        behind, _, action = action.partition(":")
        service = f"{service}:{behind}"
    return Resource(
        text=text,
        kind="integration",
        service=service,
        action=action,
        pattern="callback" if pattern == _CALLBACK else "request",
    )
