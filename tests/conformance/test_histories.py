"""Executions recorded against AWS, run on the machine: status, output, error, cause, history."""

import json
from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet

from eventmill.asl.parser import check
from tests.conformance.recorded import ABSENT_REASON, FOLDER, Case, cases, checker, run

if not FOLDER.is_dir():
    pytest.skip(ABSENT_REASON, allow_module_level=True)

AREAS = sorted(path.stem for path in FOLDER.glob("*.jsonl"))

# Cases that differ, by the end of their id, and why.
DIFFERENT = {
    "test_catch": "the recording's own masking broke the JSON text of the cause",
    "test_query_runtime_memory": "an Express execution, which has another ARN",
    "test_lambda_service_invoke_with_retry_extended_input": (
        "recorded before the Context Object had RedriveCount, which later recordings have"
    ),
    "test_max_concurrency_path_negative": "the recording breaks off inside the first decision",
    "test_service_lambda_map_timeout": "four timeouts of one instant, recorded in another order",
}


def executions() -> Iterator[ParameterSet]:
    for area in AREAS:
        for case in cases(area):
            runs_alone = case.get("class") in ("pure", "lambda") and "request" not in case
            if runs_alone and "expected" in case and isinstance(case.get("definition"), dict):
                yield pytest.param(case, id=f"{area}:{case['id'].split('::')[-1]}")


def is_refused_for_now(case: Case) -> bool:
    codes = {
        each.code for each in check(json.dumps(case["definition"])) if each.severity == "ERROR"
    }
    assert codes <= {"UNSUPPORTED_FEATURE"}, codes
    return bool(codes)


@pytest.mark.parametrize("case", list(executions()))
def test_runs_as_recorded(case: Case) -> None:
    if is_refused_for_now(case):
        pytest.skip("uses a part of the language that is refused when it is created, for now")
    got = run(case)
    different = checker().compare(case, got)
    reason = DIFFERENT.get(case["id"].split("::")[-1].split("#")[0])
    if reason is None:
        assert different == []
    else:
        assert different != [], f"equal now, take it off the list: {reason}"
