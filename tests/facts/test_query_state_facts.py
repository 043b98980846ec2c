"""Facts measured on the service about JSONata states: fields, failures, variables, Retry, Catch."""

from itertools import pairwise
from typing import Any

import pytest

from eventmill.machine.facts import TaskSucceeded
from eventmill.model import Failure, Json, Payload
from tests.unit.machine.worlds import BEGIN_MS, Refusal, World

END = {"End": True}
INVOKE = "arn:aws:states:::lambda:invoke"
CALL = {"Type": "Task", "Resource": INVOKE, "Arguments": {"FunctionName": "f"}, **END}
INNER = {"StartAt": "P", "States": {"P": {"Type": "Pass", **END}}}
NONE = "{% $states.input.none %}"


def jsonata(states: dict[str, Any], data: Json = None, script: Any = None) -> World:
    return World(states, QueryLanguage="JSONata").run({} if data is None else data, script)


def choice(*rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Choice", "Choices": [{"Next": "Z", **rule} for rule in rules], **fields}


CAUGHT: dict[str, Any] = {"ErrorEquals": ["States.ALL"], "Next": "Z"}
HELD = {"Condition": "{% true %}"}
NOT_HELD = {"Condition": "{% false %}"}


@pytest.mark.parametrize(
    ("state", "location"),
    [
        ({"Type": "Pass", "Output": {"a": {"b": [[1, NONE]]}}, **END}, "Output/a/b[0][1]"),
        ({"Type": "Pass", "Output": NONE, **END}, "Output"),
        ({"Type": "Pass", "Assign": {"x": {"y": NONE}}, **END}, "Assign/x/y"),
        ({**CALL, "Arguments": {"FunctionName": "f", "Payload": {"id": NONE}}},
         "Arguments/Payload/id"),
        ({**CALL, "Output": {"r": NONE}}, "Output/r"),
        ({**CALL, "Assign": {"r": NONE}}, "Assign/r"),
        (choice(NOT_HELD, {"Condition": NONE}, Default="Z"), "Choices[1]/Condition"),
        (choice({**HELD, "Assign": {"x": NONE}}), "Choices[0]/Assign/x"),
        (choice({**HELD, "Output": {"v": NONE}}), "Choices[0]/Output/v"),
        (choice(NOT_HELD, Default="Z", Assign={"x": NONE}), "Assign/x"),
        ({"Type": "Wait", "Seconds": NONE, **END}, "Seconds"),
        ({"Type": "Wait", "Timestamp": NONE, **END}, "Timestamp"),
        ({"Type": "Fail", "Error": NONE}, "Error"),
        ({"Type": "Fail", "Cause": NONE}, "Cause"),
        ({"Type": "Succeed", "Output": [NONE]}, "Output[0]"),
        ({"Type": "Parallel", "Branches": [INNER], "Arguments": {"a": NONE}, **END},
         "Arguments/a"),
        ({"Type": "Map", "ItemProcessor": INNER, "Items": NONE, **END}, "Items"),
        ({"Type": "Map", "ItemProcessor": INNER, "Items": [1], "MaxConcurrency": NONE, **END},
         "MaxConcurrency"),
        ({"Type": "Map", "ItemProcessor": INNER, "Items": [1], "ItemSelector": {"i": NONE}, **END},
         "ItemSelector/i"),
        ({**CALL, "TimeoutSeconds": NONE}, "TimeoutSeconds"),
    ],
)  # fmt: skip
def test_the_field_that_fails_is_told_by_its_path(state: dict[str, Any], location: str) -> None:
    beside = {"Z": {"Type": "Succeed"}} if state["Type"] == "Choice" else {}
    world = jsonata({"S": state, **beside}, script=lambda command: {})
    (failed,) = [
        event["evaluationFailedEventDetails"]
        for event in world.history()
        if event["type"] == "EvaluationFailed"
    ]
    cause = (
        "An error occurred while executing the state 'S' (entered at the event id #2). The JSONata "
        f"expression '$states.input.none' specified for the field '{location}' returned nothing "
        "(undefined)."
    )
    assert failed == {
        "error": "States.QueryEvaluationError",
        "cause": cause,
        "location": location,
        "state": "S",
    }
    assert world.execution.failure == Failure(error=failed["error"], cause=cause)


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("'a' + 1", '. T2001: The left side of the "+" operator must evaluate to a number'),
        ("$pad('', 262145)", ": Expression evaluation memory limit exceeded: Check for excessive "
         "memory usage"),
    ],
)  # fmt: skip
def test_a_code_follows_a_full_stop_and_a_text_without_one_a_colon(text: str, tail: str) -> None:
    world = jsonata({"S": {"Type": "Pass", "Output": f"{{%  {text}  %}}", **END}})
    assert world.execution.failure is not None
    assert world.execution.failure.cause == (
        "An error occurred while executing the state 'S' (entered at the event id #2). The JSONata "
        f"expression '{text}' specified for the field 'Output' threw an error during "
        f"evaluation{tail}"
    )


def test_rules_after_the_one_that_matches_are_not_evaluated() -> None:
    world = jsonata({"C": choice(HELD, {"Condition": NONE}), "Z": {"Type": "Succeed"}})
    assert world.execution.status == "SUCCEEDED"


def test_a_rule_that_matches_ignores_the_fields_of_its_state() -> None:
    state = choice(HELD, Assign={"x": NONE}, Output={"never": NONE}, Default="Z")
    assert jsonata({"C": state, "Z": {"Type": "Succeed"}}, {"a": 1}).output() == {"a": 1}


def test_an_output_of_null_is_null() -> None:
    assert jsonata({"S": {"Type": "Pass", "Output": None, **END}}, {"a": 1}).output() is None


@pytest.mark.parametrize("field", ["Output", "Assign", "Arguments"])
def test_a_field_of_a_task_that_fails_is_a_failure_of_the_task(field: str) -> None:
    retry = [{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 2}]
    task = {**CALL, field: {"FunctionName": NONE}, "Retry": retry, "Catch": [CAUGHT]}
    world = jsonata({"T": task, "Z": {"Type": "Succeed"}}, script=lambda command: {})
    assert world.types().count("EvaluationFailed") == 3
    assert world.types().count("TaskScheduled") == (0 if field == "Arguments" else 3)
    assert world.execution.status == "SUCCEEDED"


def test_the_assign_of_a_catch_writes_to_the_scope_around_the_branches() -> None:
    fails = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}}
    catch = [{**CAUGHT, "Assign": {"why": "{% $states.errorOutput.Error %}"}}]
    states = {
        "A": {"Type": "Pass", "Assign": {"why": "none"}, "Next": "P"},
        "P": {"Type": "Parallel", "Branches": [fails], "Catch": catch, **END},
        "Z": {"Type": "Succeed", "Output": "{% $why %}"},
    }
    assert jsonata(states).output() == "E"


def test_a_branch_reads_the_variables_of_the_branch_around_it() -> None:
    deep = {"StartAt": "D", "States": {"D": {"Type": "Pass", "Output": "{% $outer %}", **END}}}
    nested = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"outer": 7}, "Next": "N"},
            "N": {"Type": "Parallel", "Branches": [deep], **END},
        },
    }
    assert jsonata({"P": {"Type": "Parallel", "Branches": [nested], **END}}).output() == [[7]]


def test_task_failed_is_any_error_but_a_timeout() -> None:
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "Z"}]
    states = {"T": {**CALL, "TimeoutSeconds": 5, "Catch": catch}, "Z": {"Type": "Succeed"}}
    assert jsonata(states, script=lambda command: Refusal("Mine")).output() == {
        "Error": "Mine", "Cause": ""
    }  # fmt: skip
    world = World(states, QueryLanguage="JSONata")
    world.start()
    world.pass_time()
    assert world.execution.failure == Failure(error="States.Timeout", cause=None)


def test_a_retry_at_no_time_is_none() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 0}]
    world = jsonata({"T": {**CALL, "Retry": retry}}, script=lambda command: Refusal("E"))
    assert world.types().count("TaskFailed") == 1


def test_a_retry_grows_up_to_its_longest_delay() -> None:
    retry = [{"ErrorEquals": ["E"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 4,
              "MaxDelaySeconds": 10}]  # fmt: skip
    ends: list[int] = []
    world = World({"T": {**CALL, "Retry": retry}}, QueryLanguage="JSONata")

    def script(command: Any) -> Refusal:
        ends.append(world.now_ms)
        return Refusal("E")

    world.run(script=script)
    assert [after - before for before, after in pairwise(ends)] == [
        2_000, 6_000, 10_000, 10_000
    ]  # fmt: skip


def test_the_input_of_the_next_state_is_what_a_direct_function_sent() -> None:
    task = {"Type": "Task", "Resource": "arn:aws:lambda:local:000000000000:function:f",
            "Next": "Z"}  # fmt: skip
    world = World({"T": task, "Z": {"Type": "Succeed"}}, QueryLanguage="JSONata")
    world.start()
    (number,) = world.execution.tasks
    world.tell(TaskSucceeded(task=number, output=Payload(b'{ "n" : 1.50 }')))
    assert world.execution.output is not None
    assert world.execution.output.text == b'{ "n" : 1.50 }'


@pytest.mark.parametrize(
    ("after_ms", "written"),
    [
        pytest.param(
            0,
            "2023-11-14T22:13:20Z",
            marks=pytest.mark.xfail(
                strict=True, raises=AssertionError, reason="a full second is written with .000"
            ),
        ),
        (120, "2023-11-14T22:13:20.120Z"),
        (7, "2023-11-14T22:13:20.007Z"),
    ],
)
def test_a_time_in_the_context_object_has_three_digits_or_none(after_ms: int, written: str) -> None:
    state = {"Type": "Pass", "Output": "{% $states.context.State.EnteredTime %}", **END}
    world = World({"S": state}, QueryLanguage="JSONata")
    world.now_ms = BEGIN_MS + after_ms
    world.start()
    assert world.output() == written
