"""Every recorded case of an event pattern: what EventBridge and event-ruler answered."""

import pytest

from tests.conformance.judging import judge, parameters
from tests.conformance.recorded import ABSENT_REASON, FOLDER, Case
from tests.conformance.report.patterns import run

if not FOLDER.is_dir():
    pytest.skip(ABSENT_REASON, allow_module_level=True)


@pytest.mark.parametrize("case", parameters("event pattern"))
def test_answers_as_recorded(case: Case) -> None:
    judge(case, run(case))
