"""Recorded definitions: what AWS accepts is accepted, what it refuses is refused in its words.

Choice rules are evaluated here value by value, without the machine.
"""

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventmill.asl.parser import check, parse
from eventmill.asl.syntax import Choice
from eventmill.asl.variables import variable_references
from eventmill.errors import Diagnostic, InvalidDefinition
from eventmill.model import EMPTY_OBJECT, Payload
from eventmill.query.environment import Environment

FOLDER = Path(
    os.environ.get("EVENTMILL_CONFORMANCE")
    or Path(__file__).parents[2] / ".." / "shared" / "conformance"
)

if not FOLDER.is_dir():
    pytest.skip(
        f"the recorded cases are not at {FOLDER}; EVENTMILL_CONFORMANCE names their folder",
        allow_module_level=True,
    )

Case = dict[str, Any]

UNSUPPORTED = "UNSUPPORTED_FEATURE"
NOT_AN_ARN = "the tool does not look at Resource; AWS wants an ARN"
SPACES = "the tool counts the spaces inside {% and %}, of which the developer guide says nothing"

# Where our answer differs from that of statelint or asl-validator, and why it does.
DIFFERENT = {
    "statelint/backoff-with-backoffrate-integer.json": NOT_AN_ARN,
    "statelint/states-array-intrinsic-functions.json": NOT_AN_ARN,
    "statelint/states-array-invocation.json": NOT_AN_ARN,
    "statelint/states-encoding-decoding-intrinsic-functions.json": NOT_AN_ARN,
    "statelint/states-hash-intrinsic-functions.json": NOT_AN_ARN,
    "statelint/states-json-intrinsic-functions.json": NOT_AN_ARN,
    "statelint/task-with-dynamic-timeouts.json": NOT_AN_ARN,
    "statelint/task-with-parameters.json": NOT_AN_ARN,
    "statelint/task-with-resultselector.json": NOT_AN_ARN,
    "statelint/task-with-credentials.json": f"{NOT_AN_ARN}, and RoleArn in Credentials",
    "statelint/succeed-with-comment-in-catcher.json": "AWS wants Parameters for lambda:invoke",
    "asl-validator/valid-parameters-issue104.json": "a function ARN without region and account",
    "asl-validator/valid-task-intrisic-function.json": "Resource is a CloudFormation function here",
    "asl-validator/valid-map-with-item-batcher-jsonata.json": (
        "a JSONPath state under a JSONata machine, which AWS was recorded to refuse"
    ),
    "asl-validator/valid-task-timeout-jsonata.json": NOT_AN_ARN,
    "asl-validator/valid-assign.asl.json": (
        "the tool takes any name; the specification wants an identifier for a variable"
    ),
    "asl-validator/invalid-json-surround-syntax-extra-spaces.json": SPACES,
    "asl-validator/invalid-jsonata-surround-syntax-no-spaces.json": SPACES,
}


@functools.cache
def recorded(file: str) -> tuple[Case, ...]:
    path = FOLDER / f"{file}.jsonl"
    return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def parameters(file: str) -> list[Any]:
    return [pytest.param(case, id=case["id"].rpartition("::")[2]) for case in recorded(file)]


def text_of(case: Case) -> str:
    definition = case["definition"]
    return str(definition) if case.get("definition_is_text") else json.dumps(definition)


def errors(text: str, machine_type: str = "STANDARD") -> list[Diagnostic]:
    assert machine_type in ("STANDARD", "EXPRESS")
    found = check(text, machine_type="EXPRESS" if machine_type == "EXPRESS" else "STANDARD")
    return [each for each in found if each.severity == "ERROR"]


def next_state(choice: Choice, data: Payload) -> str | None:
    """Where a Choice goes with this input."""
    environment = Environment(data, lambda: EMPTY_OBJECT, {})
    matching = (rule.next for rule in choice.rules if rule.condition(environment))
    return next(matching, choice.default)


@pytest.mark.parametrize("case", parameters("choice_operators"))
def test_a_choice_goes_where_aws_was_recorded_to_go(case: Case) -> None:
    machine = parse(json.dumps(case["definition"])).machine
    choice = machine.states[machine.start_at]
    assert isinstance(choice, Choice)

    reached = next_state(choice, Payload.of(case["input"]))

    result = case["definition"]["States"][reached]["Result"]
    assert case["expected"] == {"status": "SUCCEEDED", "output": result}


@pytest.mark.parametrize("case", parameters("validation"))
def test_a_definition_is_judged_as_by_the_tools_or_for_a_reason(case: Case) -> None:
    found = errors(json.dumps(case["definition"]))
    by_aws = [each for each in found if each.code != UNSUPPORTED]
    if found and not by_aws:
        return  # counted below: not in scope yet

    agrees = (not by_aws) == case["expected_valid"]

    assert agrees != (case["id"] in DIFFERENT), (DIFFERENT.get(case["id"]), by_aws)


def test_few_definitions_of_the_tools_are_out_of_scope() -> None:
    out_of_scope = [
        case["id"]
        for case in recorded("validation")
        if {each.code for each in errors(json.dumps(case["definition"]))} == {UNSUPPORTED}
    ]

    assert len(out_of_scope) <= 6
    assert set(DIFFERENT) <= {case["id"] for case in recorded("validation")}


def recorded_form(diagnostic: Diagnostic) -> dict[str, str]:
    """A diagnostic as the API answers it: no location at all where there is none."""
    location = {} if diagnostic.location is None else {"location": diagnostic.location}
    return {
        "code": diagnostic.code,
        "message": diagnostic.message,
        "severity": diagnostic.severity,
        **location,
    }


def refused_definitions() -> list[Any]:
    return [each for each in parameters("create_errors") if each.values[0]["definition_error"]]


@pytest.mark.parametrize("case", refused_definitions())
def test_a_definition_is_refused_in_aws_words(case: Case) -> None:
    found = errors(text_of(case), case["request"].get("type", "STANDARD"))
    by_aws = [each for each in found if each.code != UNSUPPORTED]
    expected = case["expected"]
    if "diagnostics" in expected.get("response", {}):
        assert [recorded_form(each) for each in by_aws] == expected["response"]["diagnostics"]
    else:
        message = expected["message"].replace("<partition>", "aws")
        assert (expected["code"], message) == ("InvalidDefinition", str(InvalidDefinition(by_aws)))


@pytest.mark.parametrize("case", parameters("variable_references"))
def test_the_variables_that_states_read_are_those_that_aws_lists(case: Case) -> None:
    found = variable_references(case["definition"])

    assert found == case["expected"]["variableReferences"]


def accepted_definitions() -> Iterator[Any]:
    """Every definition of which an execution was recorded."""
    seen: set[str] = set()
    for path in sorted(FOLDER.glob("*.jsonl")):
        for case in recorded(path.stem):
            definition, expected = case.get("definition"), case.get("expected") or {}
            ran = {"history", "output"} & expected.keys()
            if not isinstance(definition, dict) or "States" not in definition or not ran:
                continue
            text = json.dumps(definition)
            if text not in seen:
                seen.add(text)
                yield text


def states_that_ran() -> Iterator[str]:
    """Every state that TestState was recorded to run, as a machine of its own."""
    for case in recorded("test_state_api"):
        definition = case["definition"]
        if "response" in case["expected"] and "States" not in definition:
            yield json.dumps({"StartAt": "StateName", "States": {"StateName": definition}})


def test_no_state_that_aws_tested_has_a_fault_of_its_own() -> None:
    refused = [
        each
        for text in states_that_ran()
        for each in errors(text)
        if each.code == "SCHEMA_VALIDATION_FAILED"
    ]

    assert len(list(states_that_ran())) > 40
    assert refused == []


def test_no_definition_that_ran_on_aws_is_refused_but_for_what_does_not_run_here_yet() -> None:
    refused, out_of_scope, total = [], 0, 0
    for text in accepted_definitions():
        found = errors(text)
        total += 1
        out_of_scope += bool(found)
        refused += [each for each in found if each.code != UNSUPPORTED]

    assert refused == []
    assert total > 250
    assert out_of_scope < total * 0.27
