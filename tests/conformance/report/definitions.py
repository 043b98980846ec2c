"""Cases of definitions: what AWS refuses, what tools judge, what DescribeStateMachine lists."""

import json
import re
from typing import Any

from eventmill.api.step_functions import OPERATIONS
from eventmill.asl.parser import check
from eventmill.asl.report import UNSUPPORTED_FEATURE
from eventmill.asl.variables import variable_references
from eventmill.errors import Diagnostic, InvalidDefinition
from tests.conformance.recorded import Case
from tests.conformance.report.api_calls import answer_alone, mistakes_in, operation_name
from tests.conformance.report.verdict import NotRun, Verdict, compared, same

FOLLOWS_OTHER_CALLS = "an error that needs the calls before it; scripts of API calls have them"


def text_of(case: Case) -> str:
    """The definition as it is sent."""
    definition = case["definition"]
    return str(definition) if case.get("definition_is_text") else json.dumps(definition)


def errors(text: str, machine_type: str = "STANDARD") -> list[Diagnostic]:
    """All that is wrong with a definition."""
    found = check(text, machine_type="EXPRESS" if machine_type == "EXPRESS" else "STANDARD")
    return [each for each in found if each.severity == "ERROR"]


def not_offered(found: list[Diagnostic]) -> str | None:
    """What a definition uses that does not run here yet, when it has no other mistake."""
    if not found or any(each.code != UNSUPPORTED_FEATURE for each in found):
        return None
    # The ARN and the advice behind it differ from case to case.
    return re.split(r" \(arn:|;", found[0].message)[0]


def run_creation(case: Case) -> Verdict:
    """A creation or validation that AWS refuses: its code and message, or its diagnostics."""
    operation, expected = operation_name(case["op"]), case["expected"]
    if "exception_text" in expected:  # AWS's client refused it
        request = {"definition": case["definition"], **case["request"]}
        return same(expected["exception_text"], mistakes_in(operation, request))
    if operation.startswith("Update") or expected.get("code") == "StateMachineAlreadyExists":
        return NotRun(FOLLOWS_OTHER_CALLS)
    if operation in OPERATIONS:
        answer = answer_alone(operation, {**case["request"], "definition": text_of(case)})
        return compared(case, answer.error() if answer.failed else answer.body)
    if not case["definition_error"]:
        return NotRun(f"{operation} is not offered yet")
    found = errors(text_of(case), case["request"].get("type", "STANDARD"))
    by_aws = [each for each in found if each.code != UNSUPPORTED_FEATURE]
    return compared(case, _validated(by_aws) if "code" not in expected else _refused(by_aws))


def _refused(found: list[Diagnostic]) -> dict[str, Any]:
    if not found:
        return {}
    return {"code": "InvalidDefinition", "message": str(InvalidDefinition(found))}


def _validated(found: list[Diagnostic]) -> dict[str, Any]:
    """The answer of ValidateStateMachineDefinition."""
    return {
        "diagnostics": [recorded_form(each) for each in found],
        "result": "FAIL" if found else "OK",
        "truncated": False,
    }


def recorded_form(diagnostic: Diagnostic) -> dict[str, str]:
    """A diagnostic as the API answers it: no location at all where there is none."""
    location = {} if diagnostic.location is None else {"location": diagnostic.location}
    return {
        "code": diagnostic.code,
        "message": diagnostic.message,
        "severity": diagnostic.severity,
        **location,
    }


def run_validation(case: Case) -> Verdict:
    """A definition that a tool holds valid or invalid."""
    found = errors(text_of(case))
    refusal = not_offered(found)
    if refusal is not None:
        return NotRun(refusal)
    return same(_judgement(case["expected_valid"]), _judgement(not found))


def _judgement(is_valid: bool) -> str:
    return "valid" if is_valid else "invalid"


def run_variable_references(case: Case) -> Verdict:
    """The variables that each state reads."""
    return same(case["expected"]["variableReferences"], variable_references(case["definition"]))
