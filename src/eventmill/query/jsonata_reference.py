"""References, the plainest of all expressions: `$states.input.order.id`, `$total`.

They are followed here and not by the library, which holds every number as a double: so whole
inputs and long identifiers pass unchanged, and large values are not converted to and fro.
"""

import re
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from eventmill.model import ABSENT, Payload
from eventmill.query.environment import Environment

Follow: TypeAlias = Callable[[Environment], object]
"""Gives the value, or `ABSENT` when the whole of JSONata is needed to tell what comes out."""

_REFERENCE: Final = re.compile(r"\$([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)*)", re.ASCII)
_EXACT_MAX: Final = 2**53
_DOUBLE_MAX: Final = int(sys.float_info.max)
LONG_END: Final = 2**63
"""Whole numbers below it are exact; from it on they are doubles."""
_NOT_NAMES: Final = frozenset({"false", "function", "null", "true"})


def compile_reference(text: str) -> Follow | None:
    """The closure that follows a reference; None when `text` is more than that.

    >>> compile_reference("$x + 1") is None
    True
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    root, names = found[1], found[2].split(".")[1:]
    if _NOT_NAMES.intersection(names):
        return None
    if root != "states":
        return lambda environment: _walk(environment.variables.get(root, ABSENT), names)
    if not names:
        return None
    return _member(names[0], names[1:])


def _member(member: str, names: list[str]) -> Follow | None:
    def of(payload: Payload | None) -> object:
        return ABSENT if payload is None else _walk(payload.value, names)

    match member:
        case "input":
            return lambda environment: of(environment.data)
        case "context":
            return lambda environment: of(environment.context)
        case "result":
            return lambda environment: of(environment.result)
        case "errorOutput":
            return lambda environment: of(environment.error_output)
    return None


def _walk(value: object, names: list[str]) -> object:
    for name in names:
        # A step into an array visits all its items.
        if not isinstance(value, dict):
            return ABSENT
        value = value.get(name, ABSENT)
    return with_whole_numbers(value) if _is_written_otherwise(value) else value


def _is_written_otherwise(value: object) -> bool:
    # Lists of work instead of recursion, here and below, for values may be nested deeply.
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, float):
            if item.is_integer():
                return True
        elif isinstance(item, int) and _is_no_long(item):
            return True
    return False


def _is_no_long(number: int) -> bool:
    return LONG_END <= abs(number) <= _DOUBLE_MAX


def with_whole_numbers(value: object) -> object:
    """A copy in which `1.0` is `1`, as numbers leave an expression.

    >>> with_whole_numbers([1.0, {"a": [-2.0, 0.5, 1e19]}, 2**63])
    [1, {'a': [-2, 0.5, 10000000000000000000]}, 9223372036854776000]
    """
    holder: list[object] = [value]
    pending: list[Any] = [holder]
    while pending:
        container = pending.pop()
        for key, item in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(item, dict | list):
                container[key] = copy = item.copy()
                pending.append(copy)
            elif isinstance(item, float):
                container[key] = whole(item)
            elif isinstance(item, int) and _is_no_long(item):
                container[key] = whole(float(item))
    return holder[0]


def whole(number: float) -> float:
    """A double as an integer if it is one, in as many digits as tell it from other doubles.

    From 10²¹ on doubles are written with an exponent, and stay what they are.

    >>> [whole(number) for number in (1.0, 2.0**63, 1e21, 0.5)]
    [1, 9223372036854776000, 1e+21, 0.5]
    """
    if not number.is_integer() or abs(number) >= 1e21:
        return number
    return int(number) if abs(number) <= _EXACT_MAX else int(Decimal(repr(number)))
