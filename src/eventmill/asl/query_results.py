"""What a JSONata expression gave where the language wants a certain type; texts are AWS's."""

from collections.abc import Mapping
from typing import Final

from eventmill.asl.error_names import QUERY_EVALUATION_ERROR
from eventmill.errors import AuthorError
from eventmill.model import Json, encode_json
from eventmill.query.environment import Environment
from eventmill.query.jsonata import Query

_KINDS: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def unexpected(query: Query, wanted: str, value: Json) -> AuthorError:
    """The error about a `value` that is not of the type `wanted`, as JSON names types."""
    cause = (
        f"The JSONata expression '{query.text}' specified for the field '{query.field}' returned"
        f" an unexpected result type. Expected '{wanted}', but was '{_KINDS[type(value)]}' for"
        f" value: {encode_json(value).decode()}"
    )
    return AuthorError(QUERY_EVALUATION_ERROR, cause, location=query.field)


def queried_number(query: Query, environment: Environment) -> int:
    """The whole number, from 0 on, that `query` gives.

    Raises:
        AuthorError: The expression fails, or gives something else.
    """
    value = query.evaluate(environment)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise unexpected(query, "number", value)
    if value < 0 or value != int(value):
        shown = encode_json(value).decode()
        cause = f"The {query.field} field must be a non-negative integer, but was: {shown}"
        raise AuthorError(QUERY_EVALUATION_ERROR, cause, location=query.field)
    return int(value)


def queried_text(query: Query, environment: Environment) -> str:
    """The string that `query` gives.

    Raises:
        AuthorError: The expression fails, or gives something else.
    """
    value = query.evaluate(environment)
    if not isinstance(value, str):
        raise unexpected(query, "string", value)
    return value
