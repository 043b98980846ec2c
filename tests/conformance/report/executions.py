"""Cases of executions: status, output, error, cause and the whole history."""

import json
from typing import Final

from tests.conformance.recorded import Case
from tests.conformance.report.definitions import errors, not_offered
from tests.conformance.report.engine_runs import run_on_engine, unknown_behaviour
from tests.conformance.report.verdict import NotRun, Verdict, compared, equal_unless

# The services that run here, by the names that `needs` gives them; s3 are Map Runs' objects.
SERVICES: Final = frozenset({"lambda", "s3"})

_COMPARED: Final = frozenset({"status", "output", "error", "cause", "history"})


def run(case: Case) -> Verdict:
    """Run an execution on the engine and compare what was recorded of it."""
    reason = not_run(case)
    if reason is not None:
        return NotRun(reason)
    found = errors(json.dumps(case["definition"]), case.get("type") or "STANDARD")
    if found:
        return equal_unless([f"refused: {each.message} at {each.location}" for each in found])
    return compared(case, run_on_engine(case))


def not_run(case: Case) -> str | None:
    """Why an execution cannot be run here, if so."""
    if not isinstance(case["definition"], dict):
        return "the case has no definition"
    if not _COMPARED & case["expected"].keys():
        return "only CloudWatch log events were recorded"
    missing = [each for each in case.get("needs") or () if each not in SERVICES]
    if missing:
        return f"needs {', '.join(missing)}"
    unknown = unknown_behaviour(case)
    if unknown is not None:
        return unknown
    return not_offered(errors(json.dumps(case["definition"]), case.get("type") or "STANDARD"))
