"""The operators of event patterns, each compiled to a test of one value.

The messages are EventBridge's own, odd ones included, so that a pattern is refused here in the
words its author can look up. Source: EventBridge user guide, "Comparison operators"; where the
guide is silent, the open-source event-ruler.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias, TypeGuard

from eventmill.model import Json

ValueTest: TypeAlias = Callable[[Json], bool]
"""Whether a value will do."""

_IPV4: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_IPV6: Final = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")


class PatternError(ValueError):
    """One mistake in a pattern, in EventBridge's words."""


def exact_test(values: Sequence[Json]) -> ValueTest:
    """The value is one of `values`, which are strings, numbers, booleans and nulls.

    Types count: `true` is not `"true"`, and `1` is not `true`. Numbers are equal by value
    (300 and 3.0e2). A string that is an IP address matches every spelling of the address.
    """
    strings = frozenset(value for value in values if isinstance(value, str))
    numbers = frozenset(value for value in values if is_number(value))
    constants = tuple(value for value in values if value is None or isinstance(value, bool))
    addresses = frozenset(filter(None, map(address_of, strings)))

    def accepts(value: Json) -> bool:
        if isinstance(value, str):
            return value in strings or (bool(addresses) and address_of(value) in addresses)
        if value is None or isinstance(value, bool):
            return value in constants
        return value in numbers

    return accepts


def is_number(value: Json) -> TypeGuard[int | float]:
    """Whether the JSON value is a number; Python counts booleans as such, JSON does not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def operator_test(expression: dict[str, Json]) -> ValueTest:
    """Compile a match expression such as `{"prefix": "a"}`, except `exists: false`.

    Raises:
        PatternError: The operator is unknown, or its operand is wrong.
    """
    if not expression:
        raise PatternError("Match expression name not found")
    name, operand = next(iter(expression.items()))
    compile_operand = _OPERATORS.get(name)
    if compile_operand is None:
        raise PatternError(f"Unrecognized match type {name}")
    test = compile_operand(operand)
    if len(expression) > 1:
        _refuse_second_key(name)
    return test


def _refuse_second_key(operator: str) -> None:
    if operator in ("numeric", "anything-but"):
        raise PatternError("Too many elements in numeric expression")
    raise PatternError("Only one key allowed in match expression")


def _exactly(operand: Json) -> ValueTest:
    if not isinstance(operand, str):
        raise PatternError("exact match pattern must be a string")
    return lambda value: isinstance(value, str) and value == operand


def _equals_ignore_case(operand: Json) -> ValueTest:
    if not isinstance(operand, str):
        raise PatternError("equals-ignore-case match pattern must be a string")
    either_case = re.compile(_either_case(operand))
    return lambda value: isinstance(value, str) and either_case.fullmatch(value) is not None


def _prefix(operand: Json) -> ValueTest:
    if isinstance(operand, dict):
        either_case = re.compile(_either_case(ignoring_case("prefix", operand)))
        return lambda value: isinstance(value, str) and either_case.match(value) is not None
    if not isinstance(operand, str):
        raise PatternError("prefix match pattern must be a string")
    return lambda value: isinstance(value, str) and value.startswith(operand)


def _suffix(operand: Json) -> ValueTest:
    if isinstance(operand, dict):
        ending = ignoring_case("suffix", operand)
        either_case = re.compile(_either_case(ending) + r"\Z")
        # No character grows beyond three when its case changes.
        longest = 3 * len(ending)
        return lambda value: (
            isinstance(value, str)
            and either_case.search(value, max(0, len(value) - longest)) is not None
        )
    if not isinstance(operand, str):
        raise PatternError("suffix match pattern must be a string")
    return lambda value: isinstance(value, str) and value.endswith(operand)


def ignoring_case(operator: str, operand: dict[str, Json]) -> str:
    """The text in the operand `{"equals-ignore-case": text}` of a prefix or suffix.

    Raises:
        PatternError: It is something else.
    """
    if not operand:
        raise PatternError(f"{operator.capitalize()} expression name not found")
    name, text = next(iter(operand.items()))
    if name != "equals-ignore-case":
        raise PatternError(f"Unsupported {operator} pattern: {name}")
    if not isinstance(text, str):
        raise PatternError("equals-ignore-case match pattern must be a string")
    if len(operand) > 1:
        raise PatternError("Only one key allowed in match expression")
    return text


def _either_case(text: str) -> str:
    """A regular expression for `text` with each character in its lower or its upper case.

    This is narrower than case folding: EventBridge matches "ß" with "SS" but not with "ss", and
    leaves characters outside the Basic Multilingual Plane as they are.
    """
    parts = []
    for character in text:
        cases = {character.lower(), character.upper()} if character <= "\uffff" else {character}
        parts.append(f"(?:{'|'.join(re.escape(case) for case in sorted(cases))})")
    return "".join(parts)


def _wildcard(operand: Json) -> ValueTest:
    if not isinstance(operand, str):
        raise PatternError("wildcard match pattern must be a string")
    first, *others = wildcard_pieces(operand)
    if not others:
        return lambda value: isinstance(value, str) and value == first
    *middle, last = others

    def accepts(value: Json) -> bool:
        if not isinstance(value, str):
            return False
        end = len(value) - len(last)
        if end < len(first) or not value.startswith(first) or not value.endswith(last):
            return False
        # Taking each piece where it comes first leaves the most room for the others, so there is
        # never a need to go back.
        position = len(first)
        for piece in middle:
            position = value.find(piece, position, end)
            if position < 0:
                return False
            position += len(piece)
        return True

    return accepts


def wildcard_pieces(text: str) -> list[str]:
    """The literal pieces between the `*` of a wildcard; `\\*` and `\\\\` are literal.

    Raises:
        PatternError: `**`, or any other use of `\\`. EventBridge counts positions in bytes of
            UTF-8 from the opening quote.
    """
    pieces = [""]
    index = 0
    while index < len(text):
        character, following = text[index], text[index + 1 : index + 2]
        position = len(text[:index].encode()) + 1
        if character == "*":
            if following == "*":
                raise PatternError(f"Consecutive wildcard characters at pos {position}")
            pieces.append("")
        elif character == "\\":
            if following not in ("*", "\\"):
                raise PatternError(f"Invalid escape character at pos {position}")
            pieces[-1] += following
            index += 1
        else:
            pieces[-1] += character
        index += 1
    return pieces


def _exists(operand: Json) -> ValueTest:
    if not isinstance(operand, bool):
        raise PatternError("exists match pattern must be either true or false.")
    return lambda _: operand


def _cidr(operand: Json) -> ValueTest:
    if not isinstance(operand, str):
        # EventBridge names the wrong operator here.
        raise PatternError("prefix match pattern must be a string")
    pieces = operand.split("/")
    if len(pieces) != 2:
        raise PatternError("Malformed CIDR, one '/' required")
    if re.fullmatch(r"[+-]?[0-9]{1,9}", pieces[1]) is None:
        raise PatternError("Malformed CIDR, mask bits must be an integer")
    bits = int(pieces[1])
    if bits < 0:
        raise PatternError("Malformed CIDR, mask bits must not be negative")
    base = address_of(pieces[0])
    if base is None:
        raise PatternError(f"Nonstandard IP address: {pieces[0]}")
    if bits >= base.max_prefixlen:
        raise PatternError(f"IPv{base.version} mask bits must be < {base.max_prefixlen}")
    shift = base.max_prefixlen - bits
    version, network = base.version, int(base) >> shift

    def accepts(value: Json) -> bool:
        address = address_of(value) if isinstance(value, str) else None
        return (
            address is not None and address.version == version and int(address) >> shift == network
        )

    return accepts


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address that `text` is, in any spelling that EventBridge understands."""
    if _IPV4.fullmatch(text) is not None:
        octets = [int(octet) for octet in text.split(".") if len(octet) <= 9]
        if len(octets) != 4 or max(octets) > 255:
            return None
        return IPv4Address(bytes(octets))
    if _IPV6.fullmatch(text) is None:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


_UPPER_BOUNDS: Final = ("<", "<=")
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _numeric(operand: Json) -> ValueTest:
    if not isinstance(operand, list):
        raise PatternError("Value of numeric must be an array.")
    terms = list(operand)
    operator = terms.pop(0) if terms else None
    if not isinstance(operator, str):
        raise PatternError(f"Invalid member in numeric match: {_as_printed(operator, ']')}")
    if operator not in _COMPARISONS:
        raise PatternError(f"Unrecognized numeric range operator: {operator}")
    bound = _bound("equals" if operator == "=" else operator, terms)
    compare = _COMPARISONS[operator]
    if not terms:
        return lambda value: is_comparable(value) and compare(value, bound)
    if operator not in (">", ">="):
        raise PatternError("Too many elements in numeric expression")
    return _range(compare, bound, terms)


def _range(compare: Callable[[float, float], bool], bottom: float, terms: list[Json]) -> ValueTest:
    operator = terms.pop(0)
    if not isinstance(operator, str):
        raise PatternError(f"Bad value in numeric range: {_as_printed(operator, '')}")
    if operator not in _UPPER_BOUNDS:
        raise PatternError(f"Bad numeric range operator: {operator}")
    top = _bound(operator, terms)
    if terms:
        raise PatternError("Too many terms in numeric range expression")
    below = _COMPARISONS[operator]
    if bottom >= top:
        raise PatternError("Bottom must be less than top")
    return lambda value: is_comparable(value) and compare(value, bottom) and below(value, top)


def _bound(operator: str, terms: list[Json]) -> float:
    bound = terms.pop(0) if terms else None
    if not isinstance(bound, int | float) or isinstance(bound, bool):
        raise PatternError(f"Value of {operator} must be numeric")
    if not is_comparable(bound):
        raise PatternError(f"Cannot compare number : {bound}")
    return bound


def is_comparable(value: Json) -> TypeGuard[int | float]:
    """Whether the value is a number that an IEEE 754 double holds exactly; only those compare."""
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor NaN
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _as_printed(value: Json, nothing: str) -> str:
    """The token at which EventBridge stumbles."""
    if value is None:
        return nothing or "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{"
    return "[" if isinstance(value, list) else str(value)


_ANYTHING_BUT_MESSAGES: Final = {
    "equals-ignore-case": "Inside anything-but/equals-ignore-case list, "
    "number|start|null|boolean is not supported.",
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "wildcard": "wildcard match pattern must be a string",
}


def _anything_but(operand: Json) -> ValueTest:
    if isinstance(operand, dict):
        return _anything_but_operator(operand)
    if isinstance(operand, str) or is_number(operand):
        operand = [operand]
    if not isinstance(operand, list):
        raise PatternError("Value of anything-but must be an array or single string/number value.")
    for value in operand:
        if not isinstance(value, str) and not is_number(value):
            raise PatternError("Inside anything but list, start|null|boolean is not supported.")
        if is_number(value) and not is_comparable(value):
            raise PatternError(f"Cannot compare number : {value}")
    if len({isinstance(value, str) for value in operand}) != 1:
        raise PatternError(
            "Inside anything but list, either all values are number or string, "
            "mixed type is not supported"
        )
    refused = frozenset(value for value in operand if isinstance(value, str) or is_number(value))
    # A boolean equals 0 or 1 in Python, but it is not a number of JSON.
    return lambda value: isinstance(value, bool) or value not in refused


def _anything_but_operator(operand: dict[str, Json]) -> ValueTest:
    if not operand:
        raise PatternError("Anything-But expression name not found")
    name, refused = next(iter(operand.items()))
    message = _ANYTHING_BUT_MESSAGES.get(name)
    if message is None:
        raise PatternError(f"Unsupported anything-but pattern: {name}")
    if refused is None or isinstance(refused, dict | bool):
        raise PatternError("Value of anything-but must be an array or single string/number value.")
    texts = refused if isinstance(refused, list) else [refused]
    for text in texts:
        if not isinstance(text, str):
            raise PatternError(message)
        if text == "" and name in ("prefix", "suffix"):
            raise PatternError("Null prefix/suffix not allowed")
    if not texts:
        raise PatternError("Empty arrays are not allowed")
    tests = tuple(map(_OPERATORS[name], texts))
    if len(operand) > 1:
        raise PatternError("Too many elements in numeric expression")
    return lambda value: not any(test(value) for test in tests)


_OPERATORS: Final[dict[str, Callable[[Json], ValueTest]]] = {
    "exactly": _exactly,
    "equals-ignore-case": _equals_ignore_case,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
    "exists": _exists,
    "cidr": _cidr,
    "numeric": _numeric,
    "anything-but": _anything_but,
}

# Names that a pattern may not use as fields inside `$or`: operators, present and reserved.
RESERVED_FIELD_NAMES: Final = frozenset(
    {
        *_OPERATORS,
        *_COMPARISONS,
        "regex",
        "not-wildcard",
        "not-equals-ignore-case",
        "date-after",
        "date-on-or-after",
        "date-before",
        "date-on-or-before",
        "in-date-range",
        "ip-address-in-range",
        "ip-address-not-in-range",
    }
)
