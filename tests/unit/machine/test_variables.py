"""Variables and JSONata states, as stories about one execution."""

from typing import Any

import pytest

from eventmill.machine.commands import RunTask
from eventmill.model import Failure, Json, Quotas
from eventmill.rows import StepRow
from eventmill.runtime.replay import verify
from tests.unit.machine.worlds import IDENTITY, Refusal, World, snapshot

END = {"End": True}
TASK: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Arguments": {"FunctionName": "f", "Payload": "{% $states.input %}"},
}


def jsonata(states: dict[str, Any], **fields: Any) -> World:
    return World(states, QueryLanguage="JSONata", **fields)


def branch(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def exited(world: World, name: str) -> dict[str, Any]:
    """The details of a state's exit."""
    (found,) = (
        each["stateExitedEventDetails"]
        for each in world.history()
        if each.get("stateExitedEventDetails", {}).get("name") == name
    )
    return dict(found)


def test_assign_and_output_both_read_what_was_there_before() -> None:
    world = jsonata(
        {
            "A": {"Type": "Pass", "Assign": {"x": 1, "y": 2}, "Next": "B"},
            "B": {
                "Type": "Pass",
                "Assign": {"x": "{% $y %}", "y": "{% $x %}"},
                "Output": "{% [$x, $y] %}",
                "Next": "C",
            },
            "C": {"Type": "Pass", "Output": "{% [$x, $y] %}", **END},
        }
    ).run()
    assert exited(world, "B")["output"] == "[1,2]"
    assert world.output() == [2, 1]


def test_assigned_variables_are_shown_by_name_as_json_text() -> None:
    assign = {"b": {"k": [1.5]}, "a": "text"}
    world = jsonata({"A": {"Type": "Pass", "Assign": assign, **END}}).run({"in": 1})
    details = exited(world, "A")
    assert list(details["assignedVariables"].items()) == [("a", '"text"'), ("b", '{"k":[1.5]}')]
    assert details["assignedVariablesDetails"] == {"truncated": False}
    assert world.output() == {"in": 1}


def test_inner_scopes_read_outer_variables_and_keep_their_own() -> None:
    reading = {"Type": "Pass", "Assign": {"mine": "{% $outer & 'x' %}"}, "Next": "Read"}
    world = jsonata(
        {
            "A": {"Type": "Pass", "Assign": {"outer": "o"}, "Next": "Fork"},
            "Fork": {
                "Type": "Parallel",
                "Branches": [
                    branch(Set=reading, Read={"Type": "Pass", "Output": "{% $mine %}", **END}),
                    branch(Other={"Type": "Pass", "Output": "{% $exists($mine) %}", **END}),
                ],
                "Next": "After",
            },
            "After": {
                "Type": "Pass",
                "Output": ["{% $states.input %}", "{% $exists($mine) %}"],
                **END,
            },
        }
    ).run()
    assert world.output() == [["ox", False], False]
    assert world.execution.variable_bytes == len('"o"')


def test_a_task_has_arguments_a_result_and_variables() -> None:
    world = jsonata(
        {
            "T": {
                **TASK,
                "Assign": {"size": "{% $count($states.result.Payload) %}"},
                "Output": "{% $states.result.Payload %}",
                "Next": "Z",
            },
            "Z": {
                "Type": "Succeed",
                "Output": {"size": "{% $size %}", "in": "{% $states.input %}"},
            },
        }
    )
    world.run({"q": 1}, script=lambda command: {"Payload": [1, 2, 3]})
    assert world.output() == {"size": 3, "in": [1, 2, 3]}


def test_a_catch_has_the_error_output_and_assigns_outside() -> None:
    catch = [
        {
            "ErrorEquals": ["E"],
            "Assign": {"why": "{% $states.errorOutput.Cause %}"},
            "Output": "{% $states.input %}",
            "Next": "Z",
        }
    ]
    world = jsonata(
        {
            "T": {**TASK, "Assign": {"why": "never"}, "Catch": catch, "Next": "Z"},
            "Z": {"Type": "Succeed", "Output": "{% [$why, $states.input] %}"},
        }
    )
    world.run("in", script=lambda command: Refusal("E", "because"))
    assert world.output() == ["because", "in"]


def test_a_catch_whose_own_output_fails_hands_the_new_failure_on() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.input.no %}", "Next": "Z"}]
    failing = branch(F={"Type": "Fail", "Error": "E"})
    world = jsonata(
        {
            "P": {"Type": "Parallel", "Branches": [failing], "Catch": catch, "Next": "Z"},
            "Z": {"Type": "Succeed"},
        }
    ).run()
    assert list(zip(world.types(), world.previous(), strict=True))[3:] == [
        ("FailStateEntered", 3),
        ("ParallelStateFailed", 4),
        ("EvaluationFailed", 4),
        ("ParallelStateFailed", 6),
        ("ExecutionFailed", 7),
    ]
    failed = world.history()[5]["evaluationFailedEventDetails"]
    assert (failed["location"], failed["state"]) == ("Catch[0]/Output", "P")


def test_a_rule_that_matches_counts_with_its_own_fields() -> None:
    choose = {
        "Type": "Choice",
        "Choices": [
            {
                "Condition": "{% $states.input > 1 %}",
                "Assign": {"v": "rule"},
                "Output": "big",
                "Next": "Z",
            },
            {"Condition": "{% $states.input = 1 %}", "Next": "Z"},
        ],
        "Default": "Z",
        "Assign": {"v": "default"},
        "Output": "small",
    }
    last = {"Type": "Succeed", "Output": "{% [$states.input, $exists($v) ? $v : null] %}"}

    def chosen(data: Json) -> Json:
        return jsonata({"C": choose, "Z": last}).run(data).output()

    assert chosen(2) == ["big", "rule"]
    assert chosen(1) == [1, None]
    assert chosen(0) == ["small", "default"]


def test_a_failing_query_is_retried_and_caught_like_any_error() -> None:
    retry = [{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 1}]
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Z"}]
    task = {**TASK, "Arguments": {"FunctionName": "{% $states.input.no %}"}}
    world = jsonata({"T": {**task, "Retry": retry, "Catch": catch, "Next": "Z"},
                     "Z": {"Type": "Succeed"}}).run({})  # fmt: skip
    assert world.types().count("EvaluationFailed") == 2
    assert "TaskScheduled" not in world.types()
    output = world.output()
    assert isinstance(output, dict)
    assert output["Error"] == "States.QueryEvaluationError"


def test_jsonpath_states_assign_their_result_and_read_variables_in_paths() -> None:
    world = World(
        {
            "A": {
                "Type": "Pass",
                "Result": {"n": 7},
                "Assign": {"n.$": "$.n", "whole.$": "$"},
                "Next": "B",
            },
            "B": {
                "Type": "Pass",
                "Parameters": {
                    "n.$": "$n",
                    "deep.$": "$whole.n",
                    "text.$": "States.Format('{}', $n)",
                },
                **END,
            },
        }
    ).run()
    assert world.output() == {"n": 7, "deep": 7, "text": "7"}


def test_an_iteration_has_variables_of_its_own() -> None:
    each = {
        "Type": "Map",
        "Items": "{% $states.input %}",
        "ItemSelector": {"value": "{% $states.context.Map.Item.Value %}", "k": "{% $k %}"},
        "ItemProcessor": branch(
            A={"Type": "Pass", "Assign": {"double": "{% $states.input.value * $k %}"}, "Next": "W"},
            W={"Type": "Wait", "Seconds": 1, "Next": "B"},
            B={"Type": "Pass", "Output": "{% $double %}", **END},
        ),
        **END,
    }
    world = jsonata({"S": {"Type": "Pass", "Assign": {"k": 2}, "Next": "M"}, "M": each})
    world.start([1, 2, 3])
    assert snapshot(world.folded()) == snapshot(world.execution)
    assert world.execution.variable_bytes == len("2") + len("2") + len("4") + len("6")
    world.pass_time()
    assert world.output() == [2, 4, 6]
    assert snapshot(world.folded()) == snapshot(world.execution)
    rows = [
        StepRow(execution=1, step=number, body=body)
        for number, body in enumerate(world.bodies, start=1)
    ]
    assert verify(IDENTITY, world.machine, rows) == 2


@pytest.mark.parametrize(
    ("assign", "cause"),
    [
        (
            {"x": "a" * 9},
            "Variable size limit exceeded. Variable 'x' in state 'S' was assigned 11 bytes.",
        ),
        (
            {"x": "a" * 4, "y": "b" * 4},
            "State total variable size limit exceeded. Variable 'y' in state 'S' was assigned 6 "
            "bytes, which caused the size of variables assigned in the state to exceed its limit "
            "by 2 bytes.",
        ),
    ],
)
def test_variables_have_limits(assign: Json, cause: str) -> None:
    state = {"Type": "Pass", "Assign": assign, **END}
    world = jsonata({"S": state}, quotas=Quotas(variable_bytes_max=10)).run()
    assert world.types() == [
        "ExecutionStarted",
        "PassStateEntered",
        "EvaluationFailed",
        "ExecutionFailed",
    ]
    assert world.execution.failure == Failure(error="States.DataLimitExceeded", cause=cause)
    assert world.history()[2]["evaluationFailedEventDetails"]["location"] == "Assign"


def test_all_variables_together_have_a_limit() -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"x": "aaaa"}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"x": "bbbb"}, "Next": "C"},  # the same one again
        "C": {"Type": "Pass", "Assign": {"y": "cccc"}, **END},
    }
    world = jsonata(states, quotas=Quotas(variables_bytes_max=10)).run()
    assert world.execution.failure == Failure(
        error="States.DataLimitExceeded",
        cause="Execution total variable size limit exceeded. State 'C' assigned variables that "
        "exceed the total execution limit by 2 bytes.",
    )


def test_numbers_and_texts_of_the_wrong_type_are_told() -> None:
    world = jsonata({"W": {"Type": "Wait", "Seconds": "{% 'soon' %}", **END}}).run()
    assert world.execution.failure == Failure(
        error="States.QueryEvaluationError",
        cause="An error occurred while executing the state 'W' (entered at the event id #2). The "
        "JSONata expression ''soon'' specified for the field 'Seconds' returned an unexpected "
        "result type. Expected 'number', but was 'string' for value: \"soon\"",
    )
    world = jsonata({"F": {"Type": "Fail", "Error": "{% 1 %}"}}).run()
    assert world.execution.failure is not None
    assert world.execution.failure.error == "States.QueryEvaluationError"


def test_timeouts_and_concurrency_may_be_queries() -> None:
    task = {**TASK, "TimeoutSeconds": "{% $states.input.t %}", **END}
    world = jsonata({"T": task})
    step = world.start({"t": 5})
    (command,) = step.commands
    assert isinstance(command, RunTask)
    assert command.deadline_ms == world.now_ms + 5_000
    each = {
        "Type": "Map",
        "MaxConcurrency": "{% 1 + 1 %}",
        "ItemProcessor": branch(W={"Type": "Wait", "Seconds": 9, **END}),
        **END,
    }
    world = jsonata({"M": each})
    world.start([1, 2, 3])
    assert world.types().count("MapIterationStarted") == 2
