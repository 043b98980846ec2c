"""The Step Functions service: from the name of an operation and a body to an answer."""

from typing import Final

from eventmill.api.constraints import checked
from eventmill.api.errors import SerializationException
from eventmill.api.operation import Answer, Operation
from eventmill.api.operations import (
    executions,
    history,
    map_runs,
    state_machines,
    tasks,
    test_state,
)
from eventmill.api.structures import checked_structures
from eventmill.errors import UnknownOperation
from eventmill.model import Json, decode_json
from eventmill.runtime.system import System

TARGET_PREFIX: Final = "AWSStepFunctions."

OPERATIONS: Final[dict[str, Operation]] = {
    **executions.OPERATIONS,
    **history.OPERATIONS,
    **map_runs.OPERATIONS,
    **state_machines.OPERATIONS,
    **tasks.OPERATIONS,
    **test_state.OPERATIONS,
}

# What AWS offers besides.
NOT_OFFERED: Final = frozenset(
    {
        "CreateActivity",
        "CreateStateMachine",
        "CreateStateMachineAlias",
        "DeleteActivity",
        "DeleteStateMachine",
        "DeleteStateMachineAlias",
        "DeleteStateMachineVersion",
        "DescribeActivity",
        "DescribeStateMachineAlias",
        "DescribeStateMachineForExecution",
        "GetActivityTask",
        "ListActivities",
        "ListStateMachineAliases",
        "ListStateMachineVersions",
        "ListTagsForResource",
        "PublishStateMachineVersion",
        "RedriveExecution",
        "StartSyncExecution",
        "TagResource",
        "UntagResource",
        "UpdateMapRun",
        "UpdateStateMachine",
        "UpdateStateMachineAlias",
        "ValidateStateMachineDefinition",
    }
)


async def call(system: System, target: str, body: bytes) -> Answer:
    """Carry out the operation that the header X-Amz-Target names.

    Raises:
        ServiceError: The request cannot be carried out; nothing has changed.
        LogUnavailable: The disk refuses.
    """
    operation = _operation(target)
    members = _read(body)
    request = checked(operation.members, members)
    request |= checked_structures(operation.structures, members)
    return await operation.run(system, request)


def _operation(target: str) -> Operation:
    name = target.removeprefix(TARGET_PREFIX)
    if name == target:
        raise UnknownOperation(
            f"The header X-Amz-Target must name an operation, such as "
            f"{TARGET_PREFIX}StartExecution; it is {target[:80]!r}"
        )
    operation = OPERATIONS.get(name)
    if operation is None and name in NOT_OFFERED:
        raise UnknownOperation(f"Eventmill does not offer the operation {name} yet")
    if operation is None:
        raise UnknownOperation(f"Step Functions has no operation {name[:80]!r}")
    return operation


def _read(body: bytes) -> dict[str, Json]:
    try:
        request = decode_json(body)
    except ValueError as error:
        raise SerializationException(f"The body is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise SerializationException("The body must be a JSON object with the operation's members")
    return request
