import json
from typing import Any

import pytest

from eventmill.asl.parser import check, parse
from eventmill.asl.variables import variable_references
from eventmill.model import Json

END: dict[str, Any] = {"End": True}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:resize"
SCHEMA = "SCHEMA_VALIDATION_FAILED"


def machine(states: dict[str, Any], **fields: Json) -> dict[str, Any]:
    """A machine that starts at its first state."""
    return {"StartAt": next(iter(states)), "States": states, **fields}


def found(document: dict[str, Any]) -> list[tuple[str, str, str | None, str]]:
    return [
        (each.severity, each.code, each.location, each.message)
        for each in check(json.dumps(document))
    ]


def passing(**fields: Any) -> dict[str, Any]:
    return machine({"A": {"Type": "Pass", **END, **fields}})


@pytest.mark.parametrize("name", ["x", "Größe", "a_1", "données", "n" * 80])
@pytest.mark.parametrize("language", ["JSONPath", "JSONata"])
def test_a_variable_may_have_any_name_that_is_an_identifier(name: str, language: str) -> None:
    definition = parse(json.dumps(passing(Assign={name: 1}, QueryLanguage=language)))

    assert definition.warnings == ()
    [state] = definition.machine.states.values()
    assert state.language == language


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("states", "is reserved"),
        ("n" * 81, "exceeds the 80-character limit"),
        *(
            (name, "is not valid: it must be a Unicode identifier (letters and digits, a letter"
             " first)")
            for name in ("", "a.b", "a-b", "1a", "_a", "a b", "$a")
        ),
    ],
)  # fmt: skip
def test_other_names_cannot_be_assigned(name: str, mistake: str) -> None:
    message = f"Variable name '{name}' {mistake}"

    assert found(passing(Assign={name: 1})) == [
        ("ERROR", SCHEMA, f"/States/A/Assign/{name}", message)
    ]
    assert found(passing(Assign={f"{name}.$": "$"})) == [
        ("ERROR", SCHEMA, f"/States/A/Assign/{name}.$", message)
    ]


def test_in_jsonata_a_dollar_at_the_end_is_a_part_of_the_name() -> None:
    [(_, code, location, message)] = found(passing(Assign={"x.$": 1}, QueryLanguage="JSONata"))

    assert (code, location) == (SCHEMA, "/States/A/Assign/x.$")
    assert message.startswith("Variable name 'x.$' is not valid")


@pytest.mark.parametrize("assign", [None, [], "x", 1])
@pytest.mark.parametrize("language", ["JSONPath", "JSONata"])
def test_assign_is_an_object(assign: Json, language: str) -> None:
    assert found(passing(Assign=assign, QueryLanguage=language)) == [
        ("ERROR", SCHEMA, "/States/A/Assign", "Expected value of type Object")
    ]


CATCH = {"ErrorEquals": ["States.ALL"], "Next": "Z", "Assign": {"x": 1}}
RULE = {"Variable": "$.a", "IsNull": True, "Next": "Z", "Assign": {"x.$": "$.a"}}
STATE_Z = {"Type": "Succeed"}


@pytest.mark.parametrize(
    ("inner", "location"),
    [
        ({"B": {"Type": "Pass", "Assign": {"x": 1}, **END}}, "/States/B/Assign/x"),
        ({"B": {"Type": "Pass", "Assign": {"x.$": "$"}, **END}}, "/States/B/Assign/x.$"),
        ({"B": {"Type": "Task", "Resource": FUNCTION, "Catch": [CATCH], **END}, "Z": STATE_Z},
         "/States/B/Catch[0]/Assign/x"),
        ({"B": {"Type": "Choice", "Choices": [RULE]}, "Z": STATE_Z},
         "/States/B/Choices[0]/Assign/x.$"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("around", ["ItemProcessor", "Branches"])
def test_an_inner_scope_cannot_assign_a_variable_of_an_outer_one(
    inner: dict[str, Any], location: str, around: str
) -> None:
    branch = machine(inner)
    outer: dict[str, Any] = {"Type": "Map", "ItemProcessor": branch}
    if around == "Branches":
        outer = {"Type": "Parallel", "Branches": [branch]}
        around = "Branches[0]"
    document = machine({"A": {**outer, "Assign": {"x": 0}, **END}})

    assert found(document) == [
        (
            "ERROR",
            "DUPLICATE_VARIABLE_NAME",
            f"/States/A/{around}{location}",
            "The variable name 'x' was already defined in a parent scope.",
        )
    ]


def test_every_scope_around_counts() -> None:
    innermost = machine({"C": {"Type": "Pass", "InputPath": "$x", "Assign": {"x": 1}, **END}})
    inner = machine({"B": {"Type": "Map", "ItemProcessor": innermost, **END}})
    document = machine({"A": {"Type": "Map", "ItemProcessor": inner, "Assign": {"x": 0}, **END}})

    [(_, code, location, _)] = found(document)

    assert code == "DUPLICATE_VARIABLE_NAME"
    assert location == ("/States/A/ItemProcessor/States/B/ItemProcessor/States/C/Assign/x")
    del innermost["States"]["C"]["Assign"]
    assert found(document) == []


def test_branches_beside_each_other_may_use_the_same_names() -> None:
    branches = [machine({name: {"Type": "Pass", "Assign": {"x": 1}, **END}}) for name in ("B", "C")]

    assert found(machine({"A": {"Type": "Parallel", "Branches": branches, **END}})) == []


def warning(name: str, location: str) -> tuple[str, str, str, str]:
    message = f"Variable '{name}' is possibly not defined."
    return ("WARNING", "POSSIBLY_UNDEFINED_VARIABLE", location, message)


def test_a_variable_is_known_in_its_scope_and_inside_it_only() -> None:
    inner = machine({
        "B": {"Type": "Pass", "Assign": {"own": 1}, "Next": "C"},
        "C": {"Type": "Pass", "Parameters": {"o.$": "$own", "p.$": "$outer", "q.$": "$no"}, **END},
    })  # fmt: skip
    document = machine({
        "A": {"Type": "Parallel", "Branches": [inner], "Next": "D"},
        "D": {"Type": "Pass", "InputPath": "$own", "Assign": {"outer": 1}, **END},
    })  # fmt: skip

    assert found(document) == [
        warning("own", "/States/D/InputPath"),
        warning("no", "/States/A/Branches[0]/States/C/Parameters"),
    ]
    assert parse(json.dumps(document)).machine.start_at == "A"


def test_what_jsonata_reads_is_named_where_it_stands() -> None:
    states = {
        "A": {"Type": "Wait", "Seconds": "{% $s %}", "Next": "B"},
        "B": {"Type": "Pass", "Output": {"v": ["{% $a + $known + $a %}", "$literal"]},
              "Assign": {"known": "{% $states.input %}"}, **END},
    }  # fmt: skip

    assert found(machine(states, QueryLanguage="JSONata")) == [
        warning("s", "/States/A/Seconds"),
        warning("a", "/States/B/Output/v[0]"),
    ]


def test_the_functions_and_local_names_of_jsonata_are_no_variables() -> None:
    text = "{% ($a := 1; $f := function($b) { $b + $a }; $sum([1, $f(2)]) + $uuid()) %}"

    assert found(passing(Output=text, QueryLanguage="JSONata")) == []
    assert variable_references(passing(Output=text, QueryLanguage="JSONata")) == {}


def test_a_distributed_processor_does_not_see_the_variables_around_it() -> None:
    processor = machine(
        {"B": {"Type": "Pass", "InputPath": "$x", **END}},
        ProcessorConfig={"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    )
    document = machine(
        {"A": {"Type": "Map", "ItemProcessor": processor, "Assign": {"x": 1}, **END}}
    )

    assert found(document)[-1] == warning("x", "/States/A/ItemProcessor/States/B/InputPath")


def test_references_are_listed_by_state_and_sorted_and_texts_are_none() -> None:
    document = machine({
        "A": {"Type": "Choice", "Comment": "$comment", "Choices": [
            {"Not": {"Variable": "$z.y", "StringEqualsPath": "$a[0]"}, "Next": "B"},
            {"Variable": "$.q[?(@.k == $m)]", "StringEquals": "$text", "Next": "B"}]},
        "B": {"Type": "Pass", "Result": {"r.$": "$result"}, "ResultPath": "$.r", "Parameters": {
            "p.$": "States.Format('{} $quoted', $f, $$.Execution.Id)", "lit": "$literal",
            "InputPath": "$field"}, "Next": "C"},
        "C": {"Type": "Map", "QueryLanguage": "JSONata", "Items": "{% $items.$inside %}",
              "ItemSelector": {"s": ["{% $b & $states.input.c & $a %}"]},
              "ItemProcessor": machine({"D": {"Type": "Fail", "ErrorPath": "$e"}}), **END},
    })  # fmt: skip

    assert variable_references(document) == {
        "A": ["a", "m", "z"],
        "B": ["f"],
        "C": ["a", "b", "inside", "items"],
        "D": ["e"],
    }
