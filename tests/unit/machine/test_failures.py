"""Retry, Catch, timeouts and limits, as stories about one execution."""

from typing import Any

import pytest

from eventmill.machine.commands import CancelTask, RunTask
from eventmill.machine.facts import (
    StartExecution,
    StopExecution,
    TaskFailed,
    TaskHeartbeat,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    TimeReached,
)
from eventmill.machine.tokens import is_genuine, read_token
from eventmill.machine.transition import outstanding
from eventmill.model import Failure, Payload, Quotas
from tests.unit.machine.worlds import Refusal, World

TASK: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}
CALLBACK = {
    **TASK,
    "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "Parameters": {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
}


def the_task(world: World) -> RunTask:
    (command,) = outstanding(world.execution)
    assert isinstance(command, RunTask)
    return command


def test_a_retry_waits_its_backoff_and_counts_per_retrier() -> None:
    retry = [
        {"ErrorEquals": ["A"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 2},
        {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1},
    ]
    world = World({"T": {**TASK, "Retry": retry}})
    world.start()
    delays, keys = [], set()
    for error in ("A", "B", "A", "A"):
        keys.add(the_task(world).idempotency_key)
        failed_ms = world.now_ms
        world.tell(TaskFailed(task=the_task(world).task, error=error, cause=None))
        if world.execution.next_due_ms() is not None:
            world.pass_time()
            delays.append(world.now_ms - failed_ms)
    # The third A finds its retrier used up; the one for all errors is not asked instead.
    assert delays == [2_000, 1_000, 6_000]
    assert world.execution.failure == Failure(error="A", cause=None)
    assert len(keys) == 1
    assert world.types().count("TaskStateEntered") == 1


def test_attempts_are_counted_for_the_handler_and_for_the_context_object() -> None:
    call = {"FunctionName": "f", "Payload": {"retries.$": "$$.State.RetryCount"}}
    world = World({"T": {**TASK, "Parameters": call, "Retry": [{"ErrorEquals": ["States.ALL"]}]}})
    seen = []

    def script(command: RunTask) -> Any:
        parameters = command.parameters.value
        assert isinstance(parameters, dict)
        seen.append((command.attempt, parameters["Payload"]))
        return Refusal("E") if len(seen) < 3 else {}

    world.run(script=script)
    assert seen == [(1, {"retries": 0}), (2, {"retries": 1}), (3, {"retries": 2})]
    assert world.execution.status == "SUCCEEDED"


def test_full_jitter_is_drawn_from_the_seed_and_is_the_same_for_ever() -> None:
    retry = [{"ErrorEquals": ["E"], "IntervalSeconds": 100, "JitterStrategy": "FULL"}]

    def first_delay() -> int:
        world = World({"T": {**TASK, "Retry": retry}})
        world.start()
        began_ms = world.now_ms
        world.tell(TaskFailed(task=the_task(world).task, error="E", cause=None))
        world.pass_time()
        return world.now_ms - began_ms

    assert 0 <= first_delay() == first_delay() < 100_000


def test_a_catch_writes_the_error_output_into_the_raw_input_and_goes_its_own_way() -> None:
    catch = [{"ErrorEquals": ["E"], "ResultPath": "$.problem", "Next": "Mend"}]
    world = World(
        {
            "T": {**TASK, "InputPath": "$.inner", "OutputPath": "$.none", "Catch": catch},
            "Mend": {"Type": "Pass", "End": True},
        }
    )
    world.run({"inner": 1}, script=lambda command: Refusal("E", "because"))
    assert world.output() == {"inner": 1, "problem": {"Error": "E", "Cause": "because"}}


def test_a_task_that_takes_too_long_is_cancelled_and_its_answer_comes_too_late() -> None:
    world = World({"T": {**TASK, "TimeoutSeconds": 5}})
    world.start()
    task = the_task(world)
    assert task.deadline_ms == world.now_ms + 5_000
    step = world.pass_time()
    assert step.commands == (CancelTask(task=task.task),)
    assert world.types()[-3:] == ["TaskStarted", "TaskTimedOut", "ExecutionFailed"]
    assert world.execution.failure == Failure(error="States.Timeout", cause=None)
    assert world.tell(TaskSucceeded(task=task.task, output=Payload.of(1))).events == ()


def test_a_retry_after_a_timeout_waits_its_interval_too() -> None:
    retry = [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 5}]
    world = World({"T": {**TASK, "TimeoutSeconds": 10, "Retry": retry}})
    world.start()

    timed_out = world.pass_time()

    assert [event.type for event in timed_out.events][-1] == "RetryScheduled"
    assert world.execution.next_due_ms() == world.now_ms + 5_000
    assert [event.type for event in world.pass_time().events] == ["TaskScheduled"]


def test_an_answer_after_the_deadline_counts_as_the_timeout_it_is() -> None:
    world = World({"T": {**TASK, "TimeoutSeconds": 5}})
    world.start()
    step = world.tell(TaskSucceeded(task=the_task(world).task, output=Payload.of(1)), 5_000)
    assert step.fact == TimeReached()
    assert world.execution.failure == Failure(error="States.Timeout", cause=None)


@pytest.mark.parametrize("name", ["States.HeartbeatTimeout", "States.Timeout", "States.ALL"])
def test_a_silent_task_is_caught_under_each_of_its_names(name: str) -> None:
    catch = [{"ErrorEquals": [name], "Next": "Mend"}]
    task = {**CALLBACK, "HeartbeatSeconds": 10, "Catch": catch}
    world = World({"T": task, "Mend": {"Type": "Pass", "End": True}})
    world.start()
    id = the_task(world).task
    world.tell(TaskSubmitted(task=id, output=Payload.of({})))
    world.tell(TaskHeartbeat(task=id), 9_000)
    assert world.execution.next_due_ms() == world.now_ms + 10_000
    world.pass_time()
    assert world.output() == {"Error": "States.Timeout", "Cause": ""}


def test_a_callback_task_only_waits_once_it_is_submitted() -> None:
    world = World({"T": CALLBACK})
    world.start()
    command = the_task(world)
    assert command.token is not None
    assert command.parameters.value == {"FunctionName": "f", "Payload": {"token": command.token}}
    assert read_token(command.token) == (world.execution.identity.arn, command.task)
    assert is_genuine(command.token, world.execution.seed)
    assert not is_genuine(command.token, world.execution.seed + 1)
    assert not world.execution.waits_only()
    world.tell(TaskStarted(task=command.task))
    world.tell(TaskSubmitted(task=command.task, output=Payload.of({"ok": True})))
    assert world.execution.waits_only()
    assert outstanding(world.execution) == []
    resource = {"resourceType": "lambda", "resource": "invoke.waitForTaskToken"}
    assert world.history()[-1]["taskSubmittedEventDetails"].items() >= resource.items()
    world.tell(TaskSucceeded(task=command.task, output=Payload(b'{ "by": "hand" }')))
    assert world.execution.output is not None
    assert world.execution.output.text == b'{ "by": "hand" }'


def test_the_time_of_the_whole_execution_beats_everything() -> None:
    world = World({"T": {**TASK, "TimeoutSeconds": 3, "Retry": [
        {"ErrorEquals": ["States.ALL"]}]}}, TimeoutSeconds=3)  # fmt: skip
    world.start()
    world.pass_time()
    assert world.types()[-1] == "ExecutionTimedOut"
    assert world.previous()[-1] == 0
    assert world.execution.status == "TIMED_OUT"
    assert world.execution.tasks == {}


def test_stopping_cancels_what_runs_and_leaves_one_event() -> None:
    world = World({"T": TASK})
    world.start()
    task = the_task(world).task
    step = world.tell(StopExecution(error="Enough", cause=None))
    assert step.commands == (CancelTask(task=task),)
    assert [event.type for event in step.events] == ["ExecutionAborted"]
    assert world.history()[-1]["executionAbortedEventDetails"] == {"error": "Enough"}
    assert world.previous()[-1] == 0
    assert world.execution.next_due_ms() is None


def test_stopping_without_a_reason_has_empty_details() -> None:
    world = World({"T": TASK})
    world.start()
    world.tell(StopExecution())
    assert world.history()[-1]["executionAbortedEventDetails"] == {}


def test_the_last_event_that_the_quota_allows_is_the_end() -> None:
    loop = {
        "A": {"Type": "Pass", "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Variable": "$", "IsPresent": False, "Next": "Z"}],
              "Default": "A"},
        "Z": {"Type": "Succeed"},
    }  # fmt: skip
    world = World(loop, quotas=Quotas(history_events_max=100))
    world.start()
    assert world.execution.sequence == 100
    last = world.history()[-1]
    assert (last["type"], last["previousEventId"]) == ("ExecutionFailed", 99)
    assert last["executionFailedEventDetails"] == {
        "error": "States.Runtime",
        "cause": "The execution reached the maximum number of history events (100).",
    }


def test_an_execution_may_succeed_with_its_very_last_event() -> None:
    quotas = Quotas(history_events_max=4)
    world = World({"A": {"Type": "Pass", "End": True}}, quotas=quotas).run()
    assert world.execution.status == "SUCCEEDED"
    assert world.execution.sequence == 4


@pytest.mark.parametrize(("letters", "status"), [(262_142, "SUCCEEDED"), (262_143, "FAILED")])
def test_a_payload_of_exactly_the_quota_passes(letters: int, status: str) -> None:
    world = World({"T": {**TASK, "End": True}}).run(script=lambda command: "a" * letters)
    assert world.execution.status == status
    if status == "FAILED":
        assert world.execution.failure == Failure(
            error="States.DataLimitExceeded",
            cause="The state/task 'lambda' returned a result with a size exceeding the maximum "
            "number of bytes service limit.",
        )


def test_runtime_errors_end_the_execution_from_inside_a_map_at_once() -> None:
    items = {
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "Parameters": {"x.$": "$.none"}, "End": True}},
    }
    each = {
        "Type": "Map",
        "ItemsPath": "$",
        "ItemProcessor": items,
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Never"}],
        "Next": "Never",
    }
    world = World({"M": each, "Never": {"Type": "Succeed"}}).run([{"a": 1}])
    assert world.types()[-2:] == ["PassStateEntered", "ExecutionFailed"]
    assert world.execution.failure == Failure(
        error="States.Runtime",
        cause="An error occurred while executing the state 'P' (entered at the event id #5). "
        "The JSONPath '$.none' specified for the field 'x.$' could not be found in the input "
        "'{\"a\":1}'",
    )


def test_random_numbers_come_from_the_seed_of_the_execution() -> None:
    def drawn(seed: int) -> Any:
        draw = {"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}, "End": True}
        world = World({"P": draw})
        world.tell(StartExecution(input=Payload.of({}), seed=seed, role_arn="role"))
        return world.output()

    assert drawn(1) == drawn(1) != drawn(2)


def test_parameters_over_the_quota_are_not_sent() -> None:
    quotas = Quotas(payload_bytes_max=300)
    catch = [{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "Caught"}]
    call = {**TASK, "Parameters": {"FunctionName": "f", "Payload": "x" * 300}, "Catch": catch}
    world = World({"T": call, "Caught": {"Type": "Succeed"}}, quotas=quotas)

    step = world.start()

    assert step.commands == ()  # the whole story: it was caught before anything was called
    assert "TaskScheduled" not in world.types()
    assert isinstance(world.output(), dict)
