"""A Task without a mock: its handler is called."""

import asyncio
from typing import Any

import pytest

from eventmill.machine.commands import RunTask
from eventmill.machine.facts import TaskFailed, TaskHeartbeat, TaskSucceeded
from eventmill.model import Payload
from tests.unit.inspection.trials import INVOKE, NOW_MS, Handlers, refused, tried

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
CALL: dict[str, Any] = {"Type": "Task", "Resource": FUNCTION, "End": True}


def returned(command: RunTask) -> TaskSucceeded:
    return TaskSucceeded(task=command.task, output=Payload.of({"got": command.parameters.value}))


def raised(command: RunTask) -> TaskFailed:
    return TaskFailed(task=command.task, error="Boom", cause="because")


def alive(command: RunTask) -> TaskHeartbeat:
    return TaskHeartbeat(task=command.task)


async def test_a_handler_is_called_with_the_parameters() -> None:
    handlers = Handlers(alive, returned)
    answer = await tried(CALL, run=handlers.run, roleArn="role", input={"a": 1})

    (command,) = handlers.commands
    assert (command.resource.text, command.state) == (FUNCTION, "StateName")
    assert answer["output"] == answer["inspectionData"]["result"] == '{"got":{"a":1}}'
    assert answer["inspectionData"]["afterParameters"] == '{"a":1}'


async def test_what_a_handler_raises_fails_the_state() -> None:
    state = {**CALL, "Retry": [{"ErrorEquals": ["Boom"]}]}
    answer = await tried(state, run=Handlers(raised).run, roleArn="role")

    assert (answer["status"], answer["error"], answer["cause"]) == (
        "RETRIABLE",
        "Boom",
        "because",
    )


async def test_only_the_first_answer_counts() -> None:
    answer = await tried(CALL, run=Handlers(returned, raised).run, roleArn="role")

    assert answer["status"] == "SUCCEEDED"


async def test_a_handler_has_the_time_that_its_state_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    timeout = asyncio.timeout

    def at_once(seconds: float) -> asyncio.Timeout:
        given.append(seconds)
        return timeout(0)

    monkeypatch.setattr(asyncio, "timeout", at_once)
    handlers = Handlers()
    answer = await tried({**CALL, "TimeoutSeconds": 7}, run=handlers.run, roleArn="role")
    await tried(CALL, run=handlers.run, roleArn="role")

    assert (answer["status"], answer["error"]) == ("FAILED", "States.Timeout")
    assert "cause" not in answer
    assert given == [7, 300]
    assert [each.deadline_ms for each in handlers.commands] == [NOW_MS + 7000, None]
    assert handlers.cancelled == [each.task for each in handlers.commands]


async def test_a_task_without_a_mock_wants_a_role() -> None:
    assert await refused(CALL, run=Handlers(returned).run) == (
        "ValidationException",
        "RoleArn must be specified when testing a Task state",
    )


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::sqs:sendMessage",
        "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "arn:aws:states:us-east-1:123456789012:activity:work",
    ],
)
async def test_what_no_handler_does_wants_a_mock(resource: str) -> None:
    handlers = Handlers(returned)
    code, message = await refused(
        {**INVOKE, "Resource": resource}, run=handlers.run, roleArn="role"
    )

    assert code == "ValidationException"
    assert message.startswith(f"A mock is required to test a state that calls {resource}")
    assert handlers.commands == []


async def test_without_handlers_every_task_wants_a_mock() -> None:
    code, message = await refused(CALL, roleArn="role")

    assert code == "ValidationException"
    assert FUNCTION in message
