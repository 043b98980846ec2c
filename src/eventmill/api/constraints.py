"""The constraints of AWS's model on the members of requests, and the errors when one is broken.

Sources: `service-2.json` of the Step Functions API for the constraints; the words are the
service's.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from eventmill.api.errors import ConstraintViolation, SerializationException
from eventmill.model import Json
from eventmill.record import record

# A value that is longer is cut in messages.
_SHOWN_MAX: Final = 2_048


@record
class Text:
    """A string of `min` to `max` characters; with `values` one of them; with `ascii` plain."""

    min: int = 0
    max: int | None = None
    values: tuple[str, ...] = ()
    ascii: bool = False
    required: bool = False


@record
class Number:
    """A whole number from `min` to `max`."""

    min: int
    max: int
    required: bool = False


@record
class Flag:
    """True or false."""

    required: bool = False


Member: TypeAlias = Text | Number | Flag
Members: TypeAlias = Mapping[str, Member]

# Members that several operations have.
ARN: Final = Text(min=1, max=256)
REQUIRED_ARN: Final = Text(min=1, max=256, required=True)
PAGE_SIZE: Final = Number(min=0, max=1_000)
PAGE_TOKEN: Final = Text(min=1, max=1_024)
INCLUDED_DATA: Final = Text(values=("ALL_DATA", "METADATA_ONLY"))
ERROR: Final = Text(max=256)
CAUSE: Final = Text(max=32_768)


def checked(members: Members, request: Mapping[str, Json]) -> dict[str, Any]:
    """The members of a request that AWS knows; null counts as absent, others are ignored.

    Raises:
        SerializationException: A member has another type.
        ConstraintViolation: Members are missing, or break their constraints; all are named.
    """
    given: dict[str, Any] = {}
    broken: list[str] = []
    for name, member in members.items():
        value = request.get(name)
        if value is None:
            if member.required:
                broken.append(_broken("Value", name, "Member must not be null"))
            continue
        _check_type(name, member, value)
        shown = f"Value '{cut(str(value))}'"
        broken += (_broken(shown, name, constraint) for constraint in _violated(member, value))
        given[name] = value
    if broken:
        raise violation(broken)
    return given


def violation(broken: Iterable[str]) -> ConstraintViolation:
    """The error that lists broken constraints, as the service words it."""
    listed = list(broken)
    errors = "error" if len(listed) == 1 else "errors"
    return ConstraintViolation(f"{len(listed)} validation {errors} detected: {'; '.join(listed)}")


def too_long(name: str, max_: int) -> ConstraintViolation:
    """The error of a member, too long to be shown, that is over its limit."""
    constraint = f"Member must have length less than or equal to {max_}"
    return violation([_broken("Value", name, constraint)])


def _broken(value: str, name: str, constraint: str) -> str:
    return f"{value} at '{name}' failed to satisfy constraint: {constraint}"


def cut(text: str) -> str:
    """`text` as a message can show it: not longer than a screen."""
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def _violated(member: Member, value: Any) -> Iterator[str]:
    match member:
        case Text():
            if len(value) < member.min:
                yield f"Member must have length greater than or equal to {member.min}"
            if member.max is not None and len(value) > member.max:
                yield f"Member must have length less than or equal to {member.max}"
            if member.values and value not in member.values:
                yield f"Member must satisfy enum value set: [{', '.join(member.values)}]"
            if member.ascii and not value.isascii():
                yield r"Member must satisfy regular expression pattern: \p{ASCII}*"
        case Number():
            if value < member.min:
                yield f"Member must have value greater than or equal to {member.min}"
            if value > member.max:
                yield f"Member must have value less than or equal to {member.max}"
        case Flag():
            pass


_WANTED: Final[dict[type, tuple[type, str]]] = {
    Text: (str, "a String"),
    Number: (int, "an Integer"),
    Flag: (bool, "a Boolean"),
}


def _check_type(name: str, member: Member, value: Json) -> None:
    wanted, called = _WANTED[type(member)]
    if type(value) is wanted:
        return
    if isinstance(value, (dict, list)):
        raise SerializationException(
            f"Start of {'list' if isinstance(value, list) else 'structure or map'} found "
            f"where not expected: '{name}' must be {called}"
        )
    raise SerializationException(
        f"{_token(value)} can not be converted to {called}: '{name}' must be {called}"
    )


def _token(value: Json) -> str:
    """What Jackson calls a scalar."""
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    return "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"
