"""What an operation of the API is."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from eventmill.api.constraints import Members
from eventmill.api.structures import Structures
from eventmill.model import Json
from eventmill.record import record
from eventmill.runtime.system import System

Request: TypeAlias = Mapping[str, Any]
"""The members of a request, checked against AWS's model."""

Answer: TypeAlias = dict[str, Json]
"""The members of an answer, with AWS's names."""


@record
class Operation:
    """An operation: what its request may hold, and the function that carries it out.

    `structures` are those members of the request that are objects.
    """

    members: Members
    run: Callable[[System, Request], Awaitable[Answer]]
    structures: Structures | None = None
