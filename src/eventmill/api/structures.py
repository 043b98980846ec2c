"""Members of a request that are objects, checked against AWS's model like its other members."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from eventmill.api.constraints import Members, checked
from eventmill.api.errors import SerializationException
from eventmill.model import Json
from eventmill.record import record


@record
class Structure:
    """An object: its plain members, and those that are objects themselves."""

    members: Members
    structures: "Structures | None" = None


Structures: TypeAlias = Mapping[str, Structure]


def checked_structures(
    structures: Structures | None, body: Mapping[str, Json], path: str = ""
) -> dict[str, Any]:
    """The members of `body` that are structures; null counts as absent.

    Errors name a member by its way from the outside, such as `mock.errorOutput.error`.

    Raises:
        SerializationException: A member has another type.
        ConstraintViolation: Members of one structure break their constraints; all are named.
    """
    given: dict[str, Any] = {}
    for name, structure in (structures or {}).items():
        value, way = body.get(name), f"{path}{name}."
        if value is None:
            continue
        if not isinstance(value, dict):
            raise SerializationException(
                f"Unexpected token found where a structure was expected: '{path}{name}'"
            )
        members = {way + each: member for each, member in structure.members.items()}
        found = checked(members, {way + each: inner for each, inner in value.items()})
        plain = {each.removeprefix(way): inner for each, inner in found.items()}
        given[name] = plain | checked_structures(structure.structures, value, way)
    return given
