import json
from typing import Any

import pytest

from eventmill.asl.parser import Definition, check, parse
from eventmill.errors import Diagnostic, InvalidDefinition
from eventmill.model import Json, Quotas

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:resize"
INVOKE = "arn:aws:states:::lambda:invoke"
END: dict[str, Any] = {"End": True}
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:a"
BRANCH: dict[str, Any] = {"StartAt": "B", "States": {"B": {"Type": "Pass", **END}}}
SCHEMA = "SCHEMA_VALIDATION_FAILED"


def machine(states: dict[str, Any], **fields: Json) -> str:
    """The text of a machine; it starts at the first state unless told otherwise."""
    return json.dumps({"StartAt": next(iter(states), ""), "States": states, **fields})


def alone(kind: str, **fields: Json) -> str:
    """The text of a machine whose only state, `S`, has this type and these fields."""
    return machine({"S": {"Type": kind, **fields}})


def listed(text: str, **options: Any) -> list[tuple[str, str | None, str]]:
    """Code, location and message of every error."""
    return [
        (each.code, each.location, each.message)
        for each in check(text, **options)
        if each.severity == "ERROR"
    ]


def test_a_sound_definition_has_nothing_to_say() -> None:
    text = machine(
        {"A": {"Type": "Pass", "Next": "Z"}, "Z": {"Type": "Succeed"}},
        Comment="two states",
        Version="1.0",
        QueryLanguage="JSONPath",
        TimeoutSeconds=60,
    )
    definition = parse(text)

    assert check(text) == ()
    assert definition == Definition(machine=definition.machine, warnings=())
    assert definition.machine.start_at == "A"
    assert list(definition.machine.states) == ["A", "Z"]
    assert definition.machine.timeout_seconds == 60
    assert definition.machine.comment == "two states"
    assert [state.name for state in parse(text.encode()).machine.states.values()] == ["A", "Z"]


def test_every_mistake_is_listed_in_aws_order_and_raised_together() -> None:
    text = machine(
        {
            "A": {"Type": "Pass", "Next": "Nope", "Retry": []},
            "M": {"Type": "Task", "Resource": ACTIVITY, **END},
            "W": {"Type": "Wait", "Seconds": -1, **END},
        },
        StartAt="Missing",
        QueryLanguag="JSONPath",
    )
    expected = [
        (SCHEMA, "/", "Field 'QueryLanguag' is not supported"),
        (SCHEMA, "/States/A", "Field 'Retry' is not supported"),
        (SCHEMA, "/States/W/Seconds", "Minimum value is 0"),
        ("MISSING_TRANSITION_TARGET", "/StartAt", "Missing 'Next' target: Missing"),
        ("MISSING_TRANSITION_TARGET", "/States/A/Next", "Missing 'Next' target: Nope"),
        ("MISSING_TRANSITION_TARGET", "/States/A", 'State "A" is not reachable.'),
        ("MISSING_TRANSITION_TARGET", "/States/M", 'State "M" is not reachable.'),
        ("MISSING_TRANSITION_TARGET", "/States/W", 'State "W" is not reachable.'),
    ]

    found = listed(text)

    assert found[:-1] == expected
    assert found[-1][:2] == ("UNSUPPORTED_FEATURE", "/States/M/Resource")
    with pytest.raises(InvalidDefinition) as raised:
        parse(text)
    assert raised.value.diagnostics == check(text)


def test_the_exception_reads_as_aws_writes_it() -> None:
    looping = machine({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "C"}})

    with pytest.raises(InvalidDefinition) as raised:
        parse(looping)

    assert str(raised.value) == (
        "Invalid State Machine Definition: 'MISSING_TRANSITION_TARGET: Missing 'Next' target: C"
        " at /States/B/Next, MISSING_END_STATE: Workflow has no terminal state at null'"
    )


@pytest.mark.parametrize(
    ("text", "location", "message"),
    [
        ("{}", "/", "These fields are required: [States, StartAt]"),
        ('{"StartAt": "A"}', "/", "These fields are required: [States]"),
        (machine({"A": {"Type": "Pass", **END}}, Version="2.0"), "/Version",
         "Value should be one of the following: [1.0]"),
        (machine({"A": {"Type": "Pass", **END}}, QueryLanguage="jsonpath"), "/QueryLanguage",
         "Value should be one of the following: [JSONPath, JSONata]"),
        (machine({"A": {"Type": "Pass", **END}}, QueryLanguage=1), "/QueryLanguage",
         "Expected value of type [STRING]"),
        (machine({"A": {"Type": "Pass", **END}}, TimeoutSeconds="60"), "/TimeoutSeconds",
         "Expected value of type Integer"),
        (machine({"A": {"Type": "Pass", **END}}, Comment=1), "/Comment",
         "Expected value of type String"),
        (machine({"A": 1}), "/States/A", "Expected value of type Object"),
        (machine({"A": {}}), "/States/A", "These fields are required: [Type]"),
        (machine({"A": {"Type": "Tsk"}}), "/States/A/Type",
         "The field 'Type' should have one of these values:"
         " [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]"),
        ('{"StartAt": "A", "States": []}', "/States", "Expected value of type Object"),
    ],
)  # fmt: skip
def test_a_broken_machine_is_refused_in_aws_words(text: str, location: str, message: str) -> None:
    assert listed(text)[0] == (SCHEMA, location, message)


STATES_ALL = "States.ALL must appear alone and at end of list"
TASK: dict[str, Any] = {"Resource": FUNCTION, **END}
INVOCATION: dict[str, Any] = {"Resource": INVOKE, "Parameters": {"FunctionName": "f"}, **END}


@pytest.mark.parametrize(
    ("kind", "fields", "place", "message"),
    [
        # Next and End
        ("Pass", {}, "", "This object should have only one of the following fields: [Next, End]"),
        ("Pass", {"End": False}, "",
         "This object should have only one of the following fields: [Next, End]"),
        ("Pass", {"Next": "S", **END}, "",
         "There should only be one of the following fields: [Next, End]"),
        ("Pass", {"End": "true"}, "/End", "Expected value of type Boolean"),
        ("Succeed", END, "", "Field 'End' is not supported"),
        ("Fail", {"Next": "S"}, "", "Field 'Next' is not supported"),
        # fields of other types
        ("Pass", {"TimeoutSeconds": 5, **END}, "", "Field 'TimeoutSeconds' is not supported"),
        ("Wait", {"Seconds": 1, "ResultPath": "$", **END}, "",
         "Field 'ResultPath' is not supported"),
        ("Fail", {"InputPath": "$"}, "", "Field 'InputPath' is not supported"),
        # the other query language
        ("Pass", {"Output": {}, **END}, "",
         "The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the"
         " 'JSONata' QueryLanguage"),
        # paths
        ("Pass", {"InputPath": "a", **END}, "/InputPath", "Value must be a valid JSONPath."),
        ("Pass", {"InputPath": 1, **END}, "/InputPath", "Expected value of type String"),
        ("Succeed", {"OutputPath": "$.a[", }, "/OutputPath", "Value must be a valid JSONPath."),
        ("Pass", {"ResultPath": "a", **END}, "/ResultPath", "Value must be a valid JSONPath."),
        ("Pass", {"ResultPath": "$.a[*]", **END}, "/ResultPath", "Value is not a Reference Path"),
        ("Pass", {"ResultPath": "$$.a", **END}, "/ResultPath", "Value is not a Reference Path"),
        # templates
        ("Pass", {"Parameters": {"a": [{"b.$": "c"}]}, **END}, "/Parameters",
         "The value for the field 'b.$' must be a valid JSONPath or a valid intrinsic function"
         " call"),
        # Task
        ("Task", END, "", "These fields are required: [Resource]"),
        ("Task", {"Resource": "resize", **END}, "/Resource", "Value is not a valid resource ARN"),
        ("Task", {"Resource": {"Ref": "x"}, **END}, "/Resource", "Expected value of type String"),
        ("Task", {"Resource": INVOKE, **END}, "",
         f"Parameters field is required for resource ARN: {INVOKE}"),
        ("Task", {"Resource": INVOKE, "Parameters": {"Payload": {}}, **END}, "/Parameters",
         "The field 'FunctionName' is required but was missing"),
        ("Task", {**INVOCATION, "Parameters": {"FunctionName.$": "$.f", "Body": 1}},
         "/Parameters", "The field 'Body' is not supported by Step Functions"),
        ("Task", {**TASK, "TimeoutSeconds": 0}, "/TimeoutSeconds", "Minimum value is 1"),
        ("Task", {**TASK, "TimeoutSeconds": 100_000_000}, "/TimeoutSeconds",
         "Maximum value is 99999999"),
        ("Task", {**TASK, "TimeoutSeconds": 1.5}, "/TimeoutSeconds",
         "Expected value of type Integer"),
        ("Task", {**TASK, "TimeoutSeconds": True}, "/TimeoutSeconds",
         "Expected value of type Integer"),
        ("Task", {**TASK, "TimeoutSeconds": 9, "TimeoutSecondsPath": "$.t"}, "",
         "There should only be one of the following fields: [TimeoutSeconds, TimeoutSecondsPath]"),
        ("Task", {**TASK, "TimeoutSecondsPath": "$.t[*]"}, "/TimeoutSecondsPath",
         "Value is not a Reference Path"),
        ("Task", {**TASK, "HeartbeatSeconds": 9, "HeartbeatSecondsPath": "$.t"}, "",
         "There should only be one of the following fields:"
         " [HeartbeatSeconds, HeartbeatSecondsPath]"),
        ("Task", {**TASK, "TimeoutSeconds": 9, "HeartbeatSeconds": 9}, "/HeartbeatSeconds",
         "HeartbeatSeconds must be smaller than TimeoutSeconds"),
        ("Task", {**TASK, "Credentials": {"roleArn": "x"}}, "/Credentials",
         "The field 'RoleArn' is required but was missing"),
        ("Task", {**TASK, "Credentials": "x"}, "/Credentials", "Expected value of type Object"),
        # Retry and Catch
        ("Task", {**TASK, "Retry": {}}, "/Retry", "Expected value of type Array"),
        ("Task", {**TASK, "Retry": [1]}, "/Retry[0]", "Expected value of type Object"),
        ("Task", {**TASK, "Retry": [{}]}, "/Retry[0]", "These fields are required: [ErrorEquals]"),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": []}]}, "/Retry[0]/ErrorEquals",
         "Value cannot be empty"),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": ["A", 1]}]}, "/Retry[0]/ErrorEquals[1]",
         "Expected value of type String"),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": ["A", "States.ALL"]}]},
         "/Retry[0]/ErrorEquals[1]", STATES_ALL),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}]},
         "/Retry[0]/ErrorEquals[0]", STATES_ALL),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": ["A"], "MaxAttempts": -1}]},
         "/Retry[0]/MaxAttempts", "Minimum value is 0"),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": ["A"], "BackoffRate": 0.5}]},
         "/Retry[0]/BackoffRate", "Minimum value is 1.0"),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": ["A"], "IntervalSeconds": -1}]},
         "/Retry[0]/IntervalSeconds", "Minimum value is 0"),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": ["A"], "MaxDelaySeconds": 31_622_401}]},
         "/Retry[0]/MaxDelaySeconds", "Maximum value is 31622400"),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": ["A"], "JitterStrategy": "HALF"}]},
         "/Retry[0]/JitterStrategy", "Value should be one of the following: [NONE, FULL]"),
        ("Task", {**TASK, "Retry": [{"ErrorEquals": ["A"], "Next": "S"}]}, "/Retry[0]",
         "Field 'Next' is not supported"),
        ("Task", {**TASK, "Catch": [{"ErrorEquals": ["A"]}]}, "/Catch[0]",
         "These fields are required: [Next]"),
        ("Task", {**TASK, "Catch": [{"ErrorEquals": ["A"], "Next": "S", "ResultPath": "$.a[*]"}]},
         "/Catch[0]/ResultPath", "Value is not a Reference Path"),
        ("Task", {**TASK, "Catch": [{"ErrorEquals": ["A"], "Next": "S", "Output": {}}]},
         "/Catch[0]", "The QueryLanguage is set to 'JSONPath', but field 'Output' is only"
         " supported for the 'JSONata' QueryLanguage"),
        # Wait
        ("Wait", END, "", "This object should have only one of the following fields:"
         " [SecondsPath, Seconds, TimestampPath, Timestamp]"),
        ("Wait", {"Seconds": 1, "Timestamp": "2024-01-01T00:00:00Z", **END}, "",
         "There should only be one of the following fields:"
         " [SecondsPath, Seconds, TimestampPath, Timestamp]"),
        ("Wait", {"Seconds": "1", **END}, "/Seconds", "Expected value of type Integer"),
        ("Wait", {"Timestamp": "2024-13-01T00:00:00Z", **END}, "/Timestamp",
         "String does not match RFC3339 timestamp"),
        ("Wait", {"TimestampPath": "$..t", **END}, "/TimestampPath",
         "Value is not a Reference Path"),
        # Fail
        ("Fail", {"Error": "E", "ErrorPath": "$.e"}, "",
         "There should only be one of the following fields: [Error, ErrorPath]"),
        ("Fail", {"Cause": "E", "CausePath": "$.e"}, "",
         "There should only be one of the following fields: [Cause, CausePath]"),
        ("Fail", {"Error": 1}, "/Error", "Expected value of type String"),
        ("Fail", {"CausePath": "e"}, "/CausePath", "Value must be a valid JSONPath."),
        ("Fail", {"CausePath": "States.Nope()"}, "/CausePath", "Value must be a valid JSONPath."),
        # Parallel
        ("Parallel", END, "", "These fields are required: [Branches]"),
        ("Parallel", {"Branches": [], **END}, "/Branches", "Value cannot be empty"),
        ("Parallel", {"Branches": [{}], **END}, "/Branches[0]",
         "These fields are required: [States, StartAt]"),
        ("Parallel", {"Branches": [{**BRANCH, "QueryLanguage": "JSONPath"}], **END},
         "/Branches[0]", "Field 'QueryLanguage' is not supported"),
        ("Parallel", {"Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass"}}}], **END},
         "/Branches[0]/States/B",
         "This object should have only one of the following fields: [Next, End]"),
        # Map
        ("Map", END, "",
         "This object should have only one of the following fields: [ItemProcessor, Iterator]"),
        ("Map", {"ItemProcessor": BRANCH, "Iterator": BRANCH, **END}, "",
         "There should only be one of the following fields: [ItemProcessor, Iterator]"),
        ("Map", {"Iterator": BRANCH, "Parameters": {}, "ItemSelector": {}, **END}, "",
         "There should only be one of the following fields: [Parameters, ItemSelector]"),
        ("Map", {"Iterator": BRANCH, "MaxConcurrency": -1, **END}, "/MaxConcurrency",
         "Minimum value is 0"),
        ("Map", {"Iterator": BRANCH, "MaxConcurrency": 1, "MaxConcurrencyPath": "$.c", **END}, "",
         "There should only be one of the following fields: [MaxConcurrency, MaxConcurrencyPath]"),
        ("Map", {"Iterator": BRANCH, "MaxConcurrencyPath": "$$.Execution.Input.c", **END},
         "/MaxConcurrencyPath", "Value is not a Reference Path"),
        ("Map", {"Iterator": BRANCH, "ItemsPath": "$.a[*]", **END}, "/ItemsPath",
         "Value is not a Reference Path"),
        ("Map", {"Iterator": BRANCH, "ToleratedFailurePercentage": 100.1, **END},
         "/ToleratedFailurePercentage", "Maximum value is 100.0"),
        ("Map", {"Iterator": BRANCH, "ToleratedFailurePercentage": -1, **END},
         "/ToleratedFailurePercentage", "Minimum value is 0.0"),
        ("Map", {"Iterator": BRANCH, "ToleratedFailureCount": -1, **END},
         "/ToleratedFailureCount", "Minimum value is 0"),
        ("Map", {"Iterator": {**BRANCH, "ProcessorConfig": {"Mode": "LOCAL"}}, **END},
         "/Iterator/ProcessorConfig/Mode",
         "Value should be one of the following: [INLINE, DISTRIBUTED]"),
        ("Map", {"ItemProcessor": {**BRANCH, "ProcessorConfig": {"ExecutionType": "EXPRESS"}},
                 **END},
         "/ItemProcessor/ProcessorConfig", "Field 'ExecutionType' is not supported"),
        ("Map", {"ItemProcessor": {**BRANCH, "ProcessorConfig": {"Mode": "DISTRIBUTED"}}, **END},
         "/ItemProcessor/ProcessorConfig", "These fields are required: [ExecutionType]"),
        ("Map", {"ItemProcessor": {**BRANCH, "QueryLanguage": "JSONPath"}, **END},
         "/ItemProcessor", "Field 'QueryLanguage' is not supported"),
    ],
)  # fmt: skip
def test_a_broken_state_is_refused_in_aws_words(
    kind: str, fields: dict[str, Any], place: str, message: str
) -> None:
    found = [each for each in listed(alone(kind, **fields)) if each[0] == SCHEMA]

    assert found == [(SCHEMA, f"/States/S{place}", message)]


@pytest.mark.parametrize(
    ("choice", "place", "message"),
    [
        ({}, "", "These fields are required: [Choices]"),
        ({"Choices": []}, "/Choices", "Value cannot be empty"),
        ({"Choices": [1]}, "/Choices[0]", "Expected value of type Object"),
        ({"Choices": [{"Variable": "$.a", "IsNull": True}]}, "/Choices[0]",
         "These fields are required: [Next]"),
        ({"Choices": [{"Variable": "$.a", "IsNull": True, "Next": "Z", "End": True}]},
         "/Choices[0]", "Field 'End' is not supported"),
        ({"Choices": [{"Condition": "{% true %}", "Next": "Z"}]}, "/Choices[0]",
         "The QueryLanguage is set to 'JSONPath', but field 'Condition' is only supported for the"
         " 'JSONata' QueryLanguage"),
        ({"Choices": [{"And": [{"Variable": "x", "IsNull": True}], "Next": "Z"}]},
         "/Choices[0]/And[0]/Variable",
         "Value is not a Reference Path: Reference path didn't start with '$'"),
        ({"Choices": [{"Variable": "$.a", "IsNull": True, "Next": "Z"}], "Default": 1},
         "/Default", "Expected value of type String"),
        ({"Choices": [{"Variable": "$.a", "IsNull": True, "Next": "Z"}], "Parameters": {}},
         "", "Field 'Parameters' is not supported"),
    ],
)  # fmt: skip
def test_a_broken_choice_is_refused_in_aws_words(
    choice: dict[str, Any], place: str, message: str
) -> None:
    text = machine({"S": {"Type": "Choice", **choice}, "Z": {"Type": "Succeed"}})

    found = [each for each in listed(text) if each[0] == SCHEMA]

    assert found == [(SCHEMA, f"/States/S{place}", message)]


@pytest.mark.parametrize(
    ("text", "location", "words"),
    [
        (alone("Task", Resource=ACTIVITY, **END), "/States/S/Resource", "activities"),
    ],
)  # fmt: skip
def test_what_does_not_run_yet_is_refused_and_says_what_does(
    text: str, location: str, words: str
) -> None:
    [(code, found, message)] = listed(text)

    assert (code, found) == ("UNSUPPORTED_FEATURE", location)
    assert words in message
    assert " yet" in message


@pytest.mark.parametrize(
    ("text", "location", "hint"),
    [
        (alone("Pass", inputpath="$", **END), "/States/S", "did you mean 'InputPath'?"),
        (alone("Pass", ResultPat="$", **END), "/States/S", "did you mean 'ResultPath'?"),
        (alone("Pass", Xyzzy=1, **END), "/States/S", None),
        (machine({"Load": {"Type": "Pass", "Next": "Lod"}, "Z": {"Type": "Fail"}}),
         "/States/Load/Next", "did you mean 'Load'?"),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_hinted_at(text: str, location: str, hint: str | None) -> None:
    first = check(text)[0]

    assert (first.location, first.hint) == (location, hint)


def test_pointers_follow_rfc_6901_where_locations_are_aws_own() -> None:
    text = machine(
        {"a/b~c": {"Type": "Choice", "Choices": [
            {"Variable": "$.x", "IsNull": True, "Next": "nowhere"}]},
         "Z": {"Type": "Succeed"}}
    )  # fmt: skip

    first = check(text)[0]

    assert (first.pointer, first.location) == (
        "/States/a~1b~0c/Choices/0/Next",
        "/States/a/b~c/Choices[0]/Next",
    )


def test_the_pointer_of_a_template_is_the_leaf_and_the_location_the_field() -> None:
    [mistake] = check(alone("Pass", Parameters={"a": [0, {"b.$": "c"}]}, **END))

    assert (mistake.pointer, mistake.location) == (
        "/States/S/Parameters/a/1/b.$",
        "/States/S/Parameters",
    )


def warning(code: str, pointer: str, location: str, message: str) -> Diagnostic:
    return Diagnostic(
        code=code, message=message, pointer=pointer, location=location, severity="WARNING"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (alone("Pass", Parameters={"a": "$.b", "c": "$5", "d": "$$"}, **END),
         [warning("NO_DOLLAR", f"/States/S/Parameters/{key}", "/States/S/Parameters",
                  f"The value of '{key}' looks like a JSONPath. Instead of '{key}', use '{key}.$'"
                  " to evaluate it as a JSONPath at runtime.") for key in "ad"]),
        (alone("Pass", Result={"c.$": "$.x"}, **END),
         [warning("PASS_RESULT_IS_STATIC", "/States/S/Result/c.$", "/States/S/Result",
                  "The value of 'c.$' will not evaluate as a JSONPath or Intrinsic Function at"
                  " runtime. Instead of 'Result', use 'Parameters' to evaluate it as a JSONPath or"
                  " Intrinsic Function at runtime.")]),
        (alone("Fail", Error="$.e", Cause="plain"),
         [warning("NO_PATH", "/States/S/Error", "/States/S/Error",
                  "The value of 'Error' looks like a JSONPath. Instead of 'Error', use 'ErrorPath'"
                  " to evaluate it as a JSONPath at runtime.")]),
        (alone("Map", ItemProcessor=BRANCH, ToleratedFailureCount=1, **END),
         [warning("FIELD_WITHOUT_EFFECT", "/States/S/ToleratedFailureCount",
                  "/States/S/ToleratedFailureCount",
                  "'ToleratedFailureCount' has no effect on a Map whose Mode is INLINE")]),
    ],
)  # fmt: skip
def test_what_looks_like_a_mistake_is_a_warning_and_runs(
    text: str, expected: list[Diagnostic]
) -> None:
    assert list(check(text)) == expected
    assert list(parse(text).warnings) == expected


def test_states_inside_inherit_the_query_language_of_the_machine() -> None:
    inner: dict[str, Any] = {"StartAt": "B", "States": {"B": {"Type": "Pass", "Output": 1, **END}}}
    states = {"S": {"Type": "Map", "QueryLanguage": "JSONata", "ItemProcessor": inner, **END}}

    assert listed(machine(states))[0][1:] == (
        "/States/S/ItemProcessor/States/B",
        "The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the"
        " 'JSONata' QueryLanguage",
    )
    assert listed(machine(states, QueryLanguage="JSONata")) == []


def test_a_jsonata_machine_cannot_have_jsonpath_states() -> None:
    states = {"S": {"Type": "Pass", "QueryLanguage": "JSONPath", "Output": 1, **END},
              "T": {"Type": "Pass", "InputPath": "$", **END}}  # fmt: skip

    assert [each[1:] for each in listed(machine(states, QueryLanguage="JSONata"))[:2]] == [
        (
            "/States/S",
            "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
        ),
        (
            "/States/T",
            "The QueryLanguage is set to 'JSONata', but field 'InputPath' is only supported for"
            " the 'JSONPath' QueryLanguage",
        ),
    ]


def test_an_express_machine_may_call_less() -> None:
    text = alone("Task", **{**INVOCATION, "Resource": f"{INVOKE}.waitForTaskToken"})

    assert listed(text) == []
    assert listed(text, machine_type="EXPRESS") == [
        (
            SCHEMA,
            "/States/S/Resource",
            "Express state machine does not support '.waitForTaskToken' service integration ",
        )
    ]


def test_the_quota_of_the_definition_is_a_setting() -> None:
    text = alone("Succeed")

    assert check(text, Quotas(definition_bytes_max=len(text))) == ()
    with pytest.raises(InvalidDefinition, match="DEFINITION_TOO_LARGE"):
        parse(text, Quotas(definition_bytes_max=len(text) - 1))


def nested_parallel(depth: int) -> dict[str, Any]:
    state: dict[str, Any] = {"Type": "Succeed"}
    for level in range(depth):
        inner = {"StartAt": f"S{level}", "States": {f"S{level}": state}}
        state = {"Type": "Parallel", "Branches": [inner], **END}
    return state


def test_branches_nest_deep_and_too_deep_is_said() -> None:
    assert listed(machine({"S": nested_parallel(40)})) == []
    assert [code for code, _, _ in listed(machine({"S": nested_parallel(100)}))] == [
        "TOO_DEEPLY_NESTED"
    ]


def test_rules_nest_deep() -> None:
    rule: dict[str, Any] = {"Variable": "$.a", "IsNull": True}
    for _ in range(90):
        rule = {"And": [rule]}
    states = {"S": {"Type": "Choice", "Choices": [{**rule, "Next": "Z"}]}, "Z": {"Type": "Fail"}}

    assert listed(machine(states)) == []
