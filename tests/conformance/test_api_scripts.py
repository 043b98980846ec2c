"""Scripts of API calls and calls of TestState, recorded against AWS."""

import pytest

from tests.conformance.judging import judge, parameters
from tests.conformance.recorded import ABSENT_REASON, FOLDER, Case
from tests.conformance.report import inspections, scripts

if not FOLDER.is_dir():
    pytest.skip(ABSENT_REASON, allow_module_level=True)


@pytest.mark.parametrize("case", parameters("script of API calls"))
def test_calls_are_answered_as_recorded(case: Case) -> None:
    judge(case, scripts.run(case))


@pytest.mark.parametrize("case", parameters("TestState"))
def test_a_state_is_tested_as_recorded(case: Case) -> None:
    judge(case, inspections.run(case))
