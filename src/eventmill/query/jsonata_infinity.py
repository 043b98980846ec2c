"""Numbers that are out of range: what the service tells where an expression comes to no number.

The library refuses infinities wherever they come up. Where they are the result of the whole
expression, as of `$states.input.total / $states.input.count`, the service gives a string. They may
be compared and rounded down; arithmetic on them fails there as well.
"""

import math
import re
from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Final, TypeAlias, TypeGuard

from eventmill.query.jsonata_tokens import placed

_SUMS: Final = frozenset("+-")
_PRODUCTS: Final = frozenset("*/")
_OPENING: Final = frozenset("([{")
_CLOSING: Final = frozenset(")]}")
# What may stand around operands outside of brackets; anything else binds looser, or differently.
_OPERAND: Final = re.compile(r"""[\w$"'`.)\]}]|\$?\w+|["'`].*|[(\[{]""", re.DOTALL)
_WORDS: Final = frozenset({"and", "or", "in", "function"})
_EXPONENT: Final = re.compile(r"\d+[eE]")

_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
    "=": eq,
    "!=": ne,
}
_COMPARISON: Final = re.compile(r"[<>!]=|[<>=]")
# What binds looser than a comparison, or as loose; and the dots of a range.
_LOOSER: Final = frozenset({"and", "or", "in", "function", "?", ":", ":=", "~", ";", ","})
_ROUNDED: Final = re.compile(r"\$floor\s*\((.*)\)", re.DOTALL)

Operation: TypeAlias = tuple[str, str, str]
"""The left side, the operator and the right side."""

OUT_OF_RANGE: Final = object()
"""Stands for the value of an expression in which a number is out of range."""

Run: TypeAlias = Callable[[str], object]
"""Gives the value of a part of an expression, or `OUT_OF_RANGE`."""


def beyond(text: str, run: Run) -> float | bool | None:
    """What an expression in which a number is out of range comes to; None where it fails.

    >>> beyond("$floor(1/0)", lambda part: int(part))
    inf
    """
    rounded = _ROUNDED.fullmatch(text.strip())
    if rounded is not None and _is_whole(rounded[1]):
        return beyond(rounded[1], run)
    if (compared := comparison(text)) is not None:
        left, operator, right = compared
        first, second = _side(left, run), _side(right, run)
        if _is_number(first) and _is_number(second):
            return _COMPARISONS[operator](first, second)
        return None
    if (operation := last_operation(text)) is not None:
        left, operator, right = operation
        return infinity(run(left), operator, run(right))
    return None


def _side(text: str, run: Run) -> object:
    value = run(text)
    return beyond(text, run) if value is OUT_OF_RANGE else value


def _is_whole(text: str) -> bool:
    """Whether no bracket closes in it that opens before it."""
    depth = 0
    for _, token in placed(text):
        depth += (token in _OPENING) - (token in _CLOSING)
        if depth < 0:
            return False
    return depth == 0


def comparison(text: str) -> Operation | None:
    """The comparison that an expression is; None when it is anything else.

    >>> comparison("$a / 0 >= $f(1 < 2)")
    ('$a / 0 ', '>=', ' $f(1 < 2)')
    >>> comparison("$a > 1 and $b") is None
    True
    """
    found: Operation | None = None
    depth, before = 0, ""
    for position, token in placed(text):
        depth -= token in _CLOSING
        if depth == 0:
            if token in _LOOSER or token == before == ".":
                return None
            sign = _COMPARISON.match(text, position)
            if sign is not None and before not in ("<", ">", "!"):
                if found is not None:
                    return None
                found = text[:position], sign[0], text[sign.end() :]
        depth += token in _OPENING
        before = token
    return found


def last_operation(text: str) -> Operation | None:
    """The arithmetic that an expression ends with; None when it is anything else.

    >>> last_operation("$a * 2 / $sum($b - 1)")
    ('$a * 2 ', '/', ' $sum($b - 1)')
    >>> last_operation("1/0 > 5") is None
    True
    """
    operators: list[tuple[int, str]] = []
    depth, before = 0, ""
    for position, token in placed(text):
        if token in _CLOSING:
            depth -= 1
        if depth == 0:
            if token in _SUMS | _PRODUCTS:
                if _ends_operand(before):
                    operators.append((position, token))
                elif token in _PRODUCTS:
                    return None
            elif token in _WORDS or _OPERAND.fullmatch(token) is None or token == before == ".":
                return None
        if token in _OPENING:
            depth += 1
        before = token
    looser = [each for each in operators if each[1] in _SUMS] or operators
    if not looser:
        return None
    position, operator = looser[-1]
    return text[:position], operator, text[position + 1 :]


def _ends_operand(token: str) -> bool:
    """Whether an operator may follow: else a sign does, or a wildcard, or an exponent."""
    return token not in ("", ".", *_OPENING, *_SUMS, *_PRODUCTS) and not _EXPONENT.fullmatch(token)


def infinity(left: object, operator: str, right: object) -> float | None:
    """The infinity that an operation on two finite numbers gives; None when it gives none."""
    if not _is_number(left) or not _is_number(right):
        return None
    result = _calculated(float(left), operator, float(right))
    return result if math.isinf(result) else None


def text_of(infinite: float) -> str:
    """`"Infinity"` or `"-Infinity"`, as the service tells them."""
    return "Infinity" if infinite > 0 else "-Infinity"


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _calculated(left: float, operator: str, right: float) -> float:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    if right:
        return left / right
    return math.copysign(1, left) * math.copysign(math.inf, right) if left else math.nan
