import json
from typing import Any

import pytest

from eventmill.asl.parser import check, parse
from eventmill.asl.syntax import (
    Choice,
    Fail,
    Map,
    Parallel,
    Pass,
    State,
    Succeed,
    Task,
    Wait,
)
from eventmill.errors import AuthorError
from eventmill.instant import parse_instant
from eventmill.model import Failure, Json, Payload
from eventmill.query.environment import Environment, no_context
from eventmill.query.jsonata import Query, QueryTemplate
from eventmill.query.jsonpath import Path

END: dict[str, Any] = {"End": True}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:resize"
INVOKE = "arn:aws:states:::lambda:invoke"
INNER: dict[str, Any] = {"StartAt": "B", "States": {"B": {"Type": "Succeed"}}}
SCHEMA = "SCHEMA_VALIDATION_FAILED"
UNSUPPORTED = "UNSUPPORTED_JSONATA_EXPRESSION"
LANGUAGES = "The QueryLanguage is set to '{}', but field '{}' is only supported for the '{}'"


def text_of(fields: dict[str, Any], language: str = "JSONata") -> str:
    """A machine with the state `S`, and `Z` beside it where something leads there."""
    states = {"S": fields}
    if fields["Type"] == "Choice" or "Catch" in fields:
        states["Z"] = {"Type": "Succeed"}
    return json.dumps({"StartAt": "S", "QueryLanguage": language, "States": states})


def state(**fields: Any) -> State:
    return parse(text_of(fields)).machine.states["S"]


def listed(fields: dict[str, Any], language: str = "JSONata") -> list[tuple[str, str | None, str]]:
    return [
        (each.code, each.location, each.message)
        for each in check(text_of(fields, language))
        if each.severity == "ERROR"
    ]


def environment(data: Json = None, **surroundings: Any) -> Environment:
    return Environment(Payload.of(data), no_context, {"v": 40}, **surroundings)


def asked(query: object, data: Json = None) -> tuple[str, Json]:
    """The name of the field that a query stands in, and what it gives."""
    assert isinstance(query, Query)
    return query.field, query.evaluate(environment(data))


def rendered(template: object, data: Json = None, **surroundings: Any) -> Json:
    assert isinstance(template, QueryTemplate)
    return template.render(environment(data, **surroundings)).value


def test_a_pass_has_output_and_assign() -> None:
    passing = state(
        Type="Pass", Output={"a": ["{% $v + 2 %}"]}, Assign={"w": "{% $states.input %}"}, **END
    )

    assert isinstance(passing, Pass)
    assert passing.language == "JSONata"
    assert rendered(passing.output) == {"a": [42]}
    assert rendered(passing.assign, 7) == {"w": 7}
    assert (passing.parameters, passing.result) == (None, None)
    paths = (passing.input_path, passing.result_path, passing.output_path)
    assert [getattr(path, "text", None) for path in paths] == ["$", "$", "$"]


@pytest.mark.parametrize("output", [None, False, 0, "", "plain", [], {}])
def test_an_output_may_be_any_json(output: Json) -> None:
    passing = state(Type="Succeed", Output=output)

    assert isinstance(passing, Succeed)
    assert rendered(passing.output) == output


def test_without_output_and_assign_there_are_none() -> None:
    passing = state(Type="Pass", **END)

    assert isinstance(passing, Pass)
    assert (passing.output, passing.assign) == (None, None)


def test_a_task_is_given_arguments_and_hands_its_result_on() -> None:
    task = state(
        Type="Task",
        Resource=FUNCTION,
        Arguments={"n": "{% $states.input.n %}"},
        Output="{% $states.result.m + $states.input.n %}",
        Assign={"r": "{% $states.result %}"},
        TimeoutSeconds="{% $v %}",
        HeartbeatSeconds="{% $v - 39 %}",
        Credentials={"RoleArn": "{% $states.input.role %}"},
        Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 2}],
        Catch=[{"ErrorEquals": ["E"], "Next": "Z", "Output": "{% $states.errorOutput.Error %}",
                "Assign": {"e": "{% $states.errorOutput %}"}}],
        **END,
    )  # fmt: skip

    assert isinstance(task, Task)
    assert rendered(task.parameters, {"n": 1}) == {"n": 1}
    result = Payload.of({"m": 2})
    assert rendered(task.output, {"n": 1}, result=result) == 3
    assert rendered(task.assign, {"n": 1}, result=result) == {"r": {"m": 2}}
    assert asked(task.timeout_seconds) == ("TimeoutSeconds", 40)
    assert asked(task.heartbeat_seconds) == ("HeartbeatSeconds", 1)
    assert rendered(task.credentials, {"role": "r"}) == {"RoleArn": "r"}
    assert [each.max_attempts for each in task.retry] == [2]
    [catcher] = task.catch
    failure = Payload.of({"Error": "E", "Cause": "C"})
    assert rendered(catcher.output, error_output=failure) == "E"
    assert rendered(catcher.assign, error_output=failure) == {"e": {"Error": "E", "Cause": "C"}}


def test_a_choice_asks_its_conditions() -> None:
    choice = state(
        Type="Choice",
        Choices=[
            {"Condition": False, "Next": "Z"},
            {"Condition": "{% $states.input > $v %}", "Next": "Z", "Output": "{% $v %}",
             "Assign": {"a": 1}},
        ],
        Default="Z",
        Output="default",
        Assign={"a": 2},
    )  # fmt: skip

    assert isinstance(choice, Choice)
    never, greater = choice.rules
    assert never.condition(environment(1)) is False
    assert (never.output, never.assign) == (None, None)
    assert [greater.condition(environment(data)) for data in (40, 41)] == [False, True]
    assert rendered(greater.output) == 40
    assert rendered(greater.assign) == {"a": 1}
    assert rendered(choice.output) == "default"
    assert rendered(choice.assign) == {"a": 2}


def test_a_condition_that_is_neither_true_nor_false_fails() -> None:
    choice = state(Type="Choice", Choices=[{"Condition": "{% [$v] %}", "Next": "Z"}])
    assert isinstance(choice, Choice)

    with pytest.raises(AuthorError) as caught:
        choice.rules[0].condition(environment())

    assert caught.value.failure == Failure(
        error="States.QueryEvaluationError",
        cause="The JSONata expression '[$v]' specified for the field 'Choices[0]/Condition'"
        " returned an unexpected result type. Expected 'boolean', but was 'array' for value: [40]",
    )
    assert caught.value.location == "Choices[0]/Condition"


def test_a_wait_asks_how_long_or_until_when() -> None:
    waits = [
        state(Type="Wait", Seconds="{% $v %}", Output=1, Assign={"a": 1}, **END),
        state(Type="Wait", Timestamp="{% $states.input %}", **END),
        state(Type="Wait", Seconds=7, **END),
        state(Type="Wait", Timestamp="2026-01-02T03:04:05Z", **END),
    ]

    seconds, until, literal, instant = [each for each in waits if isinstance(each, Wait)]
    assert asked(seconds.seconds) == ("Seconds", 40)
    assert (rendered(seconds.output), rendered(seconds.assign)) == (1, {"a": 1})
    assert asked(until.timestamp, "then") == ("Timestamp", "then")
    assert (literal.seconds, literal.timestamp) == (7, None)
    assert (instant.seconds, instant.timestamp) == (None, parse_instant("2026-01-02T03:04:05Z"))


def test_a_fail_asks_for_its_texts() -> None:
    failing = state(Type="Fail", Error="{% $states.input.e %}", Cause="$.plain")

    assert isinstance(failing, Fail)
    assert failing.language == "JSONata"
    assert asked(failing.error, {"e": "E"}) == ("Error", "E")
    assert failing.cause == "$.plain"


def test_a_parallel_is_given_arguments() -> None:
    parallel = state(
        Type="Parallel",
        Branches=[INNER],
        Arguments=["{% $v %}"],
        Output="{% $states.result[0] %}",
        Assign={"r": "{% $count($states.result) %}"},
        **END,
    )

    assert isinstance(parallel, Parallel)
    assert rendered(parallel.parameters) == [40]
    assert rendered(parallel.output, result=Payload.of([5, 6])) == 5
    assert rendered(parallel.assign, result=Payload.of([5, 6])) == {"r": 2}


def test_a_map_asks_for_its_items() -> None:
    mapping = state(
        Type="Map",
        ItemProcessor=INNER,
        Items="{% $states.input.items %}",
        ItemSelector={"i": "{% $v %}"},
        MaxConcurrency="{% $v %}",
        ToleratedFailureCount="{% 1 %}",
        ToleratedFailurePercentage="{% 1 %}",
        Output="{% $states.result %}",
        **END,
    )

    assert isinstance(mapping, Map)
    assert asked(mapping.items, {"items": [1]}) == ("Items", [1])
    assert rendered(mapping.item_selector) == {"i": 40}
    assert asked(mapping.max_concurrency) == ("MaxConcurrency", 40)
    assert rendered(mapping.output, result=Payload.of([5])) == [5]


def test_the_items_of_a_map_may_be_written_out_or_left_out() -> None:
    written = state(Type="Map", ItemProcessor=INNER, Items=["{% $v %}", 1], **END)
    left_out = state(Type="Map", ItemProcessor=INNER, **END)

    assert isinstance(written, Map)
    assert isinstance(left_out, Map)
    assert rendered(written.items) == [40, 1]
    assert isinstance(left_out.items, Path)
    assert left_out.items.text == "$"
    assert left_out.max_concurrency == 0


def test_arguments_that_are_one_expression_are_not_looked_into() -> None:
    task = state(Type="Task", Resource=INVOKE, Arguments="{% $states.input %}", **END)

    assert isinstance(task, Task)
    assert rendered(task.parameters, {"FunctionName": "f"}) == {"FunctionName": "f"}


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"Type": "Task", "Resource": INVOKE, **END}, "",
         f"Arguments field is required for resource ARN: {INVOKE}"),
        ({"Type": "Task", "Resource": INVOKE, "Arguments": {"Payload": "x"}, **END}, "/Arguments",
         "The field 'FunctionName' is required but was missing"),
        ({"Type": "Task", "Resource": INVOKE, "Arguments": {"FunctionName.$": 1,
         "FunctionName": "f"}, **END}, "/Arguments",
         "The field 'FunctionName.$' is not supported by Step Functions"),
        ({"Type": "Map", "ItemProcessor": INNER, "Items": "$.items", **END}, "/Items",
         "Expected value of type Array"),
        ({"Type": "Wait", "Seconds": "{% 1", **END}, "/Seconds", "Expected value of type Integer"),
        ({"Type": "Wait", "Timestamp": "then", **END}, "/Timestamp",
         "String does not match RFC3339 timestamp"),
        ({"Type": "Choice", "Choices": [{"Next": "Z"}], "Default": "Z"}, "/Choices[0]",
         "These fields are required: [Condition]"),
        ({"Type": "Choice", "Choices": [{"Next": "Z", "Condition": "true"}]},
         "/Choices[0]/Condition", "Expected value of type Boolean"),
    ],
)  # fmt: skip
def test_a_broken_state_is_refused(fields: dict[str, Any], place: str, message: str) -> None:
    assert listed(fields) == [(SCHEMA, f"/States/S{place}", message)]


@pytest.mark.parametrize(
    ("fields", "place", "name"),
    [
        *(({"Type": "Pass", name: value, **END}, "", name) for name, value in (
            ("InputPath", "$"), ("OutputPath", "$"), ("ResultPath", "$"), ("Parameters", {}),
            ("Result", 1))),
        ({"Type": "Task", "Resource": FUNCTION, "ResultSelector": {}, **END}, "", "ResultSelector"),
        ({"Type": "Task", "Resource": FUNCTION, "TimeoutSecondsPath": "$.t", **END}, "",
         "TimeoutSecondsPath"),
        ({"Type": "Task", "Resource": FUNCTION, "HeartbeatSecondsPath": "$.t", **END}, "",
         "HeartbeatSecondsPath"),
        ({"Type": "Task", "Resource": FUNCTION, "Catch": [
            {"ErrorEquals": ["E"], "Next": "Z", "ResultPath": "$"}], **END}, "/Catch[0]",
         "ResultPath"),
        ({"Type": "Wait", "SecondsPath": "$.s", **END}, "", "SecondsPath"),
        ({"Type": "Wait", "TimestampPath": "$.s", **END}, "", "TimestampPath"),
        ({"Type": "Fail", "ErrorPath": "$.s"}, "", "ErrorPath"),
        ({"Type": "Fail", "CausePath": "$.s"}, "", "CausePath"),
        *(({"Type": "Map", "ItemProcessor": INNER, name: "$.s", **END}, "", name) for name in (
            "ItemsPath", "MaxConcurrencyPath", "ToleratedFailureCountPath",
            "ToleratedFailurePercentagePath")),
        ({"Type": "Choice", "Choices": [{"Condition": True, "Variable": "$.s", "Next": "Z"}]},
         "/Choices[0]", "Variable"),
        *(({"Type": "Choice", "Choices": [{"Condition": True, name: [], "Next": "Z"}]},
           "/Choices[0]", name) for name in ("And", "Or", "Not")),
    ],
)  # fmt: skip
def test_fields_of_jsonpath_are_refused_in_aws_words(
    fields: dict[str, Any], place: str, name: str
) -> None:
    message = f"{LANGUAGES.format('JSONata', name, 'JSONPath')} QueryLanguage"

    assert listed(fields) == [(SCHEMA, f"/States/S{place}", message)]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        *(({"Type": kind, "Output": 1, **fields}, "Output") for kind, fields in (
            ("Pass", END), ("Wait", {"Seconds": 1, **END}), ("Succeed", {}))),
        ({"Type": "Task", "Resource": FUNCTION, "Arguments": {}, **END}, "Arguments"),
        ({"Type": "Parallel", "Branches": [INNER], "Arguments": {}, **END}, "Arguments"),
        ({"Type": "Map", "ItemProcessor": INNER, "Items": [], **END}, "Items"),
    ],
)  # fmt: skip
def test_fields_of_jsonata_are_refused_in_aws_words(fields: dict[str, Any], name: str) -> None:
    message = f"{LANGUAGES.format('JSONPath', name, 'JSONata')} QueryLanguage"

    assert listed(fields, "JSONPath") == [(SCHEMA, "/States/S", message)]


CATCHER = {"ErrorEquals": ["E"], "Next": "Z"}


@pytest.mark.parametrize(
    ("fields", "place", "member"),
    [
        ({"Type": "Pass", "Output": "{% $states.result %}", **END}, "Output", "result"),
        ({"Type": "Pass", "Assign": {"a": ["{% $states.result %}"]}, **END}, "Assign/a[0]",
         "result"),
        ({"Type": "Pass", "Output": "{% $states.errorOutput %}", **END}, "Output", "errorOutput"),
        ({"Type": "Wait", "Seconds": "{% $states.result %}", **END}, "Seconds", "result"),
        ({"Type": "Succeed", "Output": "{% $states.result %}"}, "Output", "result"),
        ({"Type": "Fail", "Error": "{% $states.errorOutput %}"}, "Error", "errorOutput"),
        ({"Type": "Task", "Resource": FUNCTION, "Arguments": "{% $states.result %}", **END},
         "Arguments", "result"),
        ({"Type": "Task", "Resource": FUNCTION, "TimeoutSeconds": "{% $states.result %}", **END},
         "TimeoutSeconds", "result"),
        ({"Type": "Task", "Resource": FUNCTION, "Output": "{% $states.errorOutput %}", **END},
         "Output", "errorOutput"),
        ({"Type": "Task", "Resource": FUNCTION, **END,
          "Catch": [{**CATCHER, "Output": {"r": "{% $states.result %}"}}]},
         "Catch[0]/Output/r", "result"),
        ({"Type": "Task", "Resource": FUNCTION, **END,
          "Catch": [{**CATCHER, "Assign": {"r": "{% $states.result %}"}}]},
         "Catch[0]/Assign/r", "result"),
        ({"Type": "Map", "ItemProcessor": INNER, "Items": "{% $states.result %}", **END},
         "Items", "result"),
        ({"Type": "Map", "ItemProcessor": INNER, "ItemSelector": "{% $states.result %}", **END},
         "ItemSelector", "result"),
        ({"Type": "Choice", "Choices": [{"Condition": "{% $states.result %}", "Next": "Z"}]},
         "Choices[0]/Condition", "result"),
        ({"Type": "Choice", "Choices": [
            {"Condition": True, "Output": "{% $states.result %}", "Next": "Z"}]},
         "Choices[0]/Output", "result"),
    ],
)  # fmt: skip
def test_what_is_not_known_yet_cannot_be_asked_for(
    fields: dict[str, Any], place: str, member: str
) -> None:
    message = f"Field '$states.{member}' does not exist."

    assert listed(fields) == [(UNSUPPORTED, f"/States/S/{place}", message)]


def test_a_mistake_in_an_expression_is_reported_where_it_stands() -> None:
    fields = {"Type": "Pass", "Output": {"a/b": [1, "{% [1 %}"]}, **END}

    [diagnostic] = check(text_of(fields))

    assert diagnostic.code == "INVALID_JSONATA_EXPRESSION"
    assert diagnostic.location == "/States/S/Output/a/b[1]"
    assert diagnostic.pointer == "/States/S/Output/a~1b/1"


@pytest.mark.parametrize("text", ["{% 1", "{% 1 %} ", " {% 1 %}", "1 %}"])
@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"Type": "Pass", "Output": ["TEXT"], **END}, "Output[0]"),
        ({"Type": "Pass", "Assign": {"a": {"b": "TEXT"}}, **END}, "Assign/a/b"),
        ({"Type": "Fail", "Cause": "TEXT"}, "Cause"),
    ],
)
def test_an_expression_has_both_its_delimiters(
    fields: dict[str, Any], place: str, text: str
) -> None:
    fields = json.loads(json.dumps(fields).replace("TEXT", text))
    message = "An expression must start with '{%' and end with '%}'"

    assert listed(fields) == [("INVALID_JSONATA_EXPRESSION", f"/States/S/{place}", message)]
    assert listed({"Type": "Pass", "Parameters": {"a": text}, **END}, "JSONPath") == []


def test_a_state_may_speak_jsonata_in_a_machine_that_does_not() -> None:
    states = {
        "A": {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% 1 %}", "Next": "B"},
        "B": {"Type": "Pass", "Parameters": {"a": "{% 1 %}"}, **END},
    }
    machine = parse(json.dumps({"StartAt": "A", "States": states})).machine

    assert [each.language for each in machine.states.values()] == ["JSONata", "JSONPath"]
    first, second = machine.states.values()
    assert isinstance(first, Pass)
    assert isinstance(second, Pass)
    assert rendered(first.output) == 1
    assert second.parameters is not None
    assert second.parameters.render(environment()).value == {"a": "{% 1 %}"}
