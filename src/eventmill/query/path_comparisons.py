"""The comparisons of JSONPath filters, after Jayway's rules.

A comparison never fails: what cannot be compared does not match. A path that leads nowhere
equals nothing.
"""

import operator
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, Final, TypeAlias

from eventmill.model import Json
from eventmill.query.equality import contains, same
from eventmill.query.java import number_text


class Missing(Enum):
    """Stands for the value of a path that leads nowhere."""

    MISSING = auto()


Operand: TypeAlias = "Json | Missing"
Compare: TypeAlias = Callable[[Operand, Operand], bool]


def text_of(value: Operand) -> str | None:
    """A text, number or truth value as text, or None."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, int | float) else None


def _is_number(value: Operand) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(left: Operand, right: Operand) -> bool:
    if left.__class__ is str and right.__class__ is str:
        return left == right
    if isinstance(left, Missing) or isinstance(right, Missing):
        return False
    # Jayway compares a text with a number as texts.
    if (isinstance(left, str) and _is_number(right)) or (
        isinstance(right, str) and _is_number(left)
    ):
        return text_of(left) == text_of(right)
    return same(left, right)


def _type_safe_equal(left: Operand, right: Operand) -> bool:
    return not isinstance(left, Missing) and not isinstance(right, Missing) and same(left, right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Compare:
    """Compare two texts, or two numbers; nothing else has an order."""

    def holds(left: Operand, right: Operand) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return compare(left, right)
        return _is_number(left) and _is_number(right) and compare(left, right)

    return holds


def _in(left: Operand, right: Operand) -> bool:
    return isinstance(right, list) and not isinstance(left, Missing) and contains(right, left)


def _contains(left: Operand, right: Operand) -> bool:
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    return _in(right, left)


def _has_size(left: Operand, right: Operand) -> bool:
    return isinstance(left, str | list | dict) and _is_number(right) and len(left) == right


def _is_empty(left: Operand, right: Operand) -> bool:
    return (
        isinstance(left, str | list | dict) and isinstance(right, bool) and right is not bool(left)
    )


def _subset_of(left: Operand, right: Operand) -> bool:
    if not isinstance(left, list) or not isinstance(right, list):
        return False
    return all(contains(right, each) for each in left)


def _any_of(left: Operand, right: Operand) -> bool:
    if not isinstance(left, list) or not isinstance(right, list):
        return False
    return any(contains(right, each) for each in left)


COMPARISONS: Final[Mapping[str, Compare]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "===": _type_safe_equal,
    "!==": lambda left, right: not _type_safe_equal(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "in": _in,
    "nin": lambda left, right: isinstance(right, list) and not _in(left, right),
    "contains": _contains,
    "size": _has_size,
    "empty": _is_empty,
    "subsetof": _subset_of,
    "all": lambda left, right: _subset_of(right, left),
    "anyof": _any_of,
    "noneof": lambda left, right: (
        isinstance(left, list) and isinstance(right, list) and not _any_of(left, right)
    ),
}
