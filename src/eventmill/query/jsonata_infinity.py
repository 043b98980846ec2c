"""Numbers that are out of range: what the service tells where an expression comes to no number.

The library refuses infinities wherever they come up. Where they are the result of the whole
expression, as of `$states.input.total / $states.input.count`, the service gives a string.
Arithmetic on them fails there as well.
"""

import math
import re
from typing import Final, TypeAlias, TypeGuard

from eventmill.query.jsonata_tokens import placed

_TEXTS: Final = {math.inf: "Infinity", -math.inf: "-Infinity"}
_SUMS: Final = frozenset("+-")
_PRODUCTS: Final = frozenset("*/")
_OPENING: Final = frozenset("([{")
_CLOSING: Final = frozenset(")]}")
# What may stand around operands outside of brackets; anything else binds looser, or differently.
_OPERAND: Final = re.compile(r"""[\w$"'`.)\]}]|\$?\w+|["'`].*|[(\[{]""", re.DOTALL)
_WORDS: Final = frozenset({"and", "or", "in", "function"})
_EXPONENT: Final = re.compile(r"\d+[eE]")

Operation: TypeAlias = tuple[str, str, str]
"""The left side, the operator and the right side."""


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


def out_of_range(left: object, operator: str, right: object) -> str | None:
    """`"Infinity"` or `"-Infinity"`, where the operation on two finite numbers gives that."""
    if not _is_number(left) or not _is_number(right):
        return None
    return _TEXTS.get(_calculated(float(left), operator, float(right)))


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
