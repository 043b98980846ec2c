"""Facts measured on the service about histories: which events there are, and what they follow."""

from typing import Any

import pytest

from eventmill.api.operations.history import get_execution_history
from eventmill.log.memory import MemoryEventLog
from eventmill.machine.facts import (
    StopExecution,
    TaskFailed,
    TaskHeartbeat,
    TaskSubmitted,
    TaskSucceeded,
)
from eventmill.model import Failure, Json, Payload
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World as Server
from tests.unit.machine.worlds import Refusal, World

PASS = {"Type": "Pass", "End": True}
BAD = {"Type": "Pass", "Parameters": {"x.$": "$.none"}, "End": True}
FAIL = {"Type": "Fail", "Error": "E", "Cause": "why"}
WAIT = {"Type": "Wait", "Seconds": 25, "End": True}
CALL = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}
UNDEFINED = "{% $states.input.none %}"

# Others have measured the Entered event itself here; the recordings that we replay skip it, so an
# EvaluationFailed right after it follows what the Entered event follows.
SKIPS = 0


def branch(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    ending = {} if "Next" in fields else {"End": True}
    return {"Type": "Parallel", "Branches": list(branches), **ending, **fields}


def each(inner: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": branch(P=inner), "End": True, **fields}


def chain(world: World) -> list[tuple[str, int]]:
    """Every event but the first, short, with what it follows."""
    return [
        (event.type.replace("State", "").replace("Execution", ""), event.previous_id)
        for event in world.events
        if event.id > 1
    ]


def details(world: World, type: str) -> Any:
    (event,) = [event for event in world.history() if event["type"] == type]
    name = "stateExited" if type.endswith("StateExited") else f"{type[0].lower()}{type[1:]}"
    return event.get(f"{name}EventDetails")


def told(state: str, entered: int, tail: str) -> str:
    return (
        f"An error occurred while executing the state '{state}' (entered at the event id "
        f"#{entered}). {tail}"
    )


def test_a_parallel_ends_twice_after_the_last_event_of_its_branches() -> None:
    two = [branch(**{f"{n}1": {"Type": "Pass", "Next": f"{n}2"}, f"{n}2": PASS}) for n in "AB"]
    world = World({"F": parallel(*two, Next="After"), "After": PASS}).run()
    assert chain(world) == [
        ("ParallelEntered", 0),
        ("ParallelStarted", 2),
        ("PassEntered", 3), ("PassExited", 4), ("PassEntered", 3), ("PassExited", 6),
        ("PassEntered", 5), ("PassExited", 8), ("PassEntered", 7), ("PassExited", 10),
        ("ParallelSucceeded", 11), ("ParallelExited", 11),
        ("PassEntered", 13), ("PassExited", 14), ("Succeeded", 15),
    ]  # fmt: skip
    assert details(world, "ParallelStateStarted") is None
    assert details(world, "ParallelStateSucceeded") is None


def test_a_map_without_items() -> None:
    world = World({"M": each(PASS)}).run([])
    assert chain(world) == [
        ("MapEntered", 0), ("MapStarted", 2), ("MapSucceeded", 3), ("MapExited", 3),
        ("Succeeded", 5),
    ]  # fmt: skip
    assert details(world, "MapStateStarted") == {"length": 0}
    assert details(world, "MapStateExited")["output"] == "[]"


def test_a_map_of_one_at_a_time() -> None:
    world = World({"M": each(PASS, MaxConcurrency=1)}).run([1, 2])
    assert chain(world) == [
        ("MapEntered", 0), ("MapStarted", 2),
        ("MapIterationStarted", 3), ("PassEntered", 4), ("PassExited", 5),
        ("MapIterationSucceeded", 6),
        ("MapIterationStarted", 6), ("PassEntered", 8), ("PassExited", 9),
        ("MapIterationSucceeded", 10),
        ("MapSucceeded", 10 + 1), ("MapExited", 11), ("Succeeded", 13),
    ]  # fmt: skip
    started = [e for e in world.history() if e["type"] == "MapIterationStarted"]
    assert [e["mapIterationStartedEventDetails"] for e in started] == [
        {"name": "M", "index": 0}, {"name": "M", "index": 1}
    ]  # fmt: skip


def test_runtime_errors_in_a_branch_leave_nothing_but_the_end() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Z"}]
    retry = [{"ErrorEquals": ["States.ALL"]}]
    forked = parallel(branch(B=BAD), branch(W=WAIT), Retry=retry, Catch=catch)
    world = World({"F": forked, "Z": {"Type": "Succeed"}}).run()
    assert world.types()[-2:] == ["PassStateEntered", "ExecutionFailed"]
    assert world.execution.failure == Failure(
        error="States.Runtime",
        cause=told("B", 4, "The JSONPath '$.none' specified for the field 'x.$' could not be "
                   "found in the input '{}'"),
    )  # fmt: skip


def test_a_fail_state_in_a_branch_hands_its_own_cause_on() -> None:
    world = World({"F": parallel(branch(B=FAIL))}).run()
    assert chain(world) == [
        ("ParallelEntered", 0), ("ParallelStarted", 2), ("FailEntered", 3),
        ("ParallelFailed", 4), ("Failed", 5),
    ]  # fmt: skip
    assert details(world, "ParallelStateFailed") is None
    assert world.execution.failure == Failure(error="E", cause="why")


def test_a_result_selector_that_fails_comes_after_the_parallel_has_succeeded() -> None:
    world = World({"F": parallel(branch(B=PASS), ResultSelector={"x.$": "$.none"})}).run()
    assert world.types()[-2:] == ["ParallelStateSucceeded", "ExecutionFailed"]
    assert world.execution.failure == Failure(
        error="States.Runtime",
        cause=told("F", 2, "The JSONPath '$.none' specified for the field 'x.$' could not be "
                   "found in the input '[{}]'"),
    )  # fmt: skip


def test_a_task_that_fails_in_a_branch_and_is_caught() -> None:
    forked = parallel(branch(T=CALL), Catch=[{"ErrorEquals": ["E"], "Next": "Z"}])
    world = World({"F": forked, "Z": PASS}).run(script=lambda command: Refusal("E"))
    assert chain(world) == [
        ("ParallelEntered", 0), ("ParallelStarted", 2), ("TaskEntered", 3), ("TaskScheduled", 4),
        ("TaskStarted", 5), ("TaskFailed", 6), ("TaskAborted", 7), ("ParallelFailed", 7),
        ("ParallelExited", 9), ("PassEntered", 10), ("PassExited", 11), ("Succeeded", 12),
    ]  # fmt: skip
    assert details(world, "TaskStateAborted") is None


def test_a_parallel_fails_only_after_its_last_attempt() -> None:
    retry = [{"ErrorEquals": ["E"], "MaxAttempts": 1}]
    world = World({"F": parallel(branch(B=FAIL), Retry=retry)}).run()
    assert chain(world) == [
        ("ParallelEntered", 0), ("ParallelStarted", 2), ("FailEntered", 3),
        ("ParallelStarted", 4), ("FailEntered", 5), ("ParallelFailed", 6), ("Failed", 7),
    ]  # fmt: skip


def test_each_attempt_whose_arguments_fail_is_an_evaluation_that_failed() -> None:
    retry = [{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 1}]
    arguments = {"Arguments": {"FunctionName": UNDEFINED}}
    task = {"Type": "Task", "Resource": CALL["Resource"], **arguments, "Retry": retry, "End": True}
    world = World({"T": task}, QueryLanguage="JSONata").run()
    assert chain(world) == [
        ("TaskEntered", 0), ("EvaluationFailed", SKIPS), ("EvaluationFailed", 3), ("Failed", 4)
    ]  # fmt: skip
    first = world.history()[2]["evaluationFailedEventDetails"]
    assert list(first) == ["error", "cause", "location", "state"]
    assert (first["location"], first["state"]) == ("Arguments/FunctionName", "T")
    assert first["cause"] == details(world, "ExecutionFailed")["cause"]


@pytest.mark.parametrize("location", ["Items", "MaxConcurrency"])
def test_items_that_fail(location: str) -> None:
    world = World({"M": each(PASS, **{location: UNDEFINED})}, QueryLanguage="JSONata").run([1])
    assert details(world, "EvaluationFailed")["location"] == location
    if location == "Items":
        assert chain(world) == [
            ("MapEntered", 0), ("EvaluationFailed", SKIPS), ("MapFailed", 3), ("Failed", 4)
        ]  # fmt: skip


def test_a_query_that_fails_in_an_iteration() -> None:
    world = World(
        {"M": each({"Type": "Pass", "Output": UNDEFINED, "End": True})}, QueryLanguage="JSONata"
    ).run([{}])
    assert chain(world) == [
        ("MapEntered", 0), ("MapStarted", 2), ("MapIterationStarted", 3), ("PassEntered", 4),
        ("EvaluationFailed", 4), ("MapIterationFailed", 6), ("MapFailed", 6), ("Failed", 8),
    ]  # fmt: skip


def test_a_catcher_whose_own_output_fails() -> None:
    catch = [
        {"ErrorEquals": ["Other"], "Next": "Z"},
        {"ErrorEquals": ["E"], "Next": "Z", "Output": {"v": "{% $states.errorOutput.none %}"}},
    ]
    forked = parallel(branch(B=FAIL), Catch=catch)
    world = World({"F": forked, "Z": PASS}, QueryLanguage="JSONata").run()
    assert chain(world)[2:] == [
        ("FailEntered", 3), ("ParallelFailed", 4), ("EvaluationFailed", 4), ("ParallelFailed", 6),
        ("Failed", 7),
    ]  # fmt: skip
    assert details(world, "EvaluationFailed")["location"] == "Catch[1]/Output/v"


def test_a_branch_that_fails_cuts_the_states_of_the_others_at_once() -> None:
    forked = parallel(branch(W=WAIT), branch(T=CALL), branch(P=PASS))
    world = World({"F": forked}).run(script=lambda command: Refusal("E"))
    assert chain(world)[-6:] == [
        ("TaskStarted", 6),
        ("TaskFailed", 9),
        ("WaitAborted", 10),
        ("TaskAborted", 10),
        ("ParallelFailed", 10),
        ("Failed", 13),
    ]


def test_an_iteration_that_fails_cuts_the_others() -> None:
    world = World({"M": each(CALL)})
    world.start([1, 2])
    second = max(world.execution.tasks)
    world.tell(TaskFailed(task=second, error="E", cause=None))
    failed = world.types().index("TaskFailed") + 1
    assert chain(world)[failed - 1 :] == [
        ("MapIterationAborted", failed), ("TaskAborted", failed),
        ("MapIterationFailed", failed), ("TaskAborted", failed), ("MapFailed", failed),
        ("Failed", failed + 5),
    ]  # fmt: skip
    assert details(world, "MapIterationAborted") == {"name": "M", "index": 0}
    assert details(world, "MapIterationFailed") == {"name": "M", "index": 1}


def test_the_time_of_an_execution_aborts_nothing_inside() -> None:
    world = World({"F": parallel(branch(W=WAIT), branch(T=CALL))}, TimeoutSeconds=3)
    world.start()
    before = len(world.types())
    world.pass_time()
    assert world.types()[before:] == ["ExecutionTimedOut"]
    assert world.previous()[-1] == 0
    assert details(world, "ExecutionTimedOut") == {"error": "States.Timeout"}


def test_an_execution_times_out_in_a_wait_after_its_exact_time() -> None:
    world = World({"W": WAIT}, TimeoutSeconds=3).run()
    assert world.types() == ["ExecutionStarted", "WaitStateEntered", "ExecutionTimedOut"]
    assert world.execution.stop_ms == world.execution.start_ms + 3_000


def test_the_time_of_an_execution_cuts_the_backoff_of_a_retry() -> None:
    task = {**CALL, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 60}]}
    world = World({"T": task}, TimeoutSeconds=3).run(script=lambda command: Refusal("E"))
    assert world.types()[-2:] == ["TaskFailed", "ExecutionTimedOut"]
    assert world.now_ms == world.execution.start_ms + 3_000


def test_stopping_aborts_nothing_inside_and_cancels_a_retry() -> None:
    task = {**CALL, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 60}]}
    world = World({"T": task})
    (command,) = world.start().commands
    world.answer(command, lambda command: Refusal("E"))
    world.tell(StopExecution())
    assert world.types()[-2:] == ["TaskFailed", "ExecutionAborted"]
    assert world.execution.next_due_ms() is None


def test_a_task_tells_what_was_declared_and_no_more() -> None:
    limits = {"TimeoutSeconds": 9, "HeartbeatSeconds": 3}
    plain = World({"T": CALL}).run(script=lambda command: Refusal("E"))
    limited = World({"T": {**CALL, **limits}}).run(script=lambda command: {})
    scheduled = {
        "resourceType": "lambda",
        "resource": "invoke",
        "region": "local",
        "parameters": '{"FunctionName":"f"}',
    }
    assert details(plain, "TaskScheduled") == scheduled
    assert details(limited, "TaskScheduled") == {
        **scheduled, "timeoutInSeconds": 9, "heartbeatInSeconds": 3
    }  # fmt: skip
    assert details(plain, "TaskStarted") == {"resourceType": "lambda", "resource": "invoke"}
    assert details(plain, "TaskFailed") == {
        "resourceType": "lambda", "resource": "invoke", "error": "E"
    }  # fmt: skip
    assert details(plain, "ExecutionFailed") == {"error": "E"}


def test_a_task_is_retried_inside_its_state() -> None:
    task = {**CALL, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}]}
    world = World({"T": task}).run(script=lambda command: Refusal("E"))
    assert chain(world) == [
        ("TaskEntered", 0),
        ("TaskScheduled", 2), ("TaskStarted", 3), ("TaskFailed", 4),
        ("TaskScheduled", 5), ("TaskStarted", 6), ("TaskFailed", 7),
        ("Failed", 8),
    ]  # fmt: skip


def test_a_function_by_its_arn_has_events_of_its_own() -> None:
    task = {"Type": "Task", "Resource": "arn:aws:lambda:local:000000000000:function:f",
            "End": True}  # fmt: skip
    world = World({"T": task}).run({"a": 1}, script=lambda command: {"b": 2})
    assert chain(world) == [
        ("TaskEntered", 0), ("LambdaFunctionScheduled", 2), ("LambdaFunctionStarted", 3),
        ("LambdaFunctionSucceeded", 4), ("TaskExited", 5), ("Succeeded", 6),
    ]  # fmt: skip
    assert details(world, "LambdaFunctionScheduled") == {
        "resource": task["Resource"], "input": '{"a":1}', "inputDetails": {"truncated": False}
    }  # fmt: skip
    assert details(world, "LambdaFunctionStarted") is None
    assert details(world, "LambdaFunctionSucceeded") == {
        "output": '{"b":2}', "outputDetails": {"truncated": False}
    }  # fmt: skip


def test_a_choice_that_matches_nothing_and_has_no_default() -> None:
    rule = {"Variable": "$.x", "NumericEquals": 1, "Next": "Z"}
    world = World({"C": {"Type": "Choice", "Choices": [rule]}, "Z": PASS}).run({"x": "1"})
    assert world.types() == ["ExecutionStarted", "ChoiceStateEntered", "ExecutionFailed"]
    assert world.execution.failure == Failure(
        error="States.Runtime",
        cause=told("C", 2, "Failed to transition out of the state. The state does not point to a "
                   "next state."),
    )  # fmt: skip


def test_assigned_variables_are_told_sorted_where_there_are_any() -> None:
    states = {"A": {"Type": "Pass", "Assign": {"z": 1, "b": {"x": "y"}}, "Next": "B"}, "B": PASS}
    world = World(states).run()
    first, second = [
        event["stateExitedEventDetails"]
        for event in world.history()
        if event["type"] == "PassStateExited"
    ]
    assert list(first["assignedVariables"].items()) == [("b", '{"x":"y"}'), ("z", "1")]
    assert first["assignedVariablesDetails"] == {"truncated": False}
    assert not {"assignedVariables", "assignedVariablesDetails"} & second.keys()


def test_timeouts_have_no_cause_in_the_history_and_an_empty_one_in_a_catch() -> None:
    task = {**CALL, "TimeoutSeconds": 5, "Catch": [{"ErrorEquals": ["States.Timeout"],
                                                    "Next": "Z"}]}  # fmt: skip
    world = World({"T": task, "Z": PASS})
    world.start()
    world.pass_time()
    assert details(world, "TaskTimedOut") == {
        "resourceType": "lambda", "resource": "invoke", "error": "States.Timeout"
    }  # fmt: skip
    assert world.output() == {"Error": "States.Timeout", "Cause": ""}


def test_the_tasks_of_two_branches_each_follow_their_own_branch() -> None:
    world = World({"F": parallel(branch(A=CALL), branch(B=CALL))}).run(script=lambda command: {})
    assert chain(world)[2:] == [
        ("TaskEntered", 3), ("TaskScheduled", 4), ("TaskEntered", 3), ("TaskScheduled", 6),
        ("TaskStarted", 5), ("TaskSucceeded", 8), ("TaskExited", 9),
        ("TaskStarted", 7), ("TaskSucceeded", 11), ("TaskExited", 12),
        ("ParallelSucceeded", 13), ("ParallelExited", 13), ("Succeeded", 15),
    ]  # fmt: skip


def test_a_task_that_waits_for_its_token() -> None:
    wait = {
        **CALL,
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
        "HeartbeatSeconds": 60,
    }
    world = World({"T": wait})
    world.start()
    (task,) = world.execution.tasks
    world.tell(TaskSubmitted(task=task, output=Payload(b'{"sent":1}')))
    world.tell(TaskHeartbeat(task=task))
    world.tell(TaskSucceeded(task=task, output=Payload(b'{ "by": "hand" }')))
    assert chain(world) == [
        ("TaskEntered", 0), ("TaskScheduled", 2), ("TaskStarted", 3), ("TaskSubmitted", 4),
        ("TaskSucceeded", 5), ("TaskExited", 6), ("Succeeded", 7),
    ]  # fmt: skip
    service = {"resourceType": "lambda", "resource": "invoke.waitForTaskToken"}
    whole = {"truncated": False}
    assert details(world, "TaskSubmitted") == {
        **service, "output": '{"sent":1}', "outputDetails": whole
    }  # fmt: skip
    assert details(world, "TaskSucceeded") == {
        **service, "output": '{ "by": "hand" }', "outputDetails": whole
    }  # fmt: skip
    assert '"token":"' in details(world, "TaskScheduled")["parameters"]


async def without_data(server: Any, arn: str) -> Any:
    """What GetExecutionHistory shows; of a whole system it needs the log only."""
    return await get_execution_history(server, {"executionArn": arn, "includeExecutionData": False})


async def test_without_execution_data_variables_are_left_out() -> None:
    state = {"Type": "Pass", "Assign": {"x": 1}, "End": True}
    machine = {"StartAt": "P", "States": {"P": state}}
    async with Server(MemoryEventLog(), VirtualClock(), {}, {"m": machine}) as server:
        row = await server.start("m")
        await server.engine.ended(row.id)
        shown = await without_data(server, row.arn)
    assert shown["events"][2]["stateExitedEventDetails"] == {"name": "P"}


async def test_without_execution_data_the_parameters_of_a_task_stay() -> None:
    async def greet(event: Json, context: object) -> Json:
        return {"hello": event}

    machine = {"StartAt": "T", "States": {"T": CALL}}
    async with Server(MemoryEventLog(), VirtualClock(), {"f": greet}, {"m": machine}) as server:
        row = await server.start("m")
        await server.engine.ended(row.id)
        shown = await without_data(server, row.arn)
    events = {event["type"]: event for event in shown["events"]}
    service = {"resourceType": "lambda", "resource": "invoke"}
    assert events["TaskScheduled"]["taskScheduledEventDetails"] == {
        **service, "region": "local", "parameters": '{"FunctionName":"f"}'
    }  # fmt: skip
    assert events["TaskSucceeded"]["taskSucceededEventDetails"] == service
    assert events["ExecutionSucceeded"]["executionSucceededEventDetails"] == {}
