"""The order of events inside one decision, and what each points back to, as recorded on AWS."""

from typing import Any

from tests.unit.machine.worlds import Refusal, World

PASS = {"Type": "Pass", "End": True}


def branch(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def test_branches_and_iterations_advance_breadth_first() -> None:
    items = branch(
        Delay={"Type": "Wait", "SecondsPath": "$.delay", "Next": "Touch"},
        Touch={"Type": "Pass", "Next": "Done"},
        Done={"Type": "Succeed"},
    )
    each = {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2, "ItemProcessor": items}
    inner = {
        "Type": "Parallel",
        "Branches": [
            branch(Quick=PASS),
            branch(Zero={"Type": "Wait", "Seconds": 0, "Next": "After"}, After=PASS),
        ],
        "End": True,
    }
    outer = {
        "Type": "Parallel",
        "Branches": [
            branch(
                Second={"Type": "Wait", "Seconds": 1, "Next": "Each"}, Each={**each, "End": True}
            ),
            branch(Inner=inner),
        ],
        "End": True,
    }
    rule = {"Variable": "$.go", "BooleanEquals": True, "Next": "Outer"}
    world = World({"Choose": {"Type": "Choice", "Choices": [rule]}, "Outer": outer})
    world.run({"go": True, "items": [{"delay": 1}, {"delay": 0}, {"delay": 0}]})
    # fmt: off
    assert world.previous() == [
        0, 0, 2, 3, 4, 5, 5, 7, 8, 9, 8, 11, 12, 13, 14, 14, 6, 17, 18, 19, 19, 20, 21, 23, 24, 25,
        26, 27, 28, 28, 30, 31, 32, 33, 34, 35, 36, 22, 38, 39, 40, 41, 42, 43, 43, 45, 45, 47,
    ]
    # fmt: on
    succeeded = [e for e in world.history() if e["type"] == "MapIterationSucceeded"]
    assert [e["mapIterationSucceededEventDetails"]["index"] for e in succeeded] == [1, 2, 0]


def test_a_parallel_inside_a_parallel_then_a_map() -> None:
    nested = {
        "Type": "Parallel",
        "Branches": [branch(RightOutput=PASS), branch(DeepRead=PASS)],
        "End": True,
    }
    scope = {
        "Type": "Parallel",
        "Branches": [
            branch(Left={"Type": "Pass", "Next": "Nested"}, Nested=nested),
            branch(Right={"Type": "Pass", "Next": "RightOutput2"}, RightOutput2=PASS),
        ],
        "ResultPath": None,
        "Next": "Each",
    }
    each = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "MaxConcurrency": 2,
        "ItemProcessor": branch(A={"Type": "Pass", "Next": "B"}, B=PASS),
        "End": True,
    }
    world = World({"Scope": scope, "Each": each}).run({"items": [1, 2, 3]})
    types = world.types()
    assert types[3:9] == [
        "PassStateEntered", "PassStateExited", "PassStateEntered", "PassStateExited",
        "ParallelStateEntered", "ParallelStateStarted",
    ]  # fmt: skip
    start = types.index("MapStateEntered") + 1  # its id
    relative = [max(id - start, -1) for id in world.previous()[start - 1 :]]
    # fmt: off
    assert relative == [
        -1, 0, 1, 1, 2, 4, 3, 6, 5, 8, 9, 9, 7, 12, 13, 11, 15, 16, 17, 18, 19, 19, 21,
    ]
    # fmt: on


def test_a_failing_branch_cuts_its_siblings() -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
    call = {**task, "Parameters": {"FunctionName": "f"}}
    forked = {
        "Type": "Parallel",
        "Branches": [branch(One=call), branch(Two=call), branch(Three=PASS)],
        "End": True,
    }
    world = World({"Fork": forked})
    world.run(script=lambda command: Refusal("Broken", "why"))
    assert world.types()[-6:] == [
        "TaskStarted", "TaskFailed", "TaskStateAborted", "TaskStateAborted",
        "ParallelStateFailed", "ExecutionFailed",
    ]  # fmt: skip
    failed = world.types().index("TaskFailed") + 1
    assert world.previous()[failed:] == [failed, failed, failed, failed + 3]
    assert world.execution.failure is not None
    assert (world.execution.failure.error, world.execution.failure.cause) == ("Broken", "why")
