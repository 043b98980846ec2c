"""Cases of TestState: one state, run with an input, and what is told of it."""

import asyncio
import importlib
import importlib.util
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from eventmill.api.errors import error_body
from eventmill.errors import ServiceError
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.model import AWS_QUOTAS
from tests.conformance.recorded import Case
from tests.conformance.report.api_calls import mistakes_in
from tests.conformance.report.engine_runs import (
    RECORDED_HOME,
    Agenda,
    ScriptedExecutor,
    turns,
    unknown_behaviour,
)
from tests.conformance.report.verdict import NotRun, Verdict, compared, same

_TestState: TypeAlias = Callable[..., Awaitable[dict[str, Any]]]

_MODULE: Final = "eventmill.inspection.call"
# Members that the API wants as JSON text, and cases hold as values.
_TEXTS: Final = ("input", "context", "variables")


def run(case: Case) -> Verdict:
    """The answer of TestState, or its error."""
    expected, request = case["expected"], request_of(case)
    if "api_error_text" in expected:
        return same(expected["api_error_text"], mistakes_in("TestState", request))
    unknown = unknown_behaviour(case)
    if unknown is not None:
        return NotRun(unknown)
    test_state = inspection()
    if test_state is None:
        return NotRun("TestState is not offered yet")
    try:
        return compared(case, asyncio.run(_answer(test_state, case, request)))
    except ServiceError as error:
        told = error_body(error)
        code = told["__type"].split("#")[-1]
        return compared(case, {"api_error": {"code": code, "message": told["message"]}})


async def _answer(test_state: _TestState, case: Case, request: dict[str, Any]) -> dict[str, Any]:
    clock = Agenda()
    calls = LambdaFunction(ScriptedExecutor(clock, case))
    asked = asyncio.ensure_future(
        test_state(
            request,
            home=RECORDED_HOME,
            now_ms=clock.now_ms(),
            run=calls.run,
            quotas=AWS_QUOTAS,
        )
    )
    await turns()
    while not asked.done() and clock.go_on():
        await turns()
    return await asked


def inspection() -> _TestState | None:
    """TestState, where there is one."""
    package = _MODULE.rpartition(".")[0]
    if importlib.util.find_spec(package) is None or importlib.util.find_spec(_MODULE) is None:
        return None
    found: _TestState = importlib.import_module(_MODULE).test_state
    return found


def request_of(case: Case) -> dict[str, Any]:
    """The request as it goes over the wire."""
    request = dict(case["request"])
    if case.get("definition") is not None:
        request["definition"] = _text(case["definition"])
    for name in _TEXTS:
        if request.get(name) is not None:
            request[name] = _text(request[name])
    if isinstance(request.get("mock"), dict):
        mock = request["mock"]
        request["mock"] = {name: mock[name] for name in mock if name != "result_parsed"}
    return request


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
