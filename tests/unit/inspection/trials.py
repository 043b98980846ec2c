"""States that are tried, and what TestState says of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from eventmill.arn import Home
from eventmill.errors import ServiceError
from eventmill.inspection import call
from eventmill.inspection.handler_call import Run
from eventmill.machine.commands import RunTask
from eventmill.machine.facts import Fact
from eventmill.model import AWS_QUOTAS, Quotas

HOME = Home(account="123456789012", region="eu-north-1")
NOW_MS = 1_700_000_000_000
NOW = "2023-11-14T22:13:20.000Z"

INVOKE: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}
MOCKED_ERROR = {"errorOutput": {"error": "Own.Error", "cause": "mocked"}}


def machine(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


async def tried(
    definition: Any,
    *,
    run: Run | None = None,
    quotas: Quotas = AWS_QUOTAS,
    level: str = "DEBUG",
    **members: Any,
) -> dict[str, Any]:
    """The answer; members that are texts on the wire may be given as values."""
    texts = {
        name: json.dumps(members.pop(name), separators=(",", ":"))
        for name in ("input", "variables", "context")
        if not isinstance(members.get(name, ""), str)
    }
    text = definition if isinstance(definition, str) else json.dumps(definition)
    request = {"definition": text, "inspectionLevel": level, **texts, **members}
    return await call.test_state(request, home=HOME, now_ms=NOW_MS, run=run, quotas=quotas)


async def refused(definition: Any, **members: Any) -> tuple[str, str]:
    """The code and the message of the error that must come."""
    with pytest.raises(ServiceError) as caught:
        await tried(definition, **members)
    return type(caught.value).__name__, str(caught.value)


def mocked(result: Any, **members: Any) -> dict[str, Any]:
    """A mock with this result."""
    return {"result": json.dumps(result, separators=(",", ":")), **members}


class Handlers:
    """Carries tasks out: it keeps the commands, and answers each with the same fact."""

    def __init__(self, *answers: Callable[[RunTask], Fact]) -> None:
        self.commands: list[RunTask] = []
        self.cancelled: list[int] = []
        self._answers = answers

    def run(
        self, execution_arn: str, command: RunTask, report: Callable[[Fact], None]
    ) -> Callable[[], None]:
        self.commands.append(command)
        for answer in self._answers:
            report(answer(command))
        return lambda: self.cancelled.append(command.task)
