"""What a test makes of a verdict: equal, or different for a reason that is known."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.recorded import Case
from tests.conformance.report.attempts import lines
from tests.conformance.report.kinds import kind_of
from tests.conformance.report.reasons import reason
from tests.conformance.report.verdict import Different, Equal, NotRun, Verdict


def judge(case: Case, verdict: Verdict) -> None:
    """Fail when a case differs without a reason, or agrees in spite of one."""
    known = reason(case["id"], case, verdict)
    if isinstance(verdict, NotRun):
        pytest.skip(verdict.reason)
    if known is None:
        assert verdict == Equal(), f"differs: {verdict}"
    else:
        assert isinstance(verdict, Different), f"equal now, take it off the list: {known}"


def parameters(kind: str, wanted: Callable[[Case], bool] = lambda case: True) -> list[Any]:
    """Every recorded case of a kind, as parameters of a test."""
    return [
        pytest.param(case, id=f"{file.removesuffix('.jsonl')}:{case['id'].split('::')[-1]}")
        for file, of, case in _cases()
        if of == kind and wanted(case)
    ]


@functools.cache
def _cases() -> list[tuple[str, str, Case]]:
    """The files, kinds and cases of all lines that hold any."""
    found = [(line.file, line.case()) for line in lines()]
    kinds = [(file, kind_of(case), case) for file, case in found if case is not None]
    return [(file, kind.name, case) for file, kind, case in kinds if kind is not None]
