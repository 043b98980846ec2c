"""Facts measured on the service about JSONPath states: paths, templates, the Context Object."""

import json
from typing import Any

import pytest

from eventmill.machine.facts import StartExecution
from eventmill.model import Failure, Json, Payload
from tests.unit.machine.worlds import BEGIN_MS, Refusal, World

PASS = {"Type": "Pass", "End": True}
CALL = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}


def begun(states: dict[str, Any], text: bytes, **fields: Any) -> World:
    """A machine that has been started with this very text."""
    world = World(states, **fields)
    world.tell(StartExecution(input=Payload(text), seed=1, role_arn="role"))
    return world


def one(state: dict[str, Any], data: Json = None) -> World:
    """A machine of this state alone, run to its end; a Choice leads to a Succeed."""
    if state["Type"] == "Choice":
        return World({"S": state, "Z": {"Type": "Succeed"}}).run(data)
    ending = {} if state["Type"] in ("Succeed", "Fail") else {"End": True}
    return World({"S": {**state, **ending}}).run(data)


def each(inner: dict[str, Any] = PASS, **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": {"StartAt": "P", "States": {"P": inner}}, **fields}


def caused(world: World, entered: int = 2, state: str = "S") -> str:
    """What a States.Runtime cause says after its prefix."""
    failure = world.execution.failure
    assert failure is not None
    assert failure.error == "States.Runtime"
    prefix = (
        f"An error occurred while executing the state '{state}' (entered at the event id "
        f"#{entered}). "
    )
    assert failure.cause is not None
    assert failure.cause.startswith(prefix)
    return failure.cause.removeprefix(prefix)


def test_a_missing_path_is_told_by_the_last_key_and_with_the_input_as_it_was_given() -> None:
    state = {"Type": "Pass", "Parameters": {"outer": {"m.$": "$.nope"}}, "End": True}
    world = begun({"S": state}, b'{\n  "x": "a"\n}')
    assert caused(world) == (
        "The JSONPath '$.nope' specified for the field 'm.$' could not be found in the input "
        '\'{\n  "x": "a"\n}\''
    )


def test_null_is_found() -> None:
    assert one({"Type": "Pass", "Parameters": {"m.$": "$.n"}}, {"n": None}).output() == {"m": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [("$.list[7]", None), ("$.list[99999]", None), ("$.list[0]", 1), ("$.none[*]", []),
     ("$.list[?(@.a)]", [])],
)  # fmt: skip
def test_an_index_out_of_range_is_null_in_a_template(path: str, value: Json) -> None:
    world = one({"Type": "Pass", "Parameters": {"m.$": path}}, {"list": [1], "none": []})
    assert world.output() == {"m": value}


def test_a_path_through_a_scalar_fails_in_a_template() -> None:
    world = one({"Type": "Pass", "Parameters": {"m.$": "$.x.y"}}, {"x": "a"})
    assert caused(world) == (
        "The JSONPath '$.x.y' specified for the field 'm.$' could not be found in the input "
        '\'{"x":"a"}\''
    )


def test_a_missing_argument_is_told_with_the_outermost_call() -> None:
    call = "States.Array(States.Format('{}', $.nope))"
    world = one({"Type": "Pass", "Parameters": {"m.$": call}}, {"other": 1})
    assert caused(world) == (
        f"The function '{call}' had the following error: The JsonPath argument for the field "
        "'$.nope' could not be found in the input '{\"other\":1}'"
    )


@pytest.mark.parametrize("call", ["States.Format('{}', $.list[7])", "States.Array($.list[7])"])
def test_an_index_out_of_range_fails_in_a_call(call: str) -> None:
    world = one({"Type": "Pass", "Parameters": {"m.$": call}}, {"list": [1]})
    assert caused(world) == (
        f"The function '{call}' had the following error: The JsonPath argument for the field "
        "'$.list[7]' could not be found in the input '{\"list\":[1]}'"
    )


def test_an_index_on_what_is_no_array_leaks_the_words_of_the_library() -> None:
    world = one({"Type": "Pass", "Parameters": {"m.$": "States.Array($.one[0])"}}, {"one": 1})
    assert caused(world).endswith(
        "Filter: [0] can only be applied to arrays. Current context is: 1"
    )


def test_a_null_argument_is_written_as_null() -> None:
    call = {"m.$": "States.Format('{}', $.n)"}
    assert one({"Type": "Pass", "Parameters": call}, {"n": None}).output() == {"m": "null"}


def test_an_argument_of_the_wrong_type() -> None:
    call = {"m.$": "States.ArrayLength($.value)"}
    assert caused(one({"Type": "Pass", "Parameters": call}, {"value": 1})) == (
        "There was an error while evaluating the intrinsic function: "
        "States.ArrayLength($.value). Invalid arguments in States.ArrayLength"
    )


@pytest.mark.parametrize("field", ["InputPath", "OutputPath"])
def test_an_absent_input_or_output_path(field: str) -> None:
    assert caused(one({"Type": "Pass", field: "$.missing"}, {"a": 1})) == (
        "Invalid path '$.missing' : No results for path: $['missing']"
    )


@pytest.mark.parametrize(
    ("path", "data", "cause"),
    [
        ("$.child", 4, "Unable to apply ReferencePath $.child to input 4"),
        ("$.x", "text", 'Unable to apply ReferencePath $.x to input "text"'),
        ("$.items", [1], 'Unable to apply step "items" to input [1]'),
    ],
)
def test_a_result_path_onto_a_scalar_or_an_array(path: str, data: Json, cause: str) -> None:
    world = one({"Type": "Pass", "Result": 1, "ResultPath": path}, data)
    assert world.execution.failure is not None
    assert world.execution.failure.error == "States.ReferencePathConflict"
    assert (world.execution.failure.cause or "").endswith(cause)


def test_a_result_path_writes_into_the_original_input() -> None:
    state = {"Type": "Pass", "InputPath": "$.inner", "ResultPath": "$.r"}
    assert one(state, {"inner": {"a": 1}}).output() == {"inner": {"a": 1}, "r": {"a": 1}}


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"InputPath": None}, b"{}"),
        ({"OutputPath": None}, b"{}"),
        ({"ResultPath": None, "Result": 1}, b'{ "a" : 1 }'),
        ({"Result": None}, b'{ "a" : 1 }'),
        ({}, b'{ "a" : 1 }'),
        ({"ResultPath": "$.b", "Result": 2}, b'{"a":1,"b":2}'),
        ({"Parameters": {"b.$": "$"}}, b'{"b":{"a":1}}'),
    ],
)
def test_what_a_pass_hands_on(fields: dict[str, Any], output: bytes) -> None:
    world = begun({"S": {**PASS, **fields}}, b'{ "a" : 1 }')
    assert world.execution.output is not None
    assert world.execution.output.text == output


def test_the_text_of_the_input_goes_through_choice_wait_and_succeed_unchanged() -> None:
    rule = {"Variable": "$.a", "NumericEquals": 1, "Next": "W"}
    states = {
        "C": {"Type": "Choice", "Choices": [rule]},
        "W": {"Type": "Wait", "Seconds": 0, "Next": "Z"},
        "Z": {"Type": "Succeed"},
    }
    world = begun(states, b'{ "a" : 1.0 }')
    assert {
        event["stateExitedEventDetails"]["output"]
        for event in world.history()
        if event["type"].endswith("StateExited")
    } == {'{ "a" : 1.0 }'}


@pytest.mark.parametrize("language", ["JSONPath", "JSONata"])
def test_in_jsonata_an_output_is_made_compact(language: str) -> None:
    fields = {"Output": "{% $states.input %}"} if language == "JSONata" else {"OutputPath": "$"}
    world = begun({"P": {**PASS, **fields}}, b'{ "a" : 1 }', QueryLanguage=language)
    assert world.execution.output is not None
    assert (world.execution.output.text == b'{"a":1}') is (language == "JSONata")


@pytest.mark.parametrize(
    ("template", "keys"),
    [
        ({"index.$": "$", "value.$": "$", "source.$": "$", "parentId.$": "$"},
         ["index", "source", "value", "parentId"]),
        ({"index.$": "$", "item.$": "$"}, ["item", "index"]),
        ({"child": 1, "input.$": "$", "nullable": None}, ["child", "nullable", "input"]),
        ({"index.$": "$", "item.$": "$", "parentBefore.$": "$"},
         ["item", "index", "parentBefore"]),
        ({"z": 1, "a": 2}, ["z", "a"]),
    ],
)  # fmt: skip
def test_literal_keys_come_first_and_then_the_others_as_a_hash_map_has_them(
    template: dict[str, Any], keys: list[str]
) -> None:
    output = one({"Type": "Pass", "Parameters": template}, 1).output()
    assert isinstance(output, dict)
    assert list(output) == keys


def test_the_context_object_of_an_item_has_its_keys_in_order_and_no_source() -> None:
    template = {"source.$": "$$.Map.Item.Source"}
    told = caused(one(each(ItemsPath="$.items", ItemSelector=template), {"items": [5]}))
    start = "The JSONPath '$$.Map.Item.Source' specified for the field 'source.$' could not be "
    assert told.startswith(start + "found in the input '{")
    context = json.loads(told.partition("input '")[2].removesuffix("'"))
    assert {key: list(value) for key, value in context.items()} == {
        "Execution": ["Id", "Input", "StartTime", "Name", "RoleArn", "RedriveCount"],
        "StateMachine": ["Id", "Name"],
        "State": ["Name", "EnteredTime", "RetryCount"],
        "Map": ["Item"],
    }
    assert list(context["Map"]["Item"]) == ["Index", "Value"]


def test_an_item_selector_that_fails_ends_the_execution_before_any_iteration() -> None:
    world = one(each(ItemSelector={"a.$": "$.none"}), [1])
    assert world.types() == [
        "ExecutionStarted", "MapStateEntered", "MapStateStarted", "ExecutionFailed"
    ]  # fmt: skip
    assert world.previous()[-1] == 3
    assert caused(world)


@pytest.mark.parametrize("items", [None, {"a": 1}, "x", 5])
def test_items_that_are_no_array(items: Json) -> None:
    world = one(each(ItemsPath="$.items"), {"items": items})
    assert world.types() == ["ExecutionStarted", "MapStateEntered", "ExecutionFailed"]
    assert world.execution.failure == Failure(
        error="States.Runtime", cause='Reference path "$.items" must point to array.'
    )


def test_items_that_are_absent() -> None:
    world = one(each(ItemsPath="$.items"), {"x": 1})
    assert world.execution.failure is not None
    assert world.execution.failure.error == "States.ReferencePathConflict"
    assert (world.execution.failure.cause or "").endswith(
        'Unable to apply step "items" to input {"x":1}'
    )


def test_retry_count_is_there_in_a_task_and_a_map_and_not_in_a_pass_or_succeed() -> None:
    names = {"n.$": "$$.State.RetryCount"}
    call = {**CALL, "Parameters": {"FunctionName": "f", "Payload": names}}
    seen = World({"T": call}).run(script=lambda command: command.parameters.value)
    assert seen.output() == {"FunctionName": "f", "Payload": {"n": 0}}
    assert one(each(ItemSelector=names), [1]).output() == [{"n": 0}]
    assert caused(one({"Type": "Pass", "Parameters": names})).startswith(
        "The JSONPath '$$.State.RetryCount' specified for the field 'n.$' could not be found"
    )
    assert "'$$.State.RetryCount'" in caused(
        one({"Type": "Succeed", "InputPath": "$$.State.RetryCount"})
    )


def test_in_the_assign_of_a_catch_retry_count_is_the_number_of_retries_made() -> None:
    task = {
        "Type": "Task",
        "Resource": CALL["Resource"],
        "Arguments": {"FunctionName": "f"},
        "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 2}],
        "Catch": [
            {
                "ErrorEquals": ["E"],
                "Assign": {"made": "{% $states.context.State.RetryCount %}"},
                "Next": "Z",
            }
        ],
        "End": True,
    }
    world = World(
        {"T": task, "Z": {"Type": "Pass", "Output": "{% $made %}", "End": True}},
        QueryLanguage="JSONata",
    ).run(script=lambda command: Refusal("E"))
    assert world.output() == 2


def test_a_choice_on_an_absent_variable_fails_in_spite_of_a_default() -> None:
    rule = {"Variable": "$.missing", "StringEquals": "x", "Next": "Z"}
    world = one({"Type": "Choice", "Choices": [rule], "Default": "Z"}, {})
    assert caused(world) == (
        "Invalid path '$.missing': The choice state's condition path references an invalid value."
    )


def test_the_operand_of_a_choice_may_be_absent_no_more_than_its_variable() -> None:
    rule = {"Variable": "$.a", "StringEqualsPath": "$.missing", "Next": "Z"}
    world = one({"Type": "Choice", "Choices": [rule], "Default": "Z"}, {"a": "x"})
    assert caused(world) == (
        "Invalid path '$.missing': The choice state's condition path references an invalid value."
    )


def test_a_presence_before_it_spares_an_absent_variable() -> None:
    rule = {
        "And": [
            {"Variable": "$.a", "IsPresent": True},
            {"Variable": "$.a", "NumericEquals": 1},
        ],
        "Next": "Z",
    }
    world = World({"C": {"Type": "Choice", "Choices": [rule], "Default": "D"},
                   "Z": {"Type": "Fail"}, "D": {"Type": "Succeed"}}).run({})  # fmt: skip
    assert world.execution.status == "SUCCEEDED"


def test_an_error_path_and_a_cause_path_give_their_values_verbatim() -> None:
    state = {
        "Type": "Fail",
        "ErrorPath": "$.e",
        "CausePath": "States.Format('{} and {}', $.e, $.n)",
    }
    world = one(state, {"e": "Mine", "n": 1})
    assert world.execution.failure == Failure(error="Mine", cause="Mine and 1")


def test_a_number_of_seconds_may_be_a_text() -> None:
    world = one({"Type": "Wait", "SecondsPath": "$.s"}, {"s": "1"})
    assert (world.execution.status, world.now_ms) == ("SUCCEEDED", BEGIN_MS + 1_000)


def test_in_the_assign_of_a_pass_the_dollar_is_its_result() -> None:
    states = {
        "A": {
            "Type": "Pass",
            "Parameters": {"p": 1},
            "Result": {"r": 2},
            "ResultPath": "$.at",
            "OutputPath": "$.at",
            "Assign": {"seen.$": "$"},
            "Next": "B",
        },
        "B": {"Type": "Pass", "Parameters": {"seen.$": "$seen"}, "End": True},
    }
    assert World(states).run({}).output() == {"seen": {"r": 2}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("States.StringSplit('a,b;c', ',;')", ["a", "b", "c"]),
        ("States.JsonMerge($.one, $.other, false)", {"a": {"y": 2}}),
        ("States.Hash('a', 'MD5')", "0cc175b9c0f1b6a831c399e269772661"),
        ("States.Array(null, $.null)", [None, None]),
    ],
)
def test_intrinsic_functions(expression: str, value: Json) -> None:
    data: Json = {"one": {"a": {"x": 1}}, "other": {"a": {"y": 2}}, "null": None}
    assert one({"Type": "Pass", "Parameters": {"m.$": expression}}, data).output() == {"m": value}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.list[?(@.keep)].n", [1, 2]),
        ("$.list[?(!@.keep)].n", [3, 4]),
        ("$.d..a", [[1, 2]]),
        ("$.d..a[*]", [1, 2]),
    ],
)
def test_filters_test_for_existence_and_a_descent_gathers(path: str, value: Json) -> None:
    data: Json = {
        "list": [{"keep": False, "n": 1}, {"keep": 1, "n": 2}, {"keep": None, "n": 3}, {"n": 4}],
        "d": {"a": [1, 2]},
    }
    assert one({"Type": "Pass", "Parameters": {"m.$": path}}, data).output() == {"m": value}


@pytest.mark.parametrize(
    ("fields", "text"), [({"Result": 1.00}, b"1.0"), ({"Parameters": {"n": 1.50}}, b'{"n":1.5}')]
)
def test_a_fraction_of_the_definition_stays_one(fields: dict[str, Any], text: bytes) -> None:
    output = one({"Type": "Pass", **fields}).execution.output
    assert output is not None
    assert output.text == text


def test_in_jsonata_a_fraction_that_is_none_is_a_whole_number() -> None:
    state = {**PASS, "Output": "{% 1.00 %}"}
    output = World({"S": state}, QueryLanguage="JSONata").run().execution.output
    assert output is not None
    assert output.text == b"1"


def test_all_events_of_a_decision_have_one_time() -> None:
    states = {
        "A": {"Type": "Pass", "Next": "M"},
        "M": {**each(ItemsPath="$.items"), "Next": "Z"},
        "Z": {"Type": "Succeed"},
    }
    world = World(states).run({"items": [1, 2, 3]})
    assert {event["timestamp"] for event in world.history()} == {BEGIN_MS / 1000}
