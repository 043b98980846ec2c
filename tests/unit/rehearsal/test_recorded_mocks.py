"""Executions recorded on AWS with their services, rehearsed with mocks of those services.

A mock file holds less than the services answered: what it lacks cannot come out again.
"""

import json
import re
from typing import Any, Final

import pytest

from eventmill.arn import Home
from eventmill.model import AWS_QUOTAS, Payload
from eventmill.rehearsal.definitions import rehearsable
from eventmill.rehearsal.local_mocks import parse_mock_file
from eventmill.rehearsal.rehearse import Rehearsal, perform
from tests.conformance.recorded import ABSENT_REASON, FOLDER, Case, cases, checker

if not FOLDER.is_dir():
    pytest.skip(ABSENT_REASON, allow_module_level=True)

# What the mocks of the recordings leave out of the answer of a service, and what a service says
# when it takes on work whose result the mock gives.
LEFT_OUT: Final = re.compile(
    r"(output|\w+EventDetails\.(in|out)put)(\.final)?\."
    r"(ExecutedVersion|RedriveCount|RedriveStatus|RedriveStatusReason): missing, .*"
    r"|taskSubmittedEventDetails\.output\.\w+: missing, .*"
)


def rehearsed(case: Case) -> dict[str, Any]:
    mock, mistakes = case["mock"], list[tuple[str, str]]()
    home = Home(account="111111111111", region="us-east-1")
    name = mock["state_machine_name"]
    test_cases = parse_mock_file(mock["config"], lambda *mistake: mistakes.append(mistake))
    assert mistakes == []
    outcome = perform(
        Rehearsal(
            tested=rehearsable(name, json.dumps(mock["definition"]), home, AWS_QUOTAS),
            input=Payload.of(mock["input"]),
            mocks=test_cases.find(name, mock["test_case"]),
            home=home,
        )
    )
    return {
        "status": outcome.status,
        "output": outcome.output,
        "error": outcome.error,
        "cause": outcome.cause,
        "history": list(outcome.history),
    }


@pytest.mark.parametrize(
    "case", [pytest.param(each, id=each["id"].split("::")[-1]) for each in cases("local_mocking")]
)
def test_rehearses_as_recorded(case: Case) -> None:
    different = checker().compare(case, rehearsed(case))

    unexplained = [
        each
        for each in different
        if not LEFT_OUT.fullmatch(re.sub(r"^history\[\d+:\w+\]\.", "", each))
    ]
    assert unexplained == []
