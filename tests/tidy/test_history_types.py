"""The history speaks AWS's language: its types, details and fields are in botocore's model.

The first half compares the machine's tables with the model of the Step Functions service; the
second half runs executions through every kind of event and compares what was written.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from botocore.loaders import Loader  # type: ignore[import-untyped]  # it has no types

from eventmill.asl.parser import parse
from eventmill.machine.commands import RunMap, RunTask
from eventmill.machine.execution import EVENT_TYPES, RUNNING, Execution, Identity
from eventmill.machine.facts import (
    Fact,
    MapRunFailed,
    MapRunSucceeded,
    StartExecution,
    StopExecution,
    TaskFailed,
    TaskSubmitted,
    TaskSucceeded,
    TimeReached,
)
from eventmill.machine.history import (
    DETAILS_KEY,
    INTERNAL_TYPES,
    PAYLOAD_FIELDS,
    UNSHOWN_DETAILS,
    HistoryEvent,
)
from eventmill.machine.transition import advance
from eventmill.model import Json, Payload

IDENTITY: Final = Identity(
    arn="arn:aws:states:local:000000000000:execution:all:run",
    name="run",
    state_machine_arn="arn:aws:states:local:000000000000:stateMachine:all",
    state_machine_name="all",
    region="local",
)
FUNCTION: Final = "arn:aws:lambda:local:000000000000:function:work"
INVOKE: Final = "arn:aws:states:::lambda:invoke"
WORK: Final[dict[str, Json]] = {"Type": "Task", "Resource": FUNCTION, "TimeoutSeconds": 9}
CALL: Final[dict[str, Json]] = {
    "Type": "Task",
    "Resource": INVOKE,
    "Parameters": {"FunctionName": "work", "Payload.$": "$"},
    "TimeoutSeconds": 9,
    "HeartbeatSeconds": 5,
    "Credentials": {"RoleArn": "arn:aws:iam::000000000000:role/work"},
}
CALL_BACK: Final[dict[str, Json]] = {
    **CALL,
    "Resource": f"{INVOKE}.waitForTaskToken",
    "Parameters": {"FunctionName": "work", "Payload": {"token.$": "$$.Task.Token"}},
}
WAIT: Final[dict[str, Json]] = {"Type": "Wait", "Seconds": 60}


@pytest.fixture(scope="module")
def shapes() -> dict[str, Any]:
    """The shapes of the service's model."""
    model = Loader().load_service_model("stepfunctions", "service-2")
    found: dict[str, Any] = model["shapes"]
    return found


def details_key(type: str, shapes: dict[str, Any]) -> str | None:
    """Where AWS puts the details of an event of this type, by the names in its model."""
    for ending in ("StateEntered", "StateExited"):
        if type.endswith(ending):
            type = ending
    key = f"{type[0].lower()}{type[1:]}EventDetails"
    return key if key in shapes["HistoryEvent"]["members"] else None


def test_all_types_exist_at_aws(shapes: dict[str, Any]) -> None:
    unknown = EVENT_TYPES - INTERNAL_TYPES - set(shapes["HistoryEventType"]["enum"])

    assert not unknown, f"AWS has no event {sorted(unknown)}: use its word, or add INTERNAL_TYPES"
    assert not INTERNAL_TYPES & set(shapes["HistoryEventType"]["enum"])


def test_details_lie_under_the_keys_of_aws(shapes: dict[str, Any]) -> None:
    keys = {type: details_key(type, shapes) for type in EVENT_TYPES - INTERNAL_TYPES}

    assert dict(DETAILS_KEY) == {type: key for type, key in keys.items() if key is not None}


def machine(**states: dict[str, Json]) -> dict[str, Json]:
    """States one after the other, each leading to the next."""
    names = list(states)
    linked: dict[str, Json] = {}
    for name, follower in zip(names, [*names[1:], None], strict=True):
        way: dict[str, Json] = {"Next": follower} if follower else {"End": True}
        linked[name] = {**states[name], **({} if states[name]["Type"] in ENDS else way)}
    return {"StartAt": names[0], "States": linked}


ENDS: Final = {"Succeed", "Fail", "Choice"}
GOOD: Final = machine(
    Pass={"Type": "Pass"},
    Choice={
        "Type": "Choice",
        "Choices": [{"Variable": "$.items", "IsPresent": True, "Next": "Work"}],
    },
    Work={**WORK, "ResultPath": None},
    Call={**CALL, "ResultPath": None},
    CallBack={**CALL_BACK, "ResultPath": None},
    Wait={"Type": "Wait", "Seconds": 1},
    Both={"Type": "Parallel", "Branches": [machine(A={"Type": "Pass"})], "ResultPath": None},
    Each={
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemProcessor": machine(B={"Type": "Pass"}),
        "ResultPath": None,
    },
    Done={"Type": "Succeed"},
)
BROKEN: Final = machine(A={"Type": "Fail", "Error": "E", "Cause": "because"})


def caught(state: dict[str, Json]) -> dict[str, Json]:
    """The state, going on after any error."""
    return {**state, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Then"}]}


class World:
    """Answers tasks as `answer` says, lets time pass when nobody is at work, keeps the history."""

    def __init__(self, definition: dict[str, Json], answer: str) -> None:
        self.execution = Execution(IDENTITY, parse(json.dumps(definition)).machine)
        self.history: list[HistoryEvent] = []
        self._answer = answer
        self._now_ms = 0

    def run(self) -> list[HistoryEvent]:
        given = Payload.of({"items": [1, 2]})
        todo = self.tell(StartExecution(input=given, seed=1, role_arn="role"))
        while self.execution.status == RUNNING:
            if self._answer == "stop":
                self.tell(StopExecution(error="E", cause="because"))
            elif todo and self._answer != "silence":
                todo += self._carry_out(todo.pop(0))
            else:
                self._now_ms = self.execution.next_due_ms() or self._now_ms
                todo += self.tell(TimeReached())
        return self.history

    def tell(self, fact: Fact) -> list[RunTask | RunMap]:
        step = advance(self.execution, fact, self._now_ms)
        self.history += step.events
        return [command for command in step.commands if isinstance(command, (RunTask, RunMap))]

    def _carry_out(self, task: RunTask | RunMap) -> list[RunTask | RunMap]:
        output = Payload.of({"done": True})
        if isinstance(task, RunMap):
            return self._end_map_run(task, output)
        if self._answer == "fail":
            return self.tell(TaskFailed(task=task.task, error="E", cause="because"))
        if task.resource.pattern == "callback":
            self.tell(TaskSubmitted(task=task.task, output=output))
        return self.tell(TaskSucceeded(task=task.task, output=output))

    def _end_map_run(self, run: RunMap, output: Payload) -> list[RunTask | RunMap]:
        if self._answer == "fail":
            return self.tell(MapRunFailed(map_run=run.map_run, error="E", cause="because"))
        return self.tell(MapRunSucceeded(map_run=run.map_run, output=output))


def distributed(processor: dict[str, Json]) -> dict[str, Json]:
    config: Json = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    return mapped({**processor, "ProcessorConfig": config})


def mapped(processor: dict[str, Json]) -> dict[str, Json]:
    return {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": processor}


def both(*branches: dict[str, Json]) -> dict[str, Json]:
    return {"Type": "Parallel", "Branches": list(branches)}


THEN: Final[dict[str, Json]] = {"Type": "Pass"}
FIRST_WAITS: Final = machine(C={**WORK})
WORLDS: Final[dict[str, tuple[dict[str, Json], str]]] = {
    "all goes well": (GOOD, "succeed"),
    "a function fails": (machine(W=caught(WORK), Then=THEN), "fail"),
    "a call fails": (machine(W=caught(CALL), Then=THEN), "fail"),
    "a function is silent": (machine(W=caught(WORK), Then=THEN), "silence"),
    "a call is silent": (machine(W=caught(CALL), Then=THEN), "silence"),
    "retried": (machine(W={**WORK, "Retry": [{"ErrorEquals": ["States.ALL"]}]}), "fail"),
    "a branch fails beside others": (
        machine(
            P=both(
                machine(W=WAIT),
                machine(T=WORK),
                machine(N=both(machine(V=WAIT))),
                machine(M=mapped(machine(U=WAIT))),
                BROKEN,
            )
        ),
        "silence",
    ),
    "an iteration fails beside others": (machine(M=mapped(BROKEN)), "succeed"),
    "a Map Run": (machine(M=distributed(BROKEN)), "succeed"),
    "a Map Run fails": (machine(M=caught(distributed(BROKEN)), Then=THEN), "fail"),
    "a query fails": (
        machine(Q={"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.input.no %}"}),
        "succeed",
    ),
    "variables are assigned": (
        machine(A={"Type": "Pass", "Assign": {"v": 1, "w.$": "$"}}, Then=THEN),
        "succeed",
    ),
    "stopped": (machine(W=WORK), "stop"),
    "out of time": ({**machine(W=WAIT), "TimeoutSeconds": 5}, "succeed"),
}


@pytest.fixture(scope="module")
def histories() -> dict[str, list[HistoryEvent]]:
    """What was written in each of the worlds."""
    return {name: World(*world).run() for name, world in WORLDS.items()}


def test_the_worlds_show_every_type_there_is(histories: dict[str, list[HistoryEvent]]) -> None:
    seen = {event.type for history in histories.values() for event in history}

    # A heartbeat leaves only an internal event, which has no details.
    missing = EVENT_TYPES - seen - INTERNAL_TYPES
    assert not missing, f"add a world to this file that shows {sorted(missing)}"


@pytest.mark.parametrize("name", WORLDS)
def test_all_fields_are_those_of_aws(
    name: str, histories: dict[str, list[HistoryEvent]], shapes: dict[str, Any]
) -> None:
    for event in histories[name]:
        if event.type in INTERNAL_TYPES:
            assert (event.id, event.details) == (0, None)
            continue
        key = DETAILS_KEY.get(event.type)
        if key is None:
            is_kept = event.type in UNSHOWN_DETAILS
            assert is_kept == bool(event.details), f"AWS shows no details of {event.type}"
            continue
        given = event.details or {}
        unfit = list(misfits(given, shapes["HistoryEvent"]["members"][key]["shape"], shapes))
        assert not unfit, f"{event.type}: {unfit} are unknown to AWS, or required and missing"
        assert {field for field in given if isinstance(given[field], Payload)} == (
            PAYLOAD_FIELDS & set(given)
        ), f"{event.type}: payloads are Payload, and nothing else is"


def misfits(given: Mapping[str, object], name: str, shapes: dict[str, Any]) -> Iterator[str]:
    """The fields that are there and should not be, or should be and are not, at any depth."""
    shape = shapes[name]
    members = shape["members"]
    yield from given.keys() - members.keys()
    yield from set(shape.get("required", ())) - given.keys()
    for field, value in given.items():
        if field in members and isinstance(value, Mapping):
            yield from misfits(value, members[field]["shape"], shapes)
