"""Task: asks for work and waits for its answer."""

from typing import Final

from eventmill.asl.error_names import DATA_LIMIT_EXCEEDED, HEARTBEAT_TIMEOUT, TIMEOUT
from eventmill.asl.query_results import queried_number
from eventmill.asl.syntax import TASK_TIMEOUT_SECONDS_DEFAULT, Resource, Task
from eventmill.errors import AuthorError
from eventmill.machine import data_flow, failing
from eventmill.machine.commands import RunTask
from eventmill.machine.context import environment
from eventmill.machine.decision import Decision, too_large
from eventmill.machine.execution import Execution, Frame, is_late
from eventmill.machine.history import Details, reason_of
from eventmill.machine.numbers import Look, look_of, not_a, value_at
from eventmill.machine.tokens import task_token
from eventmill.model import Failure, Payload
from eventmill.query.jsonata import Query
from eventmill.query.jsonpath import Path

# The events of a task are named after what it calls; a function ARN has names of its own.
_PREFIX: Final = {"function": "LambdaFunction", "integration": "Task"}

SCHEDULED: Final = frozenset(f"{prefix}Scheduled" for prefix in _PREFIX.values())


def schedule(decision: Decision, frame: Frame, state: Task) -> None:
    """Make an attempt, the first or one after a retry's delay.

    Raises:
        AuthorError: The parameters or a timeout cannot be worked out.
    """
    parameters = data_flow.effective_input(decision.execution, frame, state)
    if len(parameters) > decision.execution.quotas.payload_bytes_max:
        raise AuthorError(DATA_LIMIT_EXCEEDED, too_large(_called_as(state.resource)), located=False)
    details = _called(state.resource)
    if state.resource.kind == "function":
        details = {"resource": state.resource.text, "input": parameters}
    else:
        details["region"] = decision.execution.identity.region
        details["parameters"] = parameters
    _add_limits(decision, frame, state, details)
    if state.credentials is not None:
        role = state.credentials.render(environment(decision.execution, frame, frame.data)).value
        if isinstance(role, dict):
            details["taskCredentials"] = {"roleArn": role.get("RoleArn")}
    decision.emit(frame, _type(state.resource, "Scheduled"), details)


def _add_limits(decision: Decision, frame: Frame, state: Task, details: Details) -> None:
    if state.timeout_seconds is None and state.heartbeat_seconds is None:
        return
    look = look_of(decision.execution, frame, state)
    timeout = _seconds(look, "TimeoutSeconds", state.timeout_seconds)
    heartbeat = _seconds(look, "HeartbeatSeconds", state.heartbeat_seconds)
    if timeout is not None and timeout < TASK_TIMEOUT_SECONDS_DEFAULT:
        details["timeoutInSeconds"] = timeout
    if heartbeat is not None:
        details["heartbeatInSeconds"] = heartbeat


def _seconds(look: Look, field: str, given: int | Path | Query | None) -> int | None:
    if isinstance(given, Query):
        return queried_number(given, look())
    if not isinstance(given, Path):
        return given
    seconds = value_at(look, given)
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds <= 0:
        not_a("integer", field, given, seconds)
    return seconds


def started(decision: Decision, frame: Frame) -> None:
    """The work has begun."""
    assert frame.task is not None
    if not frame.task.started:
        resource = _resource(frame)
        decision.emit(frame, _type(resource, "Started"), _called(resource) or None)


def submitted(decision: Decision, frame: Frame, output: Payload) -> None:
    """The call was made; whoever got the token will answer."""
    started(decision, frame)
    resource = _resource(frame)
    decision.emit(frame, _type(resource, "Submitted"), {**_called(resource), "output": output})


def succeeded(decision: Decision, frame: Frame, output: Payload) -> None:
    """The work is done.

    Raises:
        AuthorError: The result does not pass ResultSelector, ResultPath or OutputPath.
    """
    started(decision, frame)
    state, resource = frame.state, _resource(frame)
    assert isinstance(state, Task)
    decision.emit(frame, _type(resource, "Succeeded"), {**_called(resource), "output": output})
    data_flow.leave_with(decision, frame, state, output)


def failed(decision: Decision, frame: Frame, failure: Failure) -> None:
    """The work failed."""
    started(decision, frame)
    _end_badly(decision, frame, "Failed", failure)
    failing.fail(decision, frame, failure)


def timed_out(decision: Decision, frame: Frame) -> Failure:
    """The work took too long, or was silent too long; the failure is still to be dealt with."""
    late = is_late(frame, decision.now_ms)
    started(decision, frame)
    _end_badly(decision, frame, "TimedOut", Failure(error=TIMEOUT))
    return Failure(error=TIMEOUT if late else HEARTBEAT_TIMEOUT)


def too_large_result(frame: Frame) -> Failure:
    """What a result over the quota means for its task."""
    return Failure(error=DATA_LIMIT_EXCEEDED, cause=too_large(_called_as(_resource(frame))))


def _called_as(resource: Resource) -> str:
    return resource.text if resource.kind == "function" else resource.service


def run_task(execution: Execution, frame: Frame) -> RunTask:
    """The command that the frame's Scheduled event stands for."""
    task, identity = frame.task, execution.identity
    assert task is not None
    assert frame.state is not None
    resource = _resource(frame)
    token = None
    if resource.pattern == "callback":
        token = task_token(identity.arn, execution.seed, task.id)
    return RunTask(
        task=task.id,
        state=frame.state.name,
        resource=resource,
        parameters=task.parameters,
        token=token,
        idempotency_key=f"{identity.arn}#{frame.entered_id}",
        attempt=frame.retry_count + 1,
        deadline_ms=task.deadline_ms,
    )


def _end_badly(decision: Decision, frame: Frame, outcome: str, failure: Failure) -> None:
    resource = _resource(frame)
    details = {**_called(resource), **reason_of(failure)}
    decision.emit(frame, _type(resource, outcome), details)


def _resource(frame: Frame) -> Resource:
    assert isinstance(frame.state, Task)
    return frame.state.resource


def _called(resource: Resource) -> Details:
    """What the events of a task say of its resource: nothing, where it is a function's ARN."""
    if resource.kind == "function":
        return {}
    return {"resourceType": resource.service, "resource": resource.action}


def _type(resource: Resource, outcome: str) -> str:
    return f"{_PREFIX[resource.kind]}{outcome}"
