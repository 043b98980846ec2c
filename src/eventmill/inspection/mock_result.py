"""Whether a mocked result is one that the state could have got; the messages are the service's.

STRICT wants the fields that the service's model requires, PRESENT checks those that are there, and
NONE none of them. Fields that the model does not know are let through.
"""

from typing import Final

from eventmill.asl.syntax import Map, Parallel, State, Task
from eventmill.errors import ValidationException
from eventmill.inspection.request import MockedResult
from eventmill.inspection.service_model import Shape, output_shape
from eventmill.model import Json

_STRINGS: Final = frozenset({"string", "character", "timestamp", "blob"})
_NUMBERS: Final = frozenset({"integer", "long", "short", "byte", "float", "double", "bigdecimal"})

# Their answers are what somebody else's server says.
_FREE_ANSWERS: Final = frozenset({"activity", "apigateway", "http"})


def check_mocked_result(state: State, mock: MockedResult) -> None:
    """Refuse a result that `state` could not have got.

    Raises:
        ValidationException: It is of another type, or breaks a constraint of the service's model.
    """
    value = mock.payload.value
    match state:
        case Task():
            _check_task(state, mock)
        case Map() if state.distribution is not None and state.distribution.writer is not None:
            if not isinstance(value, dict):
                raise ValidationException("Mocked result must be a JSON object.")
        case Map() | Parallel():
            if not isinstance(value, list):
                raise ValidationException("Mocked result must be an array.")
            if isinstance(state, Parallel) and len(value) != len(state.branches):
                raise ValidationException(
                    "Mocked result must contain the same number of items as number of "
                    "Parallel branches."
                )


def _check_task(state: Task, mock: MockedResult) -> None:
    resource, value = state.resource, mock.payload.value
    if resource.kind == "function" or resource.service in _FREE_ANSWERS:
        return
    if not isinstance(value, dict):
        raise ValidationException("Mocked result must be a valid JSON object.")
    if mock.mode == "NONE":
        return
    shape = output_shape(resource)
    if shape is not None:
        _check_structure(value, shape, strict=mock.mode == "STRICT")


def _check_structure(value: dict[str, Json], shape: Shape, *, strict: bool) -> None:
    if strict:
        for name in shape.required():
            if name not in value:
                raise _refused(f"Required field '{name}' is missing")
    for name, each in value.items():
        member = shape.member(name)
        if member is not None:
            _check(name, each, member, strict=strict)


def _check(name: str, value: Json, shape: Shape, *, strict: bool) -> None:
    kind = shape.type
    if shape.facts.get("document"):
        return
    if kind in ("structure", "map"):
        if not isinstance(value, dict):
            raise _mistyped(name, "an object")
        if kind == "structure":
            _check_structure(value, shape, strict=strict)
        else:
            for each in value.values():
                _check(name, each, shape.element(), strict=strict)
    elif kind == "list":
        if not isinstance(value, list):
            raise _mistyped(name, "an array")
        for each in value:
            _check(name, each, shape.element(), strict=strict)
    elif kind in _STRINGS:
        _check_string(name, value, shape)
    elif kind in _NUMBERS:
        _check_number(name, value, shape)
    elif kind == "boolean" and not isinstance(value, bool):
        raise _mistyped(name, "a boolean")


def _check_string(name: str, value: Json, shape: Shape) -> None:
    if not isinstance(value, str):
        raise _mistyped(name, "a string")
    values = shape.facts.get("enum")
    if values and value not in values:
        raise _refused(f"Field '{name}' is not an expected value")
    if len(value) < shape.facts.get("min", 0):
        raise _refused(f"Field '{name}' is smaller than the minimum length")
    if len(value) > shape.facts.get("max", len(value)):
        raise _refused(f"Field '{name}' exceeds the maximum length")


def _check_number(name: str, value: Json, shape: Shape) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _mistyped(name, "a number")
    if value < shape.facts.get("min", value):
        raise _refused(f"Field '{name}' is less than the minimum value")
    if value > shape.facts.get("max", value):
        raise _refused(f"Field '{name}' exceeds the maximum value")


def _mistyped(name: str, wanted: str) -> ValidationException:
    return _refused(f"Field '{name}' must be {wanted}")


def _refused(what: str) -> ValidationException:
    return ValidationException(f"Mock result schema validation error: {what}")
