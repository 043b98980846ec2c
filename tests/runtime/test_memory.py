"""What executions leave behind when they have ended: nothing, without a garbage collection."""

import gc
from pathlib import Path
from typing import Any

from eventmill.executors.calls import Call
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.execution import Execution, Frame
from eventmill.model import Json
from eventmill.ports import Invocation
from eventmill.runtime.loading import Live
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

_ECHO = "arn:aws:lambda:local:000000000000:function:echo"
_BREAK = "arn:aws:lambda:local:000000000000:function:fail"
_CATCH = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Chosen"}]


def one(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: {**state, "End": True}}}


DEFINITION: dict[str, Any] = {
    "StartAt": "Both",
    "States": {
        "Both": {
            "Type": "Parallel",
            "Branches": [
                one("Call", {"Type": "Task", "Resource": _ECHO}),
                one("Pass", {"Type": "Pass"}),
            ],
            "ResultPath": "$.both",
            "Next": "Each",
        },
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemProcessor": one("Item", {"Type": "Task", "Resource": _ECHO}),
            "ResultPath": "$.each",
            "Next": "Failing",
        },
        "Failing": {"Type": "Task", "Resource": _BREAK, "Catch": _CATCH, "End": True},
        "Chosen": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.error", "IsPresent": True, "Next": "Last"}],
        },
        "Last": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "echo", "Payload.$": "$"},
            "OutputPath": "$.Payload",
            "Assign": {"seen.$": "$.Payload.error"},
            "End": True,
        },
    },
}


async def echo(event: Json, context: object) -> Json:
    return event


async def fail(event: Json, context: object) -> Json:
    raise ValueError("as asked")


def left(*kinds: type) -> list[str]:
    return [type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds)]


async def test_an_ended_execution_is_freed_without_the_garbage_collector(tmp_path: Path) -> None:
    handlers, clock = {"echo": echo, "fail": fail}, VirtualClock()
    async with (
        SqliteEventLog.open(tmp_path / "log.db") as log,
        World(log, clock, handlers, {"all": DEFINITION}) as world,
    ):
        gc.collect()
        before = left(Execution, Frame, Live, Call, Invocation)
        gc.disable()
        try:
            row = await world.start("all", data={"items": [1, 2, 3]})
            ended = await world.engine.ended(row.id)
            assert ended.status == "SUCCEEDED"
            await settled()
            assert left(Execution, Frame, Live, Call, Invocation) == before
        finally:
            gc.enable()
