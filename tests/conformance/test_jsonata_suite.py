"""The official JSONata suite, on the library that `eventmill.query.jsonata` stands on."""

import pytest

from tests.conformance.judging import judge, parameters
from tests.conformance.recorded import ABSENT_REASON, FOLDER, Case
from tests.conformance.report.expressions import evaluate, run, wanted
from tests.conformance.report.reasons import REASONS

if not FOLDER.is_dir():
    pytest.skip(ABSENT_REASON, allow_module_level=True)


@pytest.mark.parametrize("case", parameters("JSONata expression"))
def test_gives_what_the_suite_says(case: Case) -> None:
    if case["id"] in REASONS:
        # No value differs: an error is raised, but under another code.
        assert (evaluate(case)[0], wanted(case)[0]) == ("error", "error")
    judge(case, run(case))
