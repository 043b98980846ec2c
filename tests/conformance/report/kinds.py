"""The kinds of cases, told apart by their form, and who runs each."""

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.conformance.recorded import Case
from tests.conformance.report import (
    definitions,
    executions,
    expressions,
    inspections,
    patterns,
    scripts,
)
from tests.conformance.report.verdict import NotRun, Verdict


class Kind(NamedTuple):
    """What cases of one form are, and how they are run."""

    name: str
    has_form: Callable[[Case], bool]
    run: Callable[[Case], Verdict]


def _is_execution(case: Case) -> bool:
    return {"definition", "input", "expected"} <= case.keys() and isinstance(case["expected"], dict)


def _is_expression(case: Case) -> bool:
    return isinstance(case.get("expr"), str) and isinstance(case.get("expected"), dict)


def _is_pattern(case: Case) -> bool:
    if "pattern" not in case and not isinstance(case.get("pattern_text"), str):
        return False
    if "expected_error" in case:
        error = case["expected_error"]
        return isinstance(error, dict) and isinstance(error.get("message"), str)
    return isinstance(case.get("expected_match", case.get("expected_valid")), bool)


def _is_judged(case: Case) -> bool:
    return "definition" in case and isinstance(case.get("expected_valid"), bool)


def _has_references(case: Case) -> bool:
    expected = case.get("expected")
    is_told = isinstance(expected, dict) and "variableReferences" in expected
    return is_told and isinstance(case.get("definition"), dict)


def _is_creation(case: Case) -> bool:
    return isinstance(case.get("op"), str) and "definition" in case and _is_test(case)


def _is_test(case: Case) -> bool:
    return isinstance(case.get("request"), dict) and isinstance(case.get("expected"), dict)


def _is_script(case: Case) -> bool:
    steps = case.get("steps")
    return isinstance(steps, list) and all(isinstance(step, dict) for step in steps)


# The first whose form a case has is its kind.
KINDS: Final = (
    Kind("script of API calls", _is_script, scripts.run),
    Kind("JSONata expression", _is_expression, expressions.run),
    Kind("event pattern", _is_pattern, patterns.run),
    Kind("judged definition", _is_judged, definitions.run_validation),
    Kind("variable references", _has_references, definitions.run_variable_references),
    Kind("refused creation", _is_creation, definitions.run_creation),
    Kind("TestState", _is_test, inspections.run),
    Kind("execution", _is_execution, executions.run),
)


def kind_of(case: Case) -> Kind | None:
    """The kind of a case, or None for a form that nobody knows."""
    return next((kind for kind in KINDS if kind.has_form(case)), None)


def run(case: Case) -> Verdict:
    """Run a case of any kind."""
    kind = kind_of(case)
    return NotRun("a case of an unknown form") if kind is None else kind.run(case)
