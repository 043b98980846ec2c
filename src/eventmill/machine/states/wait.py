"""Wait: lets time pass. Nothing waits in memory: the due time is in the history."""

from typing import Final

from eventmill.asl.error_names import QUERY_EVALUATION_ERROR, RUNTIME
from eventmill.asl.query_results import queried_number
from eventmill.asl.syntax import Wait
from eventmill.errors import AuthorError
from eventmill.instant import parse_instant
from eventmill.machine import data_flow
from eventmill.machine.assigning import assigned
from eventmill.machine.context import input_environment
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame
from eventmill.machine.history import WAIT_SCHEDULED
from eventmill.model import Json
from eventmill.query.environment import Environment
from eventmill.query.jsonata import Query
from eventmill.query.jsonpath import Path, PathNotFound

# The service counts a delay in seconds of 32 bits, whatever its documentation says of a year.
_DELAY_SECONDS_MAX: Final = 2**31 - 1


def enter(decision: Decision, frame: Frame, state: Wait) -> None:
    """Wait until the time given; leave at once when it has come already."""
    due_ms = _due_ms(decision, frame, state)
    if due_ms - decision.now_ms > _DELAY_SECONDS_MAX * 1000:
        raise AuthorError(RUNTIME, "Wait state delay is too long.")
    if due_ms <= decision.now_ms:
        over(decision, frame, state)
    else:
        decision.note(frame, WAIT_SCHEDULED, {"due_ms": due_ms})


def over(decision: Decision, frame: Frame, state: Wait) -> None:
    """The time has come."""
    execution = decision.execution
    output = data_flow.through(execution, frame, state, state.output)
    surroundings = input_environment(execution, frame, state.input_path)
    decision.leave(frame, output, assigned(execution, frame, state.assign, surroundings))


def _due_ms(decision: Decision, frame: Frame, state: Wait) -> int:
    if isinstance(state.timestamp, int):
        return state.timestamp
    if isinstance(state.seconds, int):
        return decision.now_ms + state.seconds * 1000
    surroundings = input_environment(decision.execution, frame, state.input_path)
    if state.timestamp is not None:
        return _timestamp(state.timestamp, surroundings)
    assert state.seconds is not None
    return decision.now_ms + _seconds(state.seconds, surroundings) * 1000


def _seconds(given: Path | Query, surroundings: Environment) -> int:
    """A number of seconds; where a path leads to text, the service takes that, too."""
    if isinstance(given, Query):
        return queried_number(given, surroundings)
    value = _read(given, "SecondsPath", surroundings)
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        seconds = int(value)
        if seconds < 0 or seconds != float(value):
            raise ValueError
    except (ValueError, OverflowError):
        cause = f"The SecondsPath parameter does not reference a valid number: {given.text}"
        raise AuthorError(RUNTIME, f"{cause} == {data_flow.shown(value)}") from None
    return seconds


def _timestamp(given: Path | Query, surroundings: Environment) -> int:
    if isinstance(given, Query):
        value = given.evaluate(surroundings)
    else:
        value = _read(given, "TimestampPath", surroundings)
    try:
        if not isinstance(value, str):
            raise ValueError
        return parse_instant(value)
    except (ValueError, OverflowError):
        raise _no_timestamp(given, value) from None


def _no_timestamp(given: Path | Query, value: Json) -> AuthorError:
    form, shown = "ISO-8601 extended offset date-time format string", data_flow.shown(value)
    if isinstance(given, Query):
        cause = f"The Timestamp field cannot be parsed as an {form}: {shown}"
        return AuthorError(QUERY_EVALUATION_ERROR, cause, location="Timestamp")
    cause = f"The TimestampPath parameter does not reference a valid {form}: {given.text}"
    return AuthorError(RUNTIME, f"{cause} == {shown}")


def _read(path: Path, field: str, surroundings: Environment) -> Json:
    try:
        return path.find(surroundings)
    except PathNotFound:
        cause = f"The {field} parameter does not reference an input value: {path.text}"
        raise AuthorError(RUNTIME, cause) from None
