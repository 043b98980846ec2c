"""Wait: lets time pass. Nothing waits in memory: the due time is in the history."""

from typing import Final

from eventmill.asl.error_names import QUERY_EVALUATION_ERROR, RUNTIME
from eventmill.asl.query_results import queried_number
from eventmill.asl.syntax import Wait
from eventmill.instant import parse_instant
from eventmill.machine import data_flow
from eventmill.machine.assigning import assigned
from eventmill.machine.context import environment, select
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame
from eventmill.machine.history import WAIT_SCHEDULED
from eventmill.model import AuthorError, Json
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
    surroundings = environment(execution, frame, frame.data)
    if state.assign is not None and state.language == "JSONPath":
        surroundings = surroundings.over(select(state.input_path, surroundings))
    decision.leave(frame, output, assigned(execution, frame, state.assign, surroundings))


def _due_ms(decision: Decision, frame: Frame, state: Wait) -> int:
    if isinstance(state.timestamp, int):
        return state.timestamp
    if isinstance(state.seconds, int):
        return decision.now_ms + state.seconds * 1000
    if isinstance(state.seconds, Query):
        given = state.seconds.evaluate(environment(decision.execution, frame, frame.data))
        return decision.now_ms + queried_number(state.seconds, given) * 1000
    if isinstance(state.timestamp, Query):
        given = state.timestamp.evaluate(environment(decision.execution, frame, frame.data))
        return _queried_timestamp(given)
    if isinstance(state.seconds, Path):
        given = _read(decision, frame, state, "SecondsPath", state.seconds)
        return decision.now_ms + _seconds(state.seconds, given) * 1000
    assert state.timestamp is not None
    given = _read(decision, frame, state, "TimestampPath", state.timestamp)
    return _timestamp(state.timestamp, given)


def _read(decision: Decision, frame: Frame, state: Wait, field: str, path: Path) -> Json:
    surroundings = environment(decision.execution, frame, frame.data)
    data = select(state.input_path, surroundings)
    try:
        return path.find(surroundings.over(data))
    except PathNotFound:
        cause = f"The {field} parameter does not reference an input value: {path.text}"
        raise AuthorError(RUNTIME, cause) from None


def _queried_timestamp(given: Json) -> int:
    try:
        if not isinstance(given, str):
            raise ValueError
        return parse_instant(given)
    except (ValueError, OverflowError):
        cause = (
            "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time "
            f"format string: {data_flow.shown(given)}"
        )
        raise AuthorError(QUERY_EVALUATION_ERROR, cause, location="Timestamp") from None


def _seconds(path: Path, given: Json) -> int:
    """A number of seconds; the service takes it as text, too."""
    try:
        if isinstance(given, bool) or not isinstance(given, (int, float, str)):
            raise ValueError
        seconds = int(given)
        if seconds < 0 or seconds != float(given):
            raise ValueError
    except (ValueError, OverflowError):
        cause = f"The SecondsPath parameter does not reference a valid number: {path.text}"
        raise AuthorError(RUNTIME, f"{cause} == {_shown(given)}") from None
    return seconds


def _timestamp(path: Path, given: Json) -> int:
    try:
        if not isinstance(given, str):
            raise ValueError
        return parse_instant(given)
    except (ValueError, OverflowError):
        cause = (
            "The TimestampPath parameter does not reference a valid ISO-8601 extended offset "
            f"date-time format string: {path.text} == {_shown(given)}"
        )
        raise AuthorError(RUNTIME, cause) from None


def _shown(given: Json) -> str:
    return given if isinstance(given, str) else str(data_flow.shown(given))
