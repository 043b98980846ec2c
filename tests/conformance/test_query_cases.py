"""Recorded executions of Pass states, evaluated value by value without the machine.

What a Pass state does to its input is InputPath, Parameters, ResultPath and OutputPath and no
more, so the recordings of AWS's data flow test the query language by itself.
"""

import functools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventmill.model import EMPTY_OBJECT, Payload
from eventmill.query.environment import Environment
from eventmill.query.java import Random
from eventmill.query.jsonpath import compile_path, compile_reference_path
from eventmill.query.template import compile_template

FOLDER = Path(
    os.environ.get("EVENTMILL_CONFORMANCE")
    or Path(__file__).parents[2] / ".." / "shared" / "conformance"
)
FILES = ("base.jsonl", "intrinsic_functions.jsonl", "scenarios.jsonl", "context_object.jsonl")
PASS_FIELDS = {
    *("Type", "Comment", "Next", "End", "QueryLanguage"),
    *("InputPath", "Parameters", "Result", "ResultPath", "OutputPath"),
}

if not all((FOLDER / name).is_file() for name in FILES):
    pytest.skip(
        f"the recorded cases are not at {FOLDER}; EVENTMILL_CONFORMANCE names their folder",
        allow_module_level=True,
    )


def recorded_cases() -> Iterator[Any]:
    for name in FILES:
        with (FOLDER / name).open() as lines:
            for line in lines:
                case = json.loads(line)
                if consists_of_pass_states(case.get("definition") or {}):
                    yield pytest.param(case, id=case["id"].rpartition("::")[2])


def consists_of_pass_states(definition: Any) -> bool:
    states = definition.get("States", {}).values()
    return (
        definition.get("QueryLanguage", "JSONPath") == "JSONPath"
        and all(state["Type"] == "Pass" and set(state) <= PASS_FIELDS for state in states)
        and all(state.get("QueryLanguage", "JSONPath") == "JSONPath" for state in states)
    )


CASES = list(recorded_cases())


def refuse(pointer: str, message: str) -> None:
    raise AssertionError(f"{pointer}: {message}")


def context_of(case: Any, name: str) -> Payload:
    """The Context Object in AWS's order; where the recording has a placeholder, so have we."""
    execution = "execution-name"
    machine = "<ArnPart_0idx>"
    return Payload.of(
        {
            "Execution": {
                "Id": f"arn:aws:states:us-east-1:111111111111:execution:{machine}:{execution}",
                "Input": case["input"],
                "StartTime": "2024-01-01T00:00:00.000Z",
                "Name": execution,
                "RoleArn": "snf_role_arn",
                "RedriveCount": 0,
            },
            "StateMachine": {
                "Id": f"arn:aws:states:us-east-1:111111111111:stateMachine:{machine}",
                "Name": machine,
            },
            "State": {"Name": name, "EnteredTime": "2024-01-01T00:00:00.000Z"},
        }
    )


def run(case: Any) -> list[tuple[str, Payload]]:
    """Each state's name and output, in order."""
    definition, data = case["definition"], Payload.of(case["input"])
    name, outputs = definition["StartAt"], []
    while name is not None:
        make_context = functools.partial(context_of, case, name)
        environment = Environment(data, make_context, {}, Random(1).next_int)
        data = pass_through(definition["States"][name], environment)
        outputs.append((name, data))
        name = definition["States"][name].get("Next")
    return outputs


def pass_through(state: Any, environment: Environment) -> Payload:
    entered = environment.data
    effective = selected(state.get("InputPath", "$"), environment)
    if "Parameters" in state:
        template = compile_template(state["Parameters"], refuse)
        effective = template.render(environment.over(effective))
    result = Payload.of(state["Result"]) if state.get("Result") is not None else effective
    if state.get("ResultPath", "$") is None:
        result = entered
    elif "ResultPath" in state:
        path = compile_reference_path(state["ResultPath"])
        result = Payload.of(path.put(entered.value, result.value))
    return selected(state.get("OutputPath", "$"), environment.over(result))


def selected(path: str | None, environment: Environment) -> Payload:
    return EMPTY_OBJECT if path is None else compile_path(path).select(environment)


def matches(expected: Any, actual: Any, placeholders: re.Pattern[str] | None) -> bool:
    """Whether the values are equal, order of keys included, but for placeholders in texts."""
    if isinstance(expected, dict):
        return (
            isinstance(actual, dict)
            and list(expected) == list(actual)
            and all(matches(expected[key], actual[key], placeholders) for key in expected)
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(expected) == len(actual)
            and all(map(lambda one, other: matches(one, other, placeholders), expected, actual))
        )
    if isinstance(expected, str) and placeholders is not None and placeholders.search(expected):
        return True
    return type(expected) is type(actual) and expected == actual


def placeholders_of(case: Any) -> re.Pattern[str] | None:
    listed = [text for kind in case.get("placeholders", {}).values() for text in kind]
    return re.compile("|".join(map(re.escape, listed))) if listed else None


def recorded_outputs(case: Any) -> list[tuple[str, Any]]:
    return [
        (event["stateExitedEventDetails"]["name"], event["stateExitedEventDetails"]["output"])
        for event in case["expected"]["history"]
        if event["type"] == "PassStateExited"
    ]


def test_the_recordings_are_there() -> None:
    assert len(CASES) > 100


@pytest.mark.parametrize("case", CASES)
def test_pass_states_give_what_aws_recorded(case: Any) -> None:
    outputs = [(name, json.loads(payload.text)) for name, payload in run(case)]
    recorded = recorded_outputs(case)
    assert matches(
        [list(each) for each in recorded], [list(each) for each in outputs], placeholders_of(case)
    ), f"recorded {recorded}, got {outputs}"
