"""Numbers that a field gives as itself, by a path or by an expression: seconds, limits, shares.

The causes are the service's.
"""

from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeAlias

from eventmill.asl.error_names import QUERY_EVALUATION_ERROR, RUNTIME
from eventmill.asl.query_results import queried_number, unexpected
from eventmill.asl.syntax import Map, Number, Task
from eventmill.errors import AuthorError
from eventmill.machine import data_flow
from eventmill.machine.context import input_environment
from eventmill.machine.execution import Execution, Frame
from eventmill.model import Json
from eventmill.query.environment import Environment
from eventmill.query.jsonata import Query
from eventmill.query.jsonpath import Path, PathNotFound

Look: TypeAlias = Callable[[], Environment]
"""Gives what an expression sees of a state's input after InputPath.

Each look draws random numbers anew, and may raise `AuthorError` for the InputPath.
"""


def look_of(execution: Execution, frame: Frame, state: Map | Task) -> Look:
    """How `state`, which `frame` is in, looks at its input."""
    return partial(input_environment, execution, frame, state.input_path)


def max_concurrency(execution: Execution, frame: Frame, state: Map) -> int:
    """How many iterations or children may run at once; 0 for as many as there are.

    Raises:
        AuthorError: The path or the expression gives no such number.
    """
    look = look_of(execution, frame, state)
    number = whole_number(look, "MaxConcurrency", state.max_concurrency) or 0
    if number < 0:
        cause = f"Expected non-negative integer for MaxConcurrency, got {number} instead."
        raise AuthorError(RUNTIME, cause)
    return number


def whole_number(look: Look, field: str, given: Number) -> int | None:
    """A whole number, negative ones included where a path leads to one; text counts as number.

    Raises:
        AuthorError: The path leads to something else, or the expression gives it.
    """
    if isinstance(given, Query):
        return queried_number(given, look())
    if not isinstance(given, Path):
        return None if given is None else int(given)
    value = value_at(look, given)
    try:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError
        return int(value)
    except ValueError:
        not_a("integer", field, given, value)


def percentage(look: Look, field: str, given: Number) -> float | None:
    """A number from 0 to 100; text counts as number.

    Raises:
        AuthorError: The path or the expression gives something else.
    """
    if given is None or isinstance(given, (int, float)):
        return given
    number = _float_at(look, field, given)
    if not 0 <= number <= 100:
        cause = f"{field} must be between 0 and 100."
        if isinstance(given, Query):
            raise AuthorError(QUERY_EVALUATION_ERROR, cause, location=given.field)
        raise AuthorError(RUNTIME, cause)
    return number


def _float_at(look: Look, field: str, given: Path | Query) -> float:
    value = given.evaluate(look()) if isinstance(given, Query) else value_at(look, given)
    kinds = (int, float) if isinstance(given, Query) else (int, float, str)
    try:
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise ValueError
        return float(value)
    except ValueError:
        if isinstance(given, Query):
            raise unexpected(given, "number", value) from None
        not_a("float", field, given, value)


def value_at(look: Look, path: Path) -> Json:
    """What is where the path leads.

    Raises:
        AuthorError: The path leads nowhere.
    """
    surroundings = look()
    try:
        return path.find(surroundings)
    except PathNotFound as error:
        raise AuthorError(RUNTIME, f"Invalid path '{path.text}' : {error}") from None


def not_a(kind: str, field: str, path: Path, value: Json) -> NoReturn:
    """Refuse the value that the path of `field` leads to."""
    shown = data_flow.shown(value)
    cause = f'The {field}Path field refers to value "{shown}" which is not a valid {kind}'
    raise AuthorError(RUNTIME, f"{cause}: {path.text}")
