"""The conditions of JSONPath filters (`[?(…)]`) compiled to closures, after Jayway's rules.

A comparison never fails: what cannot be compared does not match. A path that leads nowhere
equals nothing, and a null counts as absent where only existence is asked for.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final, TypeAlias

from eventmill.model import Json
from eventmill.query.equality import contains, same
from eventmill.query.java import number_text
from eventmill.query.path_segments import (
    Both,
    Comparison,
    Condition,
    Exists,
    Filter,
    Literally,
    Not,
    ParsedPath,
    Regex,
)
from eventmill.query.path_steps import (
    PathNotFound,
    Predicate,
    Scope,
    Walk,
    compile_argument,
    is_definite,
    member_steps,
)


class Missing(Enum):
    """Stands for the value of a path that leads nowhere."""

    MISSING = auto()


Operand: TypeAlias = "Json | Missing"
Read: TypeAlias = Callable[[Json, Scope], Operand]
Compare: TypeAlias = Callable[[Operand, Operand], bool]


def compile_filter(segment: Filter) -> Predicate:
    """The closure that decides whether a filter keeps a value."""
    return _compile_condition(segment.condition)


def _compile_condition(condition: Condition) -> Predicate:
    if isinstance(condition, Both):
        parts = [_compile_condition(each) for each in condition.conditions]
        if len(parts) == 2:
            return _compile_pair(condition.all, *parts)
        if condition.all:
            return lambda value, scope: all(holds(value, scope) for holds in parts)
        return lambda value, scope: any(holds(value, scope) for holds in parts)
    if isinstance(condition, Not):
        inner = _compile_condition(condition.condition)
        return lambda value, scope: not inner(value, scope)
    if isinstance(condition, Exists):
        read = _compile_read(condition.path)
        definite = is_definite(condition.path.segments)
        nothing: tuple[Operand, ...] = (None, Missing.MISSING) if definite else ([],)
        return lambda value, scope: read(value, scope) not in nothing
    return _compile_comparison(condition)


def _compile_pair(is_and: bool, one: Predicate, other: Predicate) -> Predicate:
    if is_and:
        return lambda value, scope: one(value, scope) and other(value, scope)
    return lambda value, scope: one(value, scope) or other(value, scope)


def _compile_comparison(condition: Comparison) -> Predicate:
    if isinstance(condition.right, Regex):
        return _compile_match(condition, condition.right)
    left, right = _compile_read(condition.left), _compile_read(condition.right)
    compare = COMPARISONS[condition.operator]
    if isinstance(condition.right, Literally):
        literal = condition.right.value
        return lambda value, scope: compare(left(value, scope), literal)
    return lambda value, scope: compare(left(value, scope), right(value, scope))


def _compile_match(condition: Comparison, regex: Regex) -> Predicate:
    read = _compile_read(condition.left)
    matches = regex.pattern.fullmatch

    def holds(value: Json, scope: Scope) -> bool:
        text = _text(read(value, scope))
        return text is not None and matches(text) is not None

    return holds


def _compile_read(operand: ParsedPath | Literally) -> Read:
    if isinstance(operand, ParsedPath) and operand.root == "@":
        steps = member_steps(operand.segments)
        if steps is not None and len(steps) == 1 and isinstance(steps[0], str):
            return _member_reader(steps[0])
    return _lenient(compile_argument(operand, compile_filter))


def _member_reader(name: str) -> Read:
    def read(value: Json, scope: Scope) -> Operand:
        return value.get(name, Missing.MISSING) if isinstance(value, dict) else Missing.MISSING

    return read


def _lenient(walk: Walk) -> Read:
    def read(value: Json, scope: Scope) -> Operand:
        try:
            return walk(value, scope)
        except PathNotFound:
            return Missing.MISSING

    return read


def _text(value: Operand) -> str | None:
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
        return _text(left) == _text(right)
    return same(left, right)


def _type_safe_equal(left: Operand, right: Operand) -> bool:
    if isinstance(left, Missing) or isinstance(right, Missing):
        return False
    return same(left, right)


def _less(left: Operand, right: Operand) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _is_number(left) and _is_number(right) and left < right
    return False


def _less_or_equal(left: Operand, right: Operand) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left <= right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _is_number(left) and _is_number(right) and left <= right
    return False


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


def _none_of(left: Operand, right: Operand) -> bool:
    return isinstance(left, list) and isinstance(right, list) and not _any_of(left, right)


COMPARISONS: Final[Mapping[str, Compare]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "===": _type_safe_equal,
    "!==": lambda left, right: not _type_safe_equal(left, right),
    "<": _less,
    "<=": _less_or_equal,
    ">": lambda left, right: _less(right, left),
    ">=": lambda left, right: _less_or_equal(right, left),
    "in": _in,
    "nin": lambda left, right: isinstance(right, list) and not _in(left, right),
    "contains": _contains,
    "size": _has_size,
    "empty": _is_empty,
    "subsetof": _subset_of,
    "all": lambda left, right: _subset_of(right, left),
    "anyof": _any_of,
    "noneof": _none_of,
}
