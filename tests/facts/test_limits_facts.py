"""Facts measured on the service about limits: variables, payloads, texts, numbers, time."""

from typing import Any

import pytest

from eventmill.machine.facts import TaskSucceeded
from eventmill.model import Failure, Json, Payload, Quotas
from tests.unit.machine.worlds import Refusal, World

CALL = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}
TOO_LARGE = (
    "The state/task '{}' returned a result with a size exceeding the maximum number of bytes "
    "service limit."
)


def assigned(assign: Json) -> World:
    return World({"S": {"Type": "Pass", "Assign": assign, "End": True}}, QueryLanguage="JSONata")


@pytest.mark.parametrize(
    "assign",
    [{"x": "a" * 262_142}, {"x": "a" * 131_070, "y": "b" * 131_070}, {"x": "é" * 131_071}],
)
def test_variables_fill_their_limits(assign: Json) -> None:
    assert assigned(assign).run().execution.status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("assign", "cause"),
    [
        (
            {"x": "a" * 262_143},
            "Variable size limit exceeded. Variable 'x' in state 'S' was assigned 262145 bytes.",
        ),
        (
            {"x": "é" * 131_072},
            "Variable size limit exceeded. Variable 'x' in state 'S' was assigned 262146 bytes.",
        ),
        (
            {"x": "a" * 131_071, "y": "b" * 131_071},
            "State total variable size limit exceeded. Variable 'y' in state 'S' was assigned "
            "131073 bytes, which caused the size of variables assigned in the state to exceed its "
            "limit by 2 bytes.",
        ),
    ],
)
def test_variables_over_their_limits(assign: Json, cause: str) -> None:
    failure = assigned(assign).run().execution.failure
    assert failure == Failure(error="States.DataLimitExceeded", cause=cause)


def test_the_names_of_variables_do_not_count() -> None:
    world = assigned({"n" * 80: "a" * 131_070, "m" * 80: "b" * 131_070}).run()
    assert world.execution.status == "SUCCEEDED"


def test_all_variables_of_an_execution_together() -> None:
    states = {
        f"Assign{number}": {
            "Type": "Pass",
            "Assign": {f"v{number}": "{% $states.input %}"},
            "Next": f"Assign{number + 1}",
        }
        for number in range(1, 43)
    }
    states["Assign43"] = {"Type": "Succeed"}
    world = World(states, QueryLanguage="JSONata").run("a" * 250_000)
    assert world.execution.failure == Failure(
        error="States.DataLimitExceeded",
        cause="Execution total variable size limit exceeded. State 'Assign42' assigned variables "
        "that exceed the total execution limit by 14324 bytes.",
    )
    assert world.types()[-3:] == ["PassStateEntered", "EvaluationFailed", "ExecutionFailed"]
    last = world.history()[-2]["evaluationFailedEventDetails"]
    assert (last["location"], last["state"]) == ("Assign", "Assign42")


def test_a_memory_limit_is_a_query_error_that_can_be_caught() -> None:
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "Z"}]
    task = {
        "Type": "Task",
        "Resource": CALL["Resource"],
        "Arguments": {"FunctionName": "{% $pad('', 262145, 'x') %}"},
        "Catch": catch,
        "End": True,
    }
    world = World({"T": task, "Z": {"Type": "Succeed"}}, QueryLanguage="JSONata").run()
    assert world.output() == {
        "Error": "States.QueryEvaluationError",
        "Cause": "An error occurred while executing the state 'T' (entered at the event id #2). "
        "The JSONata expression '$pad('', 262145, 'x')' specified for the field "
        "'Arguments/FunctionName' threw an error during evaluation: Expression evaluation memory "
        "limit exceeded: Check for excessive memory usage",
    }


@pytest.mark.parametrize("name", ["States.ALL", "States.TaskFailed", "States.DataLimitExceeded"])
def test_a_result_over_the_limit_can_be_caught(name: str) -> None:
    catch = [{"ErrorEquals": [name], "Next": "Z"}]
    world = World({"T": {**CALL, "Catch": catch}, "Z": {"Type": "Succeed"}})
    world.run(script=lambda command: "a" * 262_143)
    assert world.output() == {
        "Error": "States.DataLimitExceeded",
        "Cause": TOO_LARGE.format("lambda"),
    }


FUNCTION = "arn:aws:lambda:local:000000000000:function:f"


def branch(name: str = "P") -> dict[str, Any]:
    state = {"Type": "Pass", "Result": "a" * 300, "End": True}
    return {"StartAt": name, "States": {name: state}}


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ({"Type": "Task", "Resource": FUNCTION}, FUNCTION),
        ({"Type": "Parallel", "Branches": [branch("A"), branch("B")]}, "S"),
        ({"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": branch()}, "S"),
    ],
)
def test_the_cause_names_the_function_or_the_state(state: dict[str, Any], name: str) -> None:
    world = World({"S": {**state, "End": True}}, quotas=Quotas(payload_bytes_max=500))
    world.run({"items": [1, 2]}, script=lambda command: "a" * 500)
    assert world.execution.failure == Failure(
        error="States.DataLimitExceeded", cause=TOO_LARGE.format(name)
    )


def test_the_first_retrier_that_matches_owns_the_error_and_then_it_is_caught() -> None:
    retry = [
        {"ErrorEquals": ["E"], "MaxAttempts": 1},
        {"ErrorEquals": ["States.ALL"], "MaxAttempts": 9},
    ]
    catch = [{"ErrorEquals": ["E"], "Next": "Z"}]
    world = World({"T": {**CALL, "Retry": retry, "Catch": catch}, "Z": {"Type": "Succeed"}})
    world.run(script=lambda command: Refusal("E"))
    assert world.types().count("TaskFailed") == 2
    assert world.execution.status == "SUCCEEDED"


def test_the_events_of_branches_and_iterations_count_up_to_the_cap() -> None:
    processor = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    retry = [{"ErrorEquals": ["States.ALL"]}]
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Z"}]
    each = {"Type": "Map", "ItemProcessor": processor, "Retry": retry, "Catch": catch, "End": True}
    world = World({"M": each, "Z": {"Type": "Succeed"}}, quotas=Quotas(history_events_max=25)).run(
        list(range(20))
    )
    last = world.history()[-1]
    assert (last["id"], last["type"], last["previousEventId"]) == (25, "ExecutionFailed", 24)
    assert world.execution.failure == Failure(
        error="States.Runtime",
        cause="The execution reached the maximum number of history events (25).",
    )


def test_the_cap_of_the_service_is_25000_events() -> None:
    loop = {"A": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": True,
                                                 "Next": "Z"}], "Default": "A"},
            "Z": {"Type": "Succeed"}}  # fmt: skip
    world = World(loop)
    world.start()
    assert world.history()[-2]["type"] == "ChoiceStateExited"
    last = world.history()[-1]
    assert (last["id"], last["previousEventId"]) == (25_000, 24_999)
    assert last["executionFailedEventDetails"]["cause"].endswith("history events (25000).")


@pytest.mark.parametrize("output", [b'"a"', b'{ "a" : [1.0] }'])
def test_what_a_worker_sends_keeps_its_text(output: bytes) -> None:
    world = World({"T": {"Type": "Task", "Resource": FUNCTION, "End": True}})
    world.start()
    (task,) = world.execution.tasks
    world.tell(TaskSucceeded(task=task, output=Payload(output)))
    assert world.execution.output is not None
    assert world.execution.output.text == output


@pytest.mark.parametrize(
    ("data", "field", "told"),
    [
        ({"n": -1}, "ToleratedFailureCountPath", "ToleratedFailureCount"),
        ({"n": 100.1}, "ToleratedFailurePercentagePath", "ToleratedFailurePercentage"),
        ({"n": -1}, "MaxConcurrencyPath", "MaxConcurrency"),
    ],
)
def test_a_limit_that_is_none_ends_the_execution_after_the_map_has_started(
    data: Json, field: str, told: str
) -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": True}},
    }
    each = {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": processor, field: "$.n",
            "End": True}  # fmt: skip
    assert isinstance(data, dict)
    world = World({"M": each}).run({"items": [1], **data})
    assert world.types() == [
        "ExecutionStarted", "MapStateEntered", "MapStateStarted", "ExecutionFailed"
    ]  # fmt: skip
    assert world.execution.failure is not None
    assert told in (world.execution.failure.cause or "")
