"""The outline of a definition: what it shows of each state, and of conditions."""

from typing import Any

import pytest
from hypothesis import given

from eventmill.graph.conditions import condition_text
from eventmill.graph.outline import Transition, outline
from eventmill.model import Json
from tests.unit.graph.machines import FUNCTION, machines


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"Variable": "$.a", "StringEquals": 'x"'}, '$.a = "x\\""'),
        ({"Variable": "$.a", "NumericLessThanEquals": 1.5}, "$.a ≤ 1.5"),
        ({"Variable": "$.a", "NumericGreaterThanEqualsPath": "$.b"}, "$.a ≥ $.b"),
        ({"Variable": "$.a", "TimestampLessThan": "2026-01-01"}, '$.a < "2026-01-01"'),
        ({"Variable": "$.a", "StringMatches": "*.csv"}, '$.a matches "*.csv"'),
        ({"Variable": "$.a", "BooleanEquals": False}, "$.a = false"),
        ({"Variable": "$.a", "IsPresent": True}, "$.a is present"),
        ({"Variable": "$.a", "IsNumeric": False}, "$.a is not a number"),
        ({"Not": {"Variable": "$.a", "IsNull": True}}, "not ($.a is null)"),
        (
            {
                "Or": [
                    {"Variable": "$.a", "IsNull": True},
                    {
                        "And": [
                            {"Variable": "$.a", "NumericEquals": 1},
                            {"Variable": "$.b", "NumericGreaterThan": 2},
                        ]
                    },
                ]
            },
            "$.a is null or ($.a = 1 and $.b > 2)",
        ),
        ({"Condition": "{% $states.input.n >\n   3 %}"}, "$states.input.n > 3"),
        ({"Condition": True}, "true"),
        ({}, ""),
        ("no rule", ""),
    ],
)
def test_conditions_as_people_say_them(rule: Json, text: str) -> None:
    assert condition_text(rule) == text


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        ({"Type": "Task", "Resource": f"{FUNCTION}:3"}, "Lambda work:3"),
        (
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                "Parameters": {"FunctionName": FUNCTION},
            },
            "Lambda work",
        ),
        ({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}, "lambda:invoke"),
        ({"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:copy"}, "aws-sdk:s3:copy"),
        ({"Type": "Task", "Resource": "arn:aws:states:eu-west-1:1:activity:hand"}, "Activity hand"),
        ({"Type": "Wait", "Seconds": 5}, "Wait 5 s"),
        ({"Type": "Wait", "Seconds": "{% $n * 2 %}"}, "Wait $n * 2 s"),
        ({"Type": "Wait", "TimestampPath": "$.until"}, "Wait until $.until"),
        ({"Type": "Fail", "Error": "Bad"}, "Bad"),
        ({"Type": "Fail"}, "Fail"),
        ({"Type": "Map", "MaxConcurrency": 4, "Iterator": {}}, "Map · inline · 4 at once"),
        (
            {"Type": "Map", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}}},
            "Map · distributed",
        ),
        ({"Type": "Parallel", "Branches": [{}]}, "Parallel · 1 branch"),
        ({"Type": "Pass"}, "Pass"),
    ],
)
def test_what_is_told_of_a_state(state: dict[str, Any], detail: str) -> None:
    drawn = outline({"StartAt": "S", "States": {"S": state}})

    assert drawn.nodes[1].detail == detail


def test_what_leads_nowhere_is_left_out() -> None:
    document: Json = {
        "StartAt": "Nowhere",
        "States": {
            "A": {"Type": "Pass", "Next": "Missing"},
            "B": 3,
            "C": {"Type": "Choice", "Choices": "x"},
        },
    }
    drawn = outline(document)

    assert [node.name for node in drawn.nodes] == ["", "A", "C"]
    assert drawn.transitions == (Transition(source=0, target=1, kind="Start"),)


@given(machines())
def test_every_state_of_a_machine_is_in_it(document: dict[str, Any]) -> None:
    def names(branch: Any) -> list[str]:
        found = []
        for name, state in branch["States"].items():
            found.append(name)
            for inner in (
                *state.get("Branches", ()),
                *([state["ItemProcessor"]] if "ItemProcessor" in state else ()),
            ):
                found += names(inner)
        return found

    def drawn(branch: Any) -> list[str]:
        return [
            name
            for node in branch.nodes
            for name in [
                *([node.name] if node.name else []),
                *(each for inner in node.branches for each in drawn(inner)),
            ]
        ]

    assert drawn(outline(document)) == names(document)
