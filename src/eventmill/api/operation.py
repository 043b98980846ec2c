"""What an operation of the API is."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from eventmill.api.constraints import Members
from eventmill.model import Json, record
from eventmill.runtime.system import System

Request: TypeAlias = Mapping[str, Any]
"""The members of a request, checked against AWS's model."""

Answer: TypeAlias = dict[str, Json]
"""The members of an answer, with AWS's names."""


@record
class Operation:
    """An operation: what its request may hold, and the function that carries it out."""

    members: Members
    run: Callable[[System, Request], Awaitable[Answer]]
