"""Fail: ends the execution, or fails the enclosing Parallel or Map."""

from eventmill.asl.error_names import RUNTIME
from eventmill.asl.query_results import queried_text
from eventmill.asl.syntax import Fail
from eventmill.errors import AuthorError
from eventmill.machine import failing
from eventmill.machine.context import environment
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame
from eventmill.model import Failure
from eventmill.query.jsonata import Query
from eventmill.query.template import Template


def enter(decision: Decision, frame: Frame, state: Fail) -> None:
    """Fail with the error and the cause given, as they are."""
    failure = Failure(
        error=_text(decision, frame, "ErrorPath", state.error),
        cause=_text(decision, frame, "CausePath", state.cause),
    )
    failing.fail(decision, frame, failure)


def _text(
    decision: Decision, frame: Frame, field: str, given: str | Template | Query | None
) -> str | None:
    surroundings = environment(decision.execution, frame, frame.data)
    if isinstance(given, Query):
        return queried_text(given, surroundings)
    if not isinstance(given, Template):
        return given
    value = given.render(surroundings).value
    if not isinstance(value, str):
        raise AuthorError(RUNTIME, f"The {field} field must refer to a string")
    return value
