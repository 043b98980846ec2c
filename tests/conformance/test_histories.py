"""Executions recorded against AWS: status, output, error, cause, history.

They run on the machine alone, where every step goes through its stored form, and on the engine.
"""

from typing import Any

import pytest

from tests.conformance.judging import judge, parameters
from tests.conformance.recorded import ABSENT_REASON, FOLDER, Case, run
from tests.conformance.report import executions
from tests.conformance.report.executions import not_run
from tests.conformance.report.verdict import compared

if not FOLDER.is_dir():
    pytest.skip(ABSENT_REASON, allow_module_level=True)


def runs_alone(case: Case) -> bool:
    return not_run(case) is None and not has_map_runs(case["definition"])


def has_map_runs(definition: Any) -> bool:
    """Whether a state anywhere in it is a Distributed Map; the machine alone runs no children."""
    if isinstance(definition, list):
        return any(map(has_map_runs, definition))
    if not isinstance(definition, dict):
        return False
    config = definition.get("ProcessorConfig")
    is_distributed = isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED"
    return is_distributed or any(map(has_map_runs, definition.values()))


@pytest.mark.parametrize("case", parameters("execution", runs_alone))
def test_runs_as_recorded(case: Case) -> None:
    judge(case, compared(case, run(case)))


@pytest.mark.parametrize("case", parameters("execution", lambda case: not_run(case) is None))
def test_runs_on_the_engine_as_recorded(case: Case) -> None:
    judge(case, executions.run(case))
