"""What of Java's library shows through in AWS's answers: order, texts, rounding, random numbers.

Sources: the documentation of java.lang.String.hashCode, java.util.HashMap, java.util.Random,
java.lang.Math.round, java.lang.Double.toString and java.util.regex.Pattern.
"""

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from eventmill.model import Json

_LCG_MULTIPLIER: Final = 0x5DEECE66D
_LCG_MASK: Final = (1 << 48) - 1

_REGEX_FLAGS: Final = {
    "i": re.IGNORECASE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "x": re.VERBOSE,
    "u": re.IGNORECASE,
    "U": re.UNICODE,
    "d": re.NOFLAG,
}


def hash_code(text: str) -> int:
    """`String.hashCode`, as 32 bits without sign.

    >>> hash_code("item")
    3242771
    """
    units = text.encode("utf-16-be", "surrogatepass")
    code = 0
    for high, low in zip(units[::2], units[1::2], strict=True):
        code = (31 * code + (high << 8 | low)) & 0xFFFFFFFF
    return code


def hash_map_order(names: Sequence[str]) -> list[str]:
    """The names in the order in which a `HashMap` that they were put into gives them back.

    >>> hash_map_order(["index", "item"])
    ['item', 'index']
    """
    buckets = 16
    while len(names) > buckets * 3 // 4:
        buckets *= 2

    def bucket(name: str) -> int:
        code = hash_code(name)
        return (code ^ code >> 16) & buckets - 1

    return sorted(names, key=bucket)


def round_half_up(number: float) -> int:
    """`Math.round`: to the nearest integer, halves up.

    >>> [round_half_up(number) for number in (-1.5, -0.5, 0.5, 2.5)]
    [-1, 0, 1, 3]
    """
    if isinstance(number, int):
        return number
    floor = math.floor(number)
    return floor + 1 if number - floor >= 0.5 else floor


def number_text(number: float) -> str:
    """`Double.toString`, and `Long.toString` for integers.

    >>> [number_text(number) for number in (7, 1.5, 1e7, 0.0001)]
    ['7', '1.5', '1.0E7', '1.0E-4']
    """
    if isinstance(number, int) or number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    if not isinstance(exponent, int):
        return "NaN" if math.isnan(number) else "-Infinity" if sign else "Infinity"
    text = "".join(map(str, digits)).rstrip("0") or "0"
    power = exponent + len(digits) - 1
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{power}"


def value_text(value: Json) -> str:
    """`Object.toString` of a JSON value as Java's maps and lists write it.

    >>> value_text({"Arg1": 1, "Arg2": [None, True]})
    '{Arg1=1, Arg2=[null, true]}'
    """
    written: list[str] = []
    # A list of work instead of recursion, for values may be nested deeply.
    pending: list[tuple[bool, Json]] = [(False, value)]
    while pending:
        is_text, item = pending.pop()
        if is_text and isinstance(item, str):
            written.append(item)
        elif isinstance(item, dict):
            pending.extend(reversed(_bracketed("{", item.items(), "}")))
        elif isinstance(item, list):
            pending.extend(reversed(_bracketed("[", (("", each) for each in item), "]")))
        else:
            written.append(_scalar_text(item))
    return "".join(written)


def _bracketed(
    opening: str, items: Iterable[tuple[str, Json]], closing: str
) -> list[tuple[bool, Json]]:
    parts: list[tuple[bool, Json]] = [(True, opening)]
    for number, (name, item) in enumerate(items):
        separator = ", " if number else ""
        parts.append((True, f"{separator}{name}=" if opening == "{" else separator))
        parts.append((False, item))
    parts.append((True, closing))
    return parts


def _scalar_text(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    assert isinstance(value, str), "lists and objects are written by parts"
    return value


def class_name(value: Json) -> str:
    """The class that holds a JSON value in Java, as Jayway's messages name it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "java.lang.Boolean"
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return "java.lang.Integer"
        return "java.lang.Long" if -(2**63) <= value < 2**63 else "java.math.BigInteger"
    if isinstance(value, float):
        return "java.lang.Double"
    if isinstance(value, str):
        return "java.lang.String"
    return "java.util.ArrayList" if isinstance(value, list) else "java.util.LinkedHashMap"


class Random:
    """`java.util.Random`: the same numbers for the same seed."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = (seed ^ _LCG_MULTIPLIER) & _LCG_MASK

    def _next(self, bits: int) -> int:
        self._state = (self._state * _LCG_MULTIPLIER + 0xB) & _LCG_MASK
        return self._state >> (48 - bits)

    def next_int(self, bound: int) -> int:
        """`nextInt(bound)`, for bounds from 1 to 2³¹ - 1."""
        drawn = self._next(31)
        if bound & (bound - 1) == 0:
            return bound * drawn >> 31
        while drawn - drawn % bound + bound - 1 >= 1 << 31:
            drawn = self._next(31)
        return drawn % bound

    def next_double(self) -> float:
        """`nextDouble()`.

        >>> Random(42).next_double()
        0.7275636800328681
        """
        high = self._next(26)
        return float((high << 27) + self._next(27)) * 2.0**-53


def compile_java_pattern(pattern: str, flags: str) -> re.Pattern[str]:
    """Compile a regular expression with Java's flags.

    The syntax is Python's, which has what such filters use; a set inside a set is taken literally.

    Raises:
        ValueError: It is no regular expression, or a flag is unknown.
    """
    combined = re.NOFLAG
    for flag in flags:
        if flag not in _REGEX_FLAGS:
            raise ValueError(f"there is no flag {flag!r}")
        combined |= _REGEX_FLAGS[flag]
    try:
        return re.compile(_without_nested_sets(pattern), combined)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _without_nested_sets(pattern: str) -> str:
    """Escape what Python reserves inside `[…]` for set operations and warns about."""
    written: list[str] = []
    opened_at: int | None = None
    escaped = False
    for position, character in enumerate(pattern):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif opened_at is None:
            opened_at = position if character == "[" else None
        elif character == "]" and pattern[opened_at + 1 : position].lstrip("^"):
            opened_at = None
        elif character == "[" or (character in "&|~-" and pattern[position - 1] == character):
            written.append("\\")
        written.append(character)
    return "".join(written)
