"""Snapshots: what they keep, how little room they take, and when their layout must be raised.

That they lose nothing of any execution is a property: tests/property/test_snapshots.py.
"""

import ast
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

import eventmill
from eventmill.machine import snapshot as module
from eventmill.machine.commands import RunMap, RunTask
from eventmill.machine.execution import Execution, RunningTask
from eventmill.machine.facts import MapRunSucceeded, TaskSubmitted, TaskSucceeded
from eventmill.machine.snapshot import LAYOUT, restore, snapshot
from eventmill.machine.transition import advance, outstanding
from eventmill.model import Json, Payload
from tests.attributes import attribute_names
from tests.property.comparison import differences
from tests.unit.machine.worlds import IDENTITY, World

FUNCTION = "arn:aws:lambda:local:000000000000:function:work"
TASK = {"Type": "Task", "Resource": FUNCTION, "End": True}
CALLBACK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}},
    "HeartbeatSeconds": 60,
    "TimeoutSeconds": 600,
    "End": True,
}


def again(world: World) -> Execution:
    return restore(IDENTITY, world.machine, snapshot(world.execution))


# What a snapshot of layout 1 is made from. When this fails, what is stored in the logs of others
# can no longer be read as it was meant: raise LAYOUT, then note the new layout and digest here.
SHAPE = (1, "ab11c347bb284d80")


def shape() -> Iterator[str]:
    """The attributes of an execution and of the records in it, and the form they are written in."""
    execution = World({"A": {"Type": "Succeed"}}).execution
    yield f"Execution {attribute_names(execution)}"
    yield from declared("machine/execution.py", "Frame", "Variable", "MapRun")
    yield from declared("model.py", "Failure", "Quotas")
    yield f"RunningTask {attribute_names(RunningTask(1, Payload(b'{}')))}"
    for struct in (module._Execution, module._Frame, module._Task, module._MapRun):
        yield f"{struct.__name__} {[(each.name, str(each.type)) for each in _fields(struct)]}"


def declared(module: str, *names: str) -> Iterator[str]:
    """The fields of these classes and their types, as the source has them; compiled ones forget."""
    source = (Path(eventmill.__file__).parent / module).read_text(encoding="utf-8")
    for each in ast.parse(source).body:
        if isinstance(each, ast.ClassDef) and each.name in names:
            body = [field for field in each.body if isinstance(field, ast.AnnAssign)]
            yield f"{each.name} {[ast.unparse(field) for field in body]}"


def _fields(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(struct)


def test_the_layout_is_raised_when_an_execution_has_other_fields() -> None:
    assert (LAYOUT, sha256("\n".join(shape()).encode()).hexdigest()[:16]) == SHAPE


def test_a_map_run_is_told_again_from_a_snapshot() -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": True}},
    }
    world = World(
        {
            "M": {
                "Type": "Map",
                "ItemProcessor": processor,
                "ItemsPath": "$.rows",
                "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"x": 1.5}},
                "ToleratedFailurePercentage": 12.5,
                "End": True,
            }
        }
    )
    world.start({"rows": [1, 2, 3]})

    restored = again(world)

    (told,), (before,) = outstanding(restored), outstanding(world.execution)
    assert isinstance(told, RunMap)
    assert isinstance(before, RunMap)
    assert (told.arn, told.items, told.batching) == (before.arn, before.items, before.batching)
    assert told.tolerated_percentage == 12.5
    assert not restored.waits_only()
    advance(restored, MapRunSucceeded(map_run=told.map_run, output=Payload(b"[7]")), world.now_ms)
    assert restored.output == Payload(b"[7]")


def test_a_callback_that_is_waited_for_waits_on_with_its_deadlines() -> None:
    world = World({"Ask": CALLBACK})
    world.start()
    world.tell(TaskSubmitted(task=3, output=Payload(b"{}")))

    restored = again(world)

    assert restored.waits_only()
    assert restored.next_due_ms() == world.now_ms + 60_000
    assert not differences(restored, world.execution)


def test_iterations_inside_branches_know_their_items_and_variables() -> None:
    each = {"StartAt": "T", "States": {"T": {**TASK, "Parameters": {"a.$": "$a", "i.$": "$"}}}}
    mapping = {
        "Type": "Map",
        "ItemProcessor": each,
        "ItemsPath": "$.rows",
        "MaxConcurrency": 2,
        "End": True,
    }
    setting = {"Type": "Pass", "Assign": {"a": {"deep": [1.0, None]}}, "Next": "M"}
    branches = [
        {"StartAt": "Set", "States": {"Set": setting, "M": mapping}},
        {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}},
    ]
    world = World({"Both": {"Type": "Parallel", "Branches": branches, "End": True}})
    world.start({"rows": [1, 2, 3, 4]})
    world.tell(TaskSucceeded(task=min(world.execution.tasks), output=Payload(b'"first"')))

    restored = again(world)

    assert not differences(restored, world.execution)
    task = min(world.execution.tasks)
    told = TaskSucceeded(task=task, output=Payload(b'"second"'))
    assert [event.type for event in advance(restored, told, world.now_ms).events][-1] == (
        "LambdaFunctionScheduled"
    )
    parameters = [frame.task.parameters for frame in restored.tasks.values() if frame.task]
    assert parameters[-1].value == {"a": {"deep": [1.0, None]}, "i": 4}


def test_what_is_outstanding_comes_oldest_task_first() -> None:
    first_of_two = {"Type": "Task", "Resource": FUNCTION, "Next": "U"}
    branches = [
        {"StartAt": "T", "States": {"T": first_of_two, "U": TASK}},
        {"StartAt": "V", "States": {"V": TASK}},
    ]
    world = World({"Both": {"Type": "Parallel", "Branches": branches, "End": True}})
    world.start()
    first, second = world.execution.tasks
    world.tell(TaskSucceeded(task=first, output=Payload(b"1")))
    (_, third) = world.execution.tasks

    told = [each.task for each in outstanding(again(world)) if isinstance(each, RunTask)]

    assert told == [second, third]


def test_what_is_the_same_is_written_once() -> None:
    large: dict[str, Json] = {"rows": [0] * 300, "text": "x" * 10_000}
    wide = [{"StartAt": f"T{n}", "States": {f"T{n}": TASK}} for n in range(30)]
    world = World({"All": {"Type": "Parallel", "Branches": wide, "End": True}})
    world.start(large)

    size = len(snapshot(world.execution))

    assert len(world.execution.tasks) == 30
    assert size < len(world.execution.input) + 30 * 60


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: b"",
        lambda body: body[:-1],
        lambda body: body + b"x",
        lambda body: b"\x90",
        lambda body: msgspec.msgpack.encode([*msgspec.msgpack.decode(body)[:-1], []]),
    ],
    ids=["empty", "cut off", "longer", "without fields", "without texts"],
)
def test_other_bytes_are_no_snapshot(spoil: Any) -> None:
    world = World({"A": TASK})
    world.start()

    with pytest.raises(ValueError, match="not a snapshot"):
        restore(IDENTITY, world.machine, spoil(snapshot(world.execution)))


def test_a_snapshot_of_another_state_machine_is_refused() -> None:
    world, other = World({"A": TASK}), World({"B": TASK})
    world.start()

    with pytest.raises(ValueError, match="not a snapshot of such an execution"):
        restore(IDENTITY, other.machine, snapshot(world.execution))
