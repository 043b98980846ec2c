"""Numbers that a field gives as itself, by a path or by an expression: seconds, limits, shares.

The causes are the service's.
"""

from typing import NoReturn

from eventmill.asl.error_names import QUERY_EVALUATION_ERROR, RUNTIME
from eventmill.asl.query_results import queried_number, unexpected
from eventmill.asl.syntax import Map, Number, Task
from eventmill.machine import data_flow
from eventmill.machine.context import environment, select
from eventmill.machine.execution import Execution, Frame
from eventmill.model import AuthorError, Json
from eventmill.query.jsonata import Query
from eventmill.query.jsonpath import Path, PathNotFound


def max_concurrency(execution: Execution, frame: Frame, state: Map) -> int:
    """How many iterations or children may run at once; 0 for as many as there are.

    Raises:
        AuthorError: The path or the expression gives no such number.
    """
    number = whole_number(execution, frame, state, "MaxConcurrency", state.max_concurrency) or 0
    if number < 0:
        cause = f"Expected non-negative integer for MaxConcurrency, got {number} instead."
        raise AuthorError(RUNTIME, cause)
    return number


def whole_number(
    execution: Execution, frame: Frame, state: Map, field: str, given: Number
) -> int | None:
    """A whole number, negative ones included where a path leads to one; text counts as number.

    Raises:
        AuthorError: The path leads to something else, or the expression gives it.
    """
    if isinstance(given, Query):
        return queried_number(given, given.evaluate(environment(execution, frame, frame.data)))
    if not isinstance(given, Path):
        return None if given is None else int(given)
    value = value_at(execution, frame, state, given)
    try:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError
        return int(value)
    except ValueError:
        not_a("integer", field, given, value)


def percentage(
    execution: Execution, frame: Frame, state: Map, field: str, given: Number
) -> float | None:
    """A number from 0 to 100; text counts as number.

    Raises:
        AuthorError: The path or the expression gives something else.
    """
    if given is None or isinstance(given, (int, float)):
        return given
    value = value_at(execution, frame, state, given)
    if isinstance(given, Query):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise unexpected(given, "number", value)
        number = float(value)
    else:
        number = _float_at(given, field, value)
    if not 0 <= number <= 100:
        cause = f"{field} must be between 0 and 100."
        if isinstance(given, Query):
            raise AuthorError(QUERY_EVALUATION_ERROR, cause, location=given.field)
        raise AuthorError(RUNTIME, cause)
    return number


def _float_at(path: Path, field: str, value: Json) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        return float(value)
    except ValueError:
        not_a("float", field, path, value)


def value_at(execution: Execution, frame: Frame, state: Map | Task, given: Path | Query) -> Json:
    """What is where the path leads, in the state's input after InputPath; or the query's value.

    Raises:
        AuthorError: The path leads nowhere, or the expression fails.
    """
    surroundings = environment(execution, frame, frame.data)
    if isinstance(given, Query):
        return given.evaluate(surroundings)
    try:
        return given.find(surroundings.over(select(state.input_path, surroundings)))
    except PathNotFound as error:
        raise AuthorError(RUNTIME, f"Invalid path '{given.text}' : {error}") from None


def not_a(kind: str, field: str, path: Path, value: Json) -> NoReturn:
    """Refuse the value that the path of `field` leads to."""
    cause = (
        f'The {field}Path field refers to value "{data_flow.shown(value)}" '
        f"which is not a valid {kind}: {path.text}"
    )
    raise AuthorError(RUNTIME, cause)
