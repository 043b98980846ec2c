"""Tasks that call a function: `arn:aws:states:::lambda:invoke` and function ARNs as Resource.

Here a function is a handler. Source: "Invoke an AWS Lambda function with Step Functions"; the
shape of the answers is the service's.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Final

from eventmill.arn import function_name
from eventmill.handler import request_id
from eventmill.machine.commands import RunTask
from eventmill.machine.facts import Fact, TaskFailed, TaskHeartbeat, TaskSubmitted, TaskSucceeded
from eventmill.model import (
    EMPTY_OBJECT,
    LARGE_BYTES_MIN,
    Enveloped,
    Json,
    Payload,
    decode_json,
    encode_json,
)
from eventmill.ports import Answer, Executor, Invocation, Raised

Report = Callable[[Fact], None]


class LambdaFunction:
    """Carries out RunTask commands by invoking handlers."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._ids = count(1)
        self._alive: dict[int, Callable[[], None]] = {}  # by invocation, while it runs

    def run(self, execution_arn: str, command: RunTask, report: Report) -> Callable[[], None]:
        """Invoke the handler; its answer is reported as a fact. The result cancels the call."""
        direct = command.resource.kind == "function"
        called = _called_directly(command) if direct else _called_by_name(command)
        if isinstance(called, TaskFailed):
            return asyncio.get_running_loop().call_soon(report, called).cancel
        function, payload = called
        invocation = Invocation(
            id=next(self._ids),
            function=function,
            payload=payload,
            execution_arn=execution_arn,
            state=command.state,
            token=command.token or "",
            idempotency_key=command.idempotency_key,
            attempt=command.attempt,
            deadline_ms=command.deadline_ms,
        )
        answered = _direct_answer if direct else _enveloped_answer
        self._alive[invocation.id] = lambda: report(TaskHeartbeat(task=command.task))

        def answer(given: Answer) -> None:
            self._alive.pop(invocation.id, None)
            report(answered(command, given))

        def cancel() -> None:
            self._alive.pop(invocation.id, None)
            self._executor.cancel(invocation.id)

        self._executor.invoke(invocation, answer)
        return cancel

    def heartbeat(self, invocation: Invocation) -> None:
        """Take note that a handler says it is alive. Call it in the event loop."""
        alive = self._alive.get(invocation.id)
        if alive is not None:
            alive()


def _called_directly(command: RunTask) -> tuple[str, Payload]:
    return function_name(command.resource.text), command.parameters


def _called_by_name(command: RunTask) -> tuple[str, Payload] | TaskFailed:
    parameters = command.parameters.value
    name = parameters.get("FunctionName") if isinstance(parameters, dict) else None
    if not isinstance(parameters, dict) or not isinstance(name, str) or not name:
        cause = "Parameters must name the function: FunctionName is missing or no string"
        return TaskFailed(task=command.task, error="Lambda.ValidationException", cause=cause)
    body = _body(parameters.get("Payload"), command.parameters.member("Payload"))
    if body is None:
        cause = (
            "Could not parse request body into json: Could not parse payload into json: "
            "the text given as Payload is not JSON (Service: Lambda, Status Code: 400)"
        )
        error = "Lambda.InvalidRequestContentException"
        return TaskFailed(task=command.task, error=error, cause=cause)
    return function_name(name), body


def _body(payload: Json, at_hand: Payload | None) -> Payload | None:
    """What the function receives. A string is the raw body itself; null stands for `{}`."""
    if payload is None:
        return EMPTY_OBJECT
    if not isinstance(payload, str):
        return at_hand or Payload.of(payload)
    try:
        return Payload.parse(payload.encode())
    except ValueError:
        return None


def _direct_answer(command: RunTask, answer: Answer) -> Fact:
    if isinstance(answer, Raised):
        return TaskFailed(task=command.task, error=answer.error, cause=answer.cause)
    return TaskSucceeded(task=command.task, output=answer.output)


def _enveloped_answer(command: RunTask, answer: Answer) -> Fact:
    if isinstance(answer, Raised):
        cause = _compact(answer.cause)
        return TaskFailed(task=command.task, error=answer.error, cause=cause)
    # The handler knows its call by the same id.
    id = request_id(command.idempotency_key, command.attempt)
    output = _enveloped(answer.output, id)
    if command.resource.pattern == "callback":
        return TaskSubmitted(task=command.task, output=output)
    return TaskSucceeded(task=command.task, output=output)


def _compact(cause: str) -> str:
    """An error object as `lambda:invoke` writes it again; a function ARN keeps Lambda's spaces."""
    try:
        value = decode_json(cause)
    except ValueError:
        return cause
    return encode_json(value).decode() if isinstance(value, dict) else cause


# The handler's result stands in it as it is: it is neither read nor written again.
_BEFORE: Final = b'{"ExecutedVersion":"$LATEST","Payload":'
_AFTER: Final = (
    b',"SdkHttpMetadata":{"AllHttpHeaders":{"X-Amz-Executed-Version":["$LATEST"],'
    b'"x-amzn-RequestId":["%b"],"Content-Type":["application/json"]},'
    b'"HttpHeaders":{"Content-Type":"application/json","X-Amz-Executed-Version":"$LATEST",'
    b'"x-amzn-RequestId":"%b"},"HttpStatusCode":200},'
    b'"SdkResponseMetadata":{"RequestId":"%b"},"StatusCode":200}'
)


def _enveloped(result: Payload, request_id: str) -> Payload:
    id = request_id.encode()
    after = _AFTER % (id, id, id)
    if len(result) < LARGE_BYTES_MIN:
        return Payload(b"".join((_BEFORE, result.text, after)))
    return Enveloped(_BEFORE, result, after, "Payload")
