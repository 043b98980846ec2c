"""SendTaskSuccess, SendTaskFailure, SendTaskHeartbeat: answers to `.waitForTaskToken` tasks.

The order of the checks is the service's: the members, the token, the output, and last whether
anybody still waits.
"""

from typing import Final

from eventmill.api.constraints import CAUSE, ERROR, Text
from eventmill.api.operation import Answer, Operation, Request
from eventmill.api.payloads import task_output
from eventmill.codec import decode_step
from eventmill.errors import InvalidToken, TaskTimedOut
from eventmill.machine.facts import Fact, TaskFailed, TaskHeartbeat, TaskSucceeded
from eventmill.machine.tokens import is_genuine, read_token
from eventmill.runtime.system import System

_TASK_TOKEN: Final = Text(min=1, max=2_048, required=True)


async def send_task_success(system: System, request: Request) -> Answer:
    """Give a task its output; the answer comes after that is durable.

    Raises:
        InvalidToken: No execution of ours made the token.
        ConstraintViolation, InvalidOutput: The output is over the quota, or not JSON.
        TaskTimedOut: The task has already ended.
    """
    execution, task = await _named_task(system, request["taskToken"])
    output = task_output(request["output"], system.settings.quotas)
    return await _tell(system, execution, TaskSucceeded(task=task, output=output))


async def send_task_failure(system: System, request: Request) -> Answer:
    """Make a task fail; the answer comes after that is durable.

    Raises:
        InvalidToken: No execution of ours made the token.
        TaskTimedOut: The task has already ended.
    """
    execution, task = await _named_task(system, request["taskToken"])
    error, cause = request.get("error"), request.get("cause")
    return await _tell(system, execution, TaskFailed(task=task, error=error, cause=cause))


async def send_task_heartbeat(system: System, request: Request) -> Answer:
    """Say that somebody is at work on a task; the answer comes after that is durable.

    Raises:
        InvalidToken: No execution of ours made the token.
        TaskTimedOut: The task has already ended.
    """
    execution, task = await _named_task(system, request["taskToken"])
    return await _tell(system, execution, TaskHeartbeat(task=task))


async def _named_task(system: System, token: str) -> tuple[int, int]:
    """The execution and the task that a token names, once it has proven to be genuine."""
    arn, task = read_token(token)
    row = await system.log.execution(arn)
    if row is not None:
        first, *_ = await system.log.read(row.id)
        if is_genuine(token, decode_step(first.body, first.payloads).events[0].noted("seed")):
            return row.id, task
    raise InvalidToken(f"Invalid Token: '{token[:80]}'")


async def _tell(system: System, execution: int, fact: Fact) -> Answer:
    if not await system.engine.told(execution, fact):
        raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")
    return {}


OPERATIONS: Final = {
    "SendTaskSuccess": Operation(
        members={"taskToken": _TASK_TOKEN, "output": Text(required=True)},
        run=send_task_success,
    ),
    "SendTaskFailure": Operation(
        members={"taskToken": _TASK_TOKEN, "error": ERROR, "cause": CAUSE},
        run=send_task_failure,
    ),
    "SendTaskHeartbeat": Operation(
        members={"taskToken": _TASK_TOKEN},
        run=send_task_heartbeat,
    ),
}
