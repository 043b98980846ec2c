"""Tasks that call functions: what goes to the handler, and what its answer becomes."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from eventmill.asl.syntax import Resource
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.machine.commands import RunTask
from eventmill.machine.facts import Fact, TaskFailed, TaskHeartbeat, TaskSubmitted, TaskSucceeded
from eventmill.model import Json, Payload
from eventmill.ports import Answer, Invocation, Raised, Returned

ARN = "arn:aws:lambda:local:000000000000:function:work:live"
DIRECT = Resource(text=ARN, kind="function", service="lambda", action="invoke")
INVOKE = Resource(
    text="arn:aws:states:::lambda:invoke", kind="integration", service="lambda", action="invoke"
)
ASK = Resource(
    text="arn:aws:states:::lambda:invoke.waitForTaskToken",
    kind="integration",
    service="lambda",
    action="invoke.waitForTaskToken",
    pattern="callback",
)


class Calls:
    """An executor that keeps what it is asked, for the test to answer."""

    def __init__(self) -> None:
        self.invocations: list[Invocation] = []
        self.answers: list[Callable[[Answer], None]] = []
        self.cancelled: list[int] = []

    def invoke(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        self.invocations.append(invocation)
        self.answers.append(answer)

    def cancel(self, invocation: int) -> None:
        self.cancelled.append(invocation)


def command(resource: Resource, parameters: Json) -> RunTask:
    return RunTask(
        task=5,
        state="Work",
        resource=resource,
        parameters=Payload.of(parameters),
        token="token" if resource.pattern == "callback" else None,
        idempotency_key="key",
        attempt=2,
        deadline_ms=99,
    )


def carry_out(resource: Resource, parameters: Json, answer: Answer) -> tuple[Invocation, Fact]:
    calls, facts = Calls(), list[Fact]()
    LambdaFunction(calls).run("execution", command(resource, parameters), facts.append)
    calls.answers[0](answer)
    (fact,) = facts
    return calls.invocations[0], fact


def test_a_function_arn_passes_text_both_ways() -> None:
    result = Payload(b'{ "spaced": 1 }')
    invocation, fact = carry_out(DIRECT, {"x": 1}, Returned(output=result))
    assert (invocation.function, invocation.payload.value) == ("work", {"x": 1})
    assert (invocation.attempt, invocation.deadline_ms, invocation.token) == (2, 99, "")
    assert fact == TaskSucceeded(task=5, output=result)


def test_invoke_wraps_the_result_as_the_service_does() -> None:
    _, fact = carry_out(INVOKE, {"FunctionName": "work"}, Returned(output=Payload.of([1])))
    assert isinstance(fact, TaskSucceeded)
    envelope: Any = fact.output.value
    request_id = envelope["SdkResponseMetadata"]["RequestId"]
    assert list(envelope) == [
        "ExecutedVersion",
        "Payload",
        "SdkHttpMetadata",
        "SdkResponseMetadata",
        "StatusCode",
    ]
    assert (envelope["Payload"], envelope["StatusCode"]) == ([1], 200)
    assert envelope["SdkHttpMetadata"]["HttpHeaders"]["x-amzn-RequestId"] == request_id


@pytest.mark.parametrize(
    ("payload", "received"),
    [
        ({"Payload": {"a": 1}}, {"a": 1}),
        ({"Payload": '{"a": 1}'}, {"a": 1}),
        ({"Payload": "null"}, None),
        ({"Payload": None}, {}),
        ({}, {}),
    ],
)
def test_a_string_is_the_body_itself(payload: dict[str, Json], received: Json) -> None:
    answer = Returned(output=Payload.of(None))
    invocation, _ = carry_out(INVOKE, {"FunctionName": ARN, **payload}, answer)
    assert (invocation.function, invocation.payload.value) == ("work", received)


def test_an_error_object_is_compact_for_invoke_and_as_it_was_for_an_arn() -> None:
    cause = json.dumps({"errorMessage": "no", "errorType": "E"})
    raised = Raised(error="E", cause=cause)
    assert carry_out(DIRECT, {}, raised)[1] == TaskFailed(task=5, error="E", cause=cause)
    assert carry_out(INVOKE, {"FunctionName": "work"}, raised)[1] == TaskFailed(
        task=5, error="E", cause='{"errorMessage":"no","errorType":"E"}'
    )
    sentence = Raised(error="E", cause="not found (404)")
    assert carry_out(INVOKE, {"FunctionName": "work"}, sentence)[1] == TaskFailed(
        task=5, error="E", cause="not found (404)"
    )


def test_a_callback_task_goes_on_waiting_after_the_call() -> None:
    invocation, fact = carry_out(ASK, {"FunctionName": "work"}, Returned(output=Payload.of(1)))
    assert invocation.token == "token"
    assert isinstance(fact, TaskSubmitted)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({}, "Lambda.ValidationException"),
        ({"FunctionName": 7}, "Lambda.ValidationException"),
        ({"FunctionName": "work", "Payload": "{"}, "Lambda.InvalidRequestContentException"),
    ],
)
async def test_what_cannot_be_called_fails_the_task_a_moment_later(
    parameters: Json, error: str
) -> None:
    calls, facts = Calls(), list[Fact]()
    LambdaFunction(calls).run("execution", command(INVOKE, parameters), facts.append)
    assert facts == []
    await asyncio.sleep(0)
    (fact,) = facts
    assert isinstance(fact, TaskFailed)
    assert (fact.error, calls.invocations) == (error, [])


def test_a_heartbeat_counts_while_the_handler_runs() -> None:
    calls, facts = Calls(), list[Fact]()
    function = LambdaFunction(calls)
    cancel = function.run("execution", command(DIRECT, {}), facts.append)
    function.heartbeat(calls.invocations[0])
    assert facts == [TaskHeartbeat(task=5)]
    cancel()
    function.heartbeat(calls.invocations[0])
    assert (len(facts), calls.cancelled) == (1, [calls.invocations[0].id])
