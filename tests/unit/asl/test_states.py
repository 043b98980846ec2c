import json
from typing import Any

import pytest

from eventmill.asl.parser import parse
from eventmill.asl.retry import Catcher, Retrier
from eventmill.asl.syntax import (
    Branch,
    Choice,
    Fail,
    Map,
    Parallel,
    Pass,
    Resource,
    State,
    Succeed,
    Task,
    Wait,
)
from eventmill.model import Json, Payload
from eventmill.query.environment import Environment, no_context
from eventmill.query.jsonpath import Path, ReferencePath
from eventmill.query.template import Template

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:resize"
INNER: dict[str, Any] = {"StartAt": "B", "States": {"B": {"Type": "Succeed"}}}


def state(fields: dict[str, Any]) -> State:
    """The state `S` of these fields, beside a state `Z` that catches and choices may go to."""
    if fields["Type"] in ("Choice",) or "Catch" in fields or "Next" in fields:
        states = {"S": fields, "Z": {"Type": "Fail"}}
    else:
        states = {"S": fields}
    machine = parse(json.dumps({"StartAt": "S", "States": states})).machine
    return machine.states["S"]


def environment(data: Json) -> Environment:
    return Environment(Payload.of(data), no_context, {})


def rendered(template: object, data: Json) -> Json:
    assert isinstance(template, Template)
    return template.render(environment(data)).value


def text(path: object) -> str:
    assert isinstance(path, (Path, ReferencePath))
    return path.text


def test_a_bare_pass_hands_everything_on() -> None:
    passing = state({"Type": "Pass", "End": True})

    assert isinstance(passing, Pass)
    assert (passing.name, passing.next, passing.parameters, passing.result) == (
        "S", None, None, None,
    )  # fmt: skip
    assert [text(path) for path in (
        passing.input_path, passing.result_path, passing.output_path
    )] == ["$", "$", "$"]  # fmt: skip


def test_a_pass_has_all_its_fields() -> None:
    passing = state({
        "Type": "Pass", "Comment": "c", "Next": "Z", "InputPath": "$.a", "Parameters": {"x.$": "$"},
        "Result": {"b": 1.0}, "ResultPath": "$.r", "OutputPath": "$$.o",
    })  # fmt: skip

    assert isinstance(passing, Pass)
    assert passing.next == "Z"
    assert passing.result == Payload(b'{"b":1.0}')
    assert rendered(passing.parameters, 7) == {"x": 7}
    assert [text(path) for path in (
        passing.input_path, passing.result_path, passing.output_path
    )] == ["$.a", "$.r", "$$.o"]  # fmt: skip


def test_null_paths_stay_null_and_a_null_result_is_none() -> None:
    passing = state({
        "Type": "Pass", "End": True, "InputPath": None, "ResultPath": None, "OutputPath": None,
        "Result": None,
    })  # fmt: skip

    assert isinstance(passing, Pass)
    assert (passing.input_path, passing.result_path, passing.output_path, passing.result) == (
        None, None, None, None,
    )  # fmt: skip


def test_end_false_beside_next_says_nothing() -> None:
    passing = state({"Type": "Pass", "Next": "Z", "End": False})

    assert isinstance(passing, Pass)
    assert passing.next == "Z"


def test_a_task_has_all_its_fields() -> None:
    task = state({
        "Type": "Task", "Resource": FUNCTION, "Next": "Z", "InputPath": "$.i",
        "Parameters": {"p.$": "$.x"}, "ResultSelector": {"s.$": "$.y"}, "ResultPath": "$.r",
        "OutputPath": "$.o", "TimeoutSeconds": 60.0, "HeartbeatSecondsPath": "$.beat",
        "Credentials": {"RoleArn.$": "$.role"},
        "Retry": [
            {"ErrorEquals": ["A", "B"], "IntervalSeconds": 0, "MaxAttempts": 0, "BackoffRate": 1,
             "MaxDelaySeconds": 7, "JitterStrategy": "FULL", "Comment": "c"},
            {"ErrorEquals": ["States.ALL"]},
        ],
        "Catch": [
            {"ErrorEquals": ["A"], "Next": "Z", "ResultPath": None},
            {"ErrorEquals": ["States.ALL"], "Next": "Z", "ResultPath": "$.e", "Comment": "c"},
        ],
    })  # fmt: skip

    assert isinstance(task, Task)
    assert task.next == "Z"
    assert task.resource == Resource(
        text=FUNCTION, kind="function", service="lambda", action="invoke", pattern="request"
    )
    assert (task.timeout_seconds, text(task.heartbeat_seconds)) == (60, "$.beat")
    assert rendered(task.parameters, {"x": 1}) == {"p": 1}
    assert rendered(task.result_selector, {"y": 2}) == {"s": 2}
    assert rendered(task.credentials, {"role": "r"}) == {"RoleArn": "r"}
    assert task.retry == (
        Retrier(error_equals=("A", "B"), interval_seconds=0, max_attempts=0, backoff_rate=1,
                max_delay_seconds=7, jitter_strategy="FULL"),
        Retrier(error_equals=("States.ALL",)),
    )  # fmt: skip
    first, second = task.catch
    assert first == Catcher(error_equals=("A",), next="Z", result_path=None)
    assert (second.error_equals, second.next, text(second.result_path)) == (
        ("States.ALL",), "Z", "$.e",
    )  # fmt: skip


def test_a_callback_waits_for_its_token() -> None:
    task = state({
        "Type": "Task", "End": True, "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "f", "Payload": {"t.$": "$$.Task.Token"}},
    })  # fmt: skip

    assert isinstance(task, Task)
    assert task.resource == Resource(
        text="arn:aws:states:::lambda:invoke.waitForTaskToken",
        kind="integration", service="lambda", action="invoke.waitForTaskToken", pattern="callback",
    )  # fmt: skip
    assert (task.timeout_seconds, task.heartbeat_seconds, task.retry, task.catch) == (
        None, None, (), (),
    )  # fmt: skip


def test_a_choice_goes_to_its_rules_in_order() -> None:
    choice = state({
        "Type": "Choice", "Default": "Z", "InputPath": "$.i", "OutputPath": None,
        "Choices": [
            {"Variable": "$.a", "NumericEquals": 1, "Next": "Z", "Comment": "c"},
            {"Not": {"Variable": "$.a", "IsPresent": True, "Comment": "c"}, "Next": "S"},
        ],
    })  # fmt: skip

    assert isinstance(choice, Choice)
    assert [rule.next for rule in choice.rules] == ["Z", "S"]
    assert [rule.condition(environment({"a": 1})) for rule in choice.rules] == [True, False]
    assert (choice.default, text(choice.input_path), choice.output_path) == ("Z", "$.i", None)


def test_a_choice_needs_no_default() -> None:
    choice = state(
        {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "Z"}]}
    )

    assert isinstance(choice, Choice)
    assert choice.default is None


@pytest.mark.parametrize(
    ("fields", "seconds", "timestamp"),
    [
        ({"Seconds": 0}, 0, None),
        ({"SecondsPath": "$.s"}, "$.s", None),
        ({"Timestamp": "1970-01-01T01:00:00.5+01:00"}, None, 500),
        ({"Timestamp": "1970-01-01T00:00:00Z"}, None, 0),
        ({"TimestampPath": "$$.Execution.StartTime"}, None, "$$.Execution.StartTime"),
    ],
)
def test_a_wait_has_four_forms(
    fields: dict[str, Any], seconds: int | str | None, timestamp: int | str | None
) -> None:
    wait = state({"Type": "Wait", "End": True, **fields})

    assert isinstance(wait, Wait)
    assert (
        wait.seconds.text if isinstance(wait.seconds, Path) else wait.seconds,
        wait.timestamp.text if isinstance(wait.timestamp, Path) else wait.timestamp,
    ) == (seconds, timestamp)


def test_succeed_may_filter() -> None:
    end = state({"Type": "Succeed", "InputPath": "$.i", "OutputPath": "$.o[*]"})

    assert isinstance(end, Succeed)
    assert (text(end.input_path), text(end.output_path)) == ("$.i", "$.o[*]")


def test_fail_takes_texts_paths_and_intrinsics() -> None:
    plain = state({"Type": "Fail", "Error": "E", "Cause": "C"})
    dynamic = state({"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}!', $.c)"})

    assert plain == Fail(name="S", error="E", cause="C")
    assert state({"Type": "Fail"}) == Fail(name="S", error=None, cause=None)
    assert isinstance(dynamic, Fail)
    assert rendered(dynamic.error, {"e": "E"}) == "E"
    assert rendered(dynamic.cause, {"c": "C"}) == "C!"


def test_a_parallel_has_all_its_fields() -> None:
    other = {"StartAt": "C", "Comment": "c", "States": {"C": {"Type": "Fail", "Error": "E"}}}
    parallel = state({
        "Type": "Parallel", "End": True, "Branches": [INNER, other], "Parameters": {"p": 1},
        "ResultSelector": {"s.$": "$[0]"}, "ResultPath": None, "InputPath": "$.i",
        "Retry": [{"ErrorEquals": ["E"]}], "Catch": [{"ErrorEquals": ["E"], "Next": "Z"}],
    })  # fmt: skip

    assert isinstance(parallel, Parallel)
    assert [(each.start_at, list(each.states)) for each in parallel.branches] == [
        ("B", ["B"]), ("C", ["C"]),
    ]  # fmt: skip
    assert parallel.branches[1] == Branch(
        start_at="C", states={"C": Fail(name="C", error="E", cause=None)}
    )
    assert rendered(parallel.parameters, {}) == {"p": 1}
    assert rendered(parallel.result_selector, [8]) == {"s": 8}
    assert (parallel.result_path, text(parallel.input_path)) == (None, "$.i")
    assert parallel.retry == (Retrier(error_equals=("E",)),)
    assert [each.next for each in parallel.catch] == ["Z"]


def test_a_bare_map_takes_its_whole_input_without_limit() -> None:
    mapping = state({"Type": "Map", "End": True, "ItemProcessor": INNER})

    assert isinstance(mapping, Map)
    assert (text(mapping.items), mapping.item_selector, mapping.max_concurrency) == (
        "$", None, 0,
    )  # fmt: skip
    assert list(mapping.processor.states) == ["B"]


@pytest.mark.parametrize("config", [{}, {"ProcessorConfig": {}},
                                    {"ProcessorConfig": {"Mode": "INLINE"}}])  # fmt: skip
@pytest.mark.parametrize("processor", ["ItemProcessor", "Iterator"])
@pytest.mark.parametrize("selector", ["ItemSelector", "Parameters"])
def test_a_map_reads_its_legacy_fields_alike(
    config: dict[str, Any], processor: str, selector: str
) -> None:
    mapping = state({
        "Type": "Map", "End": True, processor: {**INNER, **config},
        selector: {"v.$": "$.v"}, "ItemsPath": "$$.Execution.Input.a[0]",
        "MaxConcurrencyPath": "$.c", "ToleratedFailureCountPath": "$.t",
        "ToleratedFailurePercentage": 12.5, "ResultSelector": {"s.$": "$"},
    })  # fmt: skip

    assert isinstance(mapping, Map)
    assert text(mapping.items) == "$$.Execution.Input.a[0]"
    assert text(mapping.max_concurrency) == "$.c"
    assert rendered(mapping.item_selector, {"v": 1}) == {"v": 1}
    assert rendered(mapping.result_selector, [1]) == {"s": [1]}
    assert list(mapping.processor.states) == ["B"]


def test_a_map_may_be_limited_by_a_number_of_any_size() -> None:
    mapping = state(
        {"Type": "Map", "End": True, "ItemProcessor": INNER, "MaxConcurrency": 2**63 - 1}
    )

    assert isinstance(mapping, Map)
    assert mapping.max_concurrency == 2**63 - 1
