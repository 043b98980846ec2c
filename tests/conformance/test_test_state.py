"""Recorded calls of TestState: the same request gets the same answer, or the same error.

What the recordings cannot tell by themselves is in `tests/unit/inspection`.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from eventmill.arn import Home, function_name
from eventmill.errors import ServiceError
from eventmill.inspection import call
from eventmill.instant import parse_instant
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.model import AWS_QUOTAS, Json
from eventmill.ports import Answer, Invocation
from tests.conformance.recorded import (
    ABSENT_REASON,
    BEHAVIOURS,
    Case,
    cases,
    checker,
    no_such_function,
)

RECORDED = {case["id"]: case for case in cases("test_state_api")}
HOME = Home(account="111111111111", region="us-east-1")
NOW_MS = parse_instant("2026-11-22T22:45:44Z")
TEXTS = ("input", "variables", "context")

# Where our answer differs from the recorded one, and why it does.
DIFFERENT = {
    "integer_more_than_maximum_allowed": "Lambda's model allows 32,768 MB now; recorded at 10,240",
}

if not RECORDED:
    pytest.skip(ABSENT_REASON, allow_module_level=True)


class Handlers:
    """The functions of a case, which answer in the next round of the loop."""

    def __init__(self, case: Case) -> None:
        self._behaviours = {
            each["name"]: BEHAVIOURS[each["behaviour_id"]] for each in case.get("handlers") or ()
        }

    def invoke(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        behaviour = self._behaviours.get(function_name(invocation.function), no_such_function)
        asyncio.get_running_loop().call_soon(answer, behaviour(invocation))

    def cancel(self, invocation: int) -> None:
        """Nobody cancels here."""


def request(case: Case) -> dict[str, Json]:
    """The request as it went over the wire: texts where AWS's model has texts."""
    given: dict[str, Any] = {"definition": json.dumps(case["definition"]), **case["request"]}
    for name in TEXTS:
        if name in given and not isinstance(given[name], str):
            given[name] = json.dumps(given[name])
    if "mock" in given:
        given["mock"] = {k: v for k, v in given["mock"].items() if k != "result_parsed"}
    return given


async def answered(case: Case) -> dict[str, Any]:
    """What the checker compares with the recording."""
    run = LambdaFunction(Handlers(case)).run
    try:
        return await call.test_state(
            request(case), home=HOME, now_ms=NOW_MS, run=run, quotas=AWS_QUOTAS
        )
    except ServiceError as error:
        return {"api_error": {"code": type(error).__name__, "message": str(error)}}


@pytest.mark.parametrize("id", RECORDED)
async def test_the_answer_is_that_of_aws(id: str) -> None:
    case = RECORDED[id]
    if "api_error_text" in case["expected"]:
        pytest.skip("AWS's client refused this call; tests/api has the constraint")

    found = checker().compare(case, await answered(case))

    reason = next((DIFFERENT[name] for name in DIFFERENT if f"[{name}]" in id), None)
    assert (found == []) == (reason is None), found
