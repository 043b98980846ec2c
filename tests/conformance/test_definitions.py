"""Recorded definitions: what AWS accepts is accepted, what it refuses is refused in its words.

Choice rules are evaluated here value by value, without the machine.
"""

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from eventmill.asl.parser import parse
from eventmill.asl.report import UNSUPPORTED_FEATURE
from eventmill.asl.syntax import Choice
from eventmill.model import EMPTY_OBJECT, Payload
from eventmill.query.environment import Environment
from tests.conformance.judging import judge, parameters
from tests.conformance.recorded import ABSENT_REASON, FOLDER, IS_BESIDE, Case
from tests.conformance.report.definitions import (
    errors,
    run_creation,
    run_validation,
    run_variable_references,
)
from tests.conformance.report.verdict import NotRun

if not FOLDER.is_dir():
    pytest.skip(ABSENT_REASON, allow_module_level=True)


@functools.cache
def recorded(file: str) -> tuple[Case, ...]:
    path = FOLDER / f"{file}.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return tuple(json.loads(line) for line in text.split("\n") if line)


def next_state(choice: Choice, data: Payload) -> str | None:
    """Where a Choice goes with this input."""
    environment = Environment(data, lambda: EMPTY_OBJECT, {})
    matching = (rule.next for rule in choice.rules if rule.condition(environment))
    return next(matching, choice.default)


@pytest.mark.parametrize("case", recorded("choice_operators"), ids=lambda case: case["id"])
def test_a_choice_goes_where_aws_was_recorded_to_go(case: Case) -> None:
    machine = parse(json.dumps(case["definition"])).machine
    choice = machine.states[machine.start_at]
    assert isinstance(choice, Choice)

    reached = next_state(choice, Payload.of(case["input"]))

    result = case["definition"]["States"][reached]["Result"]
    assert case["expected"] == {"status": "SUCCEEDED", "output": result}


@pytest.mark.parametrize("case", parameters("judged definition"))
def test_a_definition_is_judged_as_by_the_tools_or_for_a_reason(case: Case) -> None:
    judge(case, run_validation(case))


def test_few_definitions_of_the_tools_are_out_of_scope() -> None:
    verdicts = [run_validation(case) for case in recorded("validation")]

    assert sum(isinstance(each, NotRun) for each in verdicts) <= 6


@pytest.mark.parametrize("case", parameters("refused creation"))
def test_a_definition_is_refused_in_aws_words(case: Case) -> None:
    judge(case, run_creation(case))


@pytest.mark.parametrize("case", parameters("variable references"))
def test_the_variables_that_states_read_are_those_that_aws_lists(case: Case) -> None:
    judge(case, run_variable_references(case))


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

    assert len(list(states_that_ran())) > 40 or not IS_BESIDE
    assert refused == []


def test_no_definition_that_ran_on_aws_is_refused_but_for_what_does_not_run_here_yet() -> None:
    refused, out_of_scope, total = [], 0, 0
    for text in accepted_definitions():
        found = errors(text)
        total += 1
        out_of_scope += bool(found)
        refused += [each for each in found if each.code != UNSUPPORTED_FEATURE]

    assert refused == []
    assert total > 250 or not IS_BESIDE
    assert out_of_scope <= total * 0.27
