"""Large payloads stand in others as they are, and nothing of it can be seen in a history."""

import json
from typing import Any

import pytest

from eventmill import model
from eventmill.codec import decode_step, encode_step
from eventmill.machine.commands import RunTask
from eventmill.machine.facts import StartExecution, TaskStarted, TaskSucceeded
from eventmill.model import LARGE_BYTES_MIN, Enveloped, Payload
from tests.unit.machine.worlds import World

INVOKE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f", "Payload.$": "$", "Qualifier.$": "$.id"},
}
STATES: dict[str, Any] = {
    "Taken": {**INVOKE, "OutputPath": "$.Payload", "Next": "Placed"},
    "Placed": {**INVOKE, "ResultPath": "$.result", "Next": "Deep"},
    "Deep": {**INVOKE, "OutputPath": "$.Payload.result.Payload", "Next": "Whole"},
    "Whole": {**INVOKE, "Next": "Chosen"},
    "Chosen": {
        "Type": "Choice",
        "Choices": [{"Variable": "$.Payload.id", "StringEquals": "ü", "Next": "Last"}],
    },
    "Last": {"Type": "Pass", "OutputPath": "$.Payload", "End": True},
}
DATA: dict[str, Any] = {"id": "ü", "rows": ["x\\\u2028", 1.0, None] * LARGE_BYTES_MIN}
BEFORE, AFTER = b'{"ExecutedVersion":"$LATEST","Payload":', b',"StatusCode":200}'


def run(text: bytes) -> tuple[World, set[str]]:
    """A run in which every task returns its `Payload`, and the payloads that are kept apart."""
    world, kept = World(STATES), set[str]()
    step = world.tell(StartExecution(input=Payload(text), seed=1, role_arn="role"))
    while step.commands:
        (command,) = step.commands
        assert isinstance(command, RunTask)
        parameters = command.parameters
        assert isinstance(parameters.value, dict)
        result = parameters.member("Payload") or Payload.of(parameters.value["Payload"])
        world.tell(TaskStarted(task=command.task))
        output = Enveloped(BEFORE, result, AFTER, "Payload")
        step = world.tell(TaskSucceeded(task=command.task, output=output))
        body, payloads = encode_step(step.at_ms, step.fact, step.events)
        stored = decode_step(body, payloads)
        assert list(stored.events) == list(step.events)
        assert stored.fact == step.fact
        kept |= set(payloads or {})
    assert world.execution.status == "SUCCEEDED"
    return world, kept


@pytest.mark.parametrize(
    "text",
    [Payload.of(DATA).text, json.dumps(DATA).encode(), json.dumps(DATA, indent=1).encode()],
    ids=["compact", "escaped", "spaced"],
)
def test_a_history_is_the_same_however_payloads_are_held(
    text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = run(text)
    monkeypatch.setattr(model, "LARGE_BYTES_MIN", 1 << 40)
    monkeypatch.setattr(Enveloped, "member", Payload.member)
    again, _ = run(text)
    assert again.bodies == world.bodies
    assert world.execution.output == Payload.of(DATA)


def test_one_text_is_kept_for_all_that_hand_it_on() -> None:
    _, kept = run(Payload.of(DATA).text)
    envelope = Payload(BEFORE + Payload.of(DATA).text + AFTER).value
    placed = Payload.of({**DATA, "result": envelope})
    assert kept == {Payload.of(DATA).digest, placed.digest}
