"""A folded execution is the live one, at every step, and a recorded step can be decided again."""

import json
from random import Random
from typing import Any

import pytest

from eventmill.codec import decode_step, encode_step
from eventmill.errors import ReplayMismatch
from eventmill.machine.commands import RunTask
from eventmill.machine.execution import RUNNING
from eventmill.machine.facts import (
    Fact,
    StartExecution,
    StopExecution,
    TaskFailed,
    TaskHeartbeat,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    TimeReached,
)
from eventmill.machine.transition import advance, outstanding
from eventmill.model import Payload, Quotas
from eventmill.rows import StepRow
from eventmill.runtime.replay import replay, verify
from tests.unit.machine.worlds import IDENTITY, World, snapshot

RETRY = [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "JitterStrategy": "FULL"}]


def call(name: str, **fields: Any) -> dict[str, Any]:
    parameters = {"FunctionName": name, "Payload.$": "$"}
    resource = "arn:aws:states:::lambda:invoke"
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, **fields}


def branch(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


EVERYTHING: dict[str, Any] = {
    "Prepare": {"Type": "Pass", "Result": [3, 1, 2], "ResultPath": "$.items", "Next": "Fork"},
    "Fork": {
        "Type": "Parallel",
        "Branches": [
            branch(
                Call=call("a", Retry=RETRY, TimeoutSeconds=30, Next="Pause"),
                Pause={"Type": "Wait", "Seconds": 5, "End": True},
            ),
            branch(
                Each={
                    "Type": "Map",
                    "ItemsPath": "$.items",
                    "ItemSelector": {"n.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"},
                    "MaxConcurrency": 2,
                    "ItemProcessor": branch(
                        Work=call("b", Retry=RETRY, ResultPath="$.result", Next="Look"),
                        Look={
                            "Type": "Choice",
                            "Choices": [
                                {"Variable": "$.n", "NumericGreaterThan": 1, "Next": "More"}
                            ],
                            "Default": "Enough",
                        },
                        More={"Type": "Wait", "Seconds": 2, "End": True},
                        Enough={
                            "Type": "Pass",
                            "Parameters": {"item.$": "$$.Map.Item.Value"},
                            "End": True,
                        },
                    ),
                    "Retry": [{"ErrorEquals": ["Broken"], "MaxAttempts": 1}],
                    "End": True,
                }
            ),
        ],
        "Retry": [{"ErrorEquals": ["Broken"], "MaxAttempts": 1}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.caught", "Next": "Ask"}],
        "ResultPath": "$.forked",
        "Next": "Ask",
    },
    "Ask": {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "c", "Payload": {"token.$": "$$.Task.Token"}},
        "HeartbeatSeconds": 60,
        "TimeoutSeconds": 600,
        "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "End"}],
        "Next": "End",
    },
    "End": {"Type": "Succeed"},
}


def some_fact(random: Random, world: World) -> Fact:
    tasks = list(world.execution.tasks.values())
    if not tasks or random.random() < 0.1:
        return TimeReached()
    frame = random.choice(tasks)
    assert frame.task is not None
    id = frame.task.id
    output = Payload.of({"value": random.randrange(100), "text": "é" * random.randrange(5)})
    facts: list[Fact] = [
        TaskStarted(task=id),
        TaskSucceeded(task=id, output=output),
        TaskSucceeded(task=id, output=output),
        TaskSucceeded(task=id, output=Payload(b'{ "spaced" : [1.50, 1e3] }')),
        TaskSubmitted(task=id, output=output),
        TaskHeartbeat(task=id),
        TaskFailed(task=id, error=random.choice(["Flaky", "Broken", "Other"]), cause="x"),
        TaskFailed(task=id, error="Flaky", cause=None),
        TaskSucceeded(task=99_999, output=output),
    ]
    if random.random() < 0.01:
        return StopExecution(error=None, cause="tired")
    return random.choice(facts)


def live(seed: int) -> World:
    """An execution in a world that fails, dawdles and repeats itself at random."""
    random = Random(seed)
    world = World(EVERYTHING)
    world.start({"seed": seed})
    while world.execution.status == RUNNING:
        fact = some_fact(random, world)
        if isinstance(fact, TimeReached):
            due_ms = world.execution.next_due_ms()
            if due_ms is not None:
                world.now_ms = max(world.now_ms, due_ms)
        world.tell(fact, random.randrange(3_000))
        assert snapshot(world.folded()) == snapshot(world.execution)
        assert len(world.events) < 5_000, "it never ends"
    return world


@pytest.mark.parametrize("seed", range(150))
def test_folding_the_stored_steps_gives_the_live_execution(seed: int) -> None:
    live(seed)


@pytest.mark.parametrize("seed", range(150, 200))
def test_recorded_steps_are_decided_alike_for_ever(seed: int) -> None:
    world = live(seed)
    rows = [
        StepRow(execution=1, step=number, body=body)
        for number, body in enumerate(world.bodies, start=1)
    ]
    assert verify(IDENTITY, world.machine, rows) == len(rows)


def test_every_outcome_occurs_among_the_seeds() -> None:
    outcomes = {live(seed).execution.status for seed in range(150)}
    assert outcomes == {"SUCCEEDED", "FAILED", "ABORTED"}


def test_a_folded_execution_goes_on_as_the_live_one_would() -> None:
    world = World(EVERYTHING)
    world.start()
    for command in outstanding(world.execution):
        assert isinstance(command, RunTask)
        world.tell(TaskSucceeded(task=command.task, output=Payload.of({"Payload": 1})), 10)
    resumed = world.folded()
    assert outstanding(resumed) == outstanding(world.execution)
    fact = TimeReached()
    due_ms = world.execution.next_due_ms()
    assert due_ms is not None
    assert advance(resumed, fact, due_ms).events == advance(world.execution, fact, due_ms).events
    assert snapshot(resumed) == snapshot(world.execution)


def test_an_execution_keeps_the_quotas_it_was_started_with() -> None:
    quotas = Quotas(history_events_max=8, map_concurrency_max=3)
    world = World({"A": call("a", Next="B"), "B": {"Type": "Pass", "End": True}}, quotas=quotas)
    world.run(script=lambda command: {"Payload": 1})
    rows = [
        StepRow(execution=1, step=number, body=body)
        for number, body in enumerate(world.bodies, start=1)
    ]
    assert world.execution.status == "FAILED"
    assert world.folded().quotas == quotas
    assert verify(IDENTITY, world.machine, rows) == len(rows)


def test_a_step_that_does_not_follow_is_found() -> None:
    world = World({"A": call("a", Next="B"), "B": {"Type": "Pass", "End": True}})
    world.run(script=lambda command: {"Payload": 1})
    forged = json.loads(world.bodies[1])
    forged[2][-1][4]["output"] = {"Payload": 2}
    rows = [
        StepRow(execution=1, step=1, body=world.bodies[0]),
        StepRow(execution=1, step=2, body=json.dumps(forged, separators=(",", ":")).encode()),
    ]
    with pytest.raises(ReplayMismatch) as caught:
        verify(IDENTITY, world.machine, rows)
    assert caught.value.step == 2
    assert caught.value.computed == world.bodies[1]


@pytest.mark.parametrize(
    ("place", "value"),
    [((2, 0, 4, "input"), None), ((2, 0, 4, "roleArn"), 7), ((2, 0, 5), {}), ((1, 0), "Nothing")],
)
def test_a_step_that_somebody_changed_is_no_step(place: tuple[Any, ...], value: Any) -> None:
    world = World({"A": {"Type": "Pass", "End": True}})
    world.start()
    forged = json.loads(world.bodies[0])
    holder = forged
    for key in place[:-1]:
        holder = holder[key]
    if value is None:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    with pytest.raises(ValueError, match=r"step|start"):
        decode_step(json.dumps(forged).encode(), None)


def test_an_event_that_fits_nowhere_is_told() -> None:
    world = World({"A": call("a", End=True)})
    world.start()
    rows = [StepRow(execution=1, step=1, body=world.bodies[0])] * 2
    with pytest.raises(ValueError, match="does not fit"):
        replay(IDENTITY, world.machine, rows)


def test_a_stored_step_keeps_json_text_byte_for_byte() -> None:
    world = World({"A": {"Type": "Pass", "End": True}})
    text = b'{"b": 1.50,\n "a":[ 1e2 ]}'
    step = world.tell(StartExecution(input=Payload(text), seed=1, role_arn="role"))
    again = decode_step(*encode_step(step.at_ms, step.fact, step.events))
    assert [e.details["output"] for e in again.events if e.details and "output" in e.details] == [
        Payload(text),
        Payload(text),
    ]
