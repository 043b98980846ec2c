"""What a value must have to pass a test: by it an index finds the patterns that may hold.

An anchor is necessary, not sufficient: each value that passes a leaf of a pattern has one of the
leaf's anchors. Most are keys in a dictionary; ranges of numbers are not.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from math import inf
from typing import Final, TypeAlias

from eventmill.model import Json
from eventmill.patterns.operators import address_of, ignoring_case, is_number, wildcard_pieces
from eventmill.record import record

Shape: TypeAlias = tuple[str, object]
"""How a key is made of a value: by which rule, and with which parameter."""


@record
class Key:
    """The value has this key of this shape."""

    shape: Shape
    key: object


@record
class Range:
    """The value is a number from `low` to `high`, both included."""

    low: float
    high: float


Anchor: TypeAlias = Key | Range


def anchors_of(values: Sequence[Json]) -> tuple[Anchor, ...] | None:
    """The anchors of a leaf without mistakes; None when a value needs none to pass it."""
    anchors: list[Anchor] = []
    for value in values:
        found = _of_operator(value) if isinstance(value, dict) else _of_literal(value)
        if found is None:
            return None
        anchors += found
    return tuple(anchors)


def key_of(value: Json, shape: Shape) -> object:
    """The key of this shape that a value has, or None."""
    rule, parameter = shape
    return _RULES[rule](value, parameter)


def _of_literal(value: Json) -> list[Anchor]:
    anchors: list[Anchor] = [Key(shape=("is", None), key=_exact(value, None))]
    address = address_of(value) if isinstance(value, str) else None
    if address is not None:
        anchors.append(_network(address, 0))
    return anchors


def _network(address: IPv4Address | IPv6Address, shift: int) -> Key:
    return Key(shape=("network", (address.version, shift)), key=int(address) >> shift)


def _of_operator(expression: dict[str, Json]) -> list[Anchor] | None:
    ((operator, operand),) = expression.items()
    make = _ANCHORS.get(operator)
    return None if make is None else make(operand)


def _prefix(operand: Json) -> list[Anchor] | None:
    if isinstance(operand, dict):
        return _text("folded-start", folded(ignoring_case("prefix", operand)))
    assert isinstance(operand, str)
    return _text("start", operand)


def _suffix(operand: Json) -> list[Anchor] | None:
    if isinstance(operand, dict):
        return _text("folded-end", folded(ignoring_case("suffix", operand)))
    assert isinstance(operand, str)
    return _text("end", operand)


def _text(rule: str, text: str) -> list[Anchor] | None:
    return [Key(shape=(rule, len(text)), key=text)] if text else None


def _wildcard(operand: Json) -> list[Anchor] | None:
    assert isinstance(operand, str)
    first, *others = wildcard_pieces(operand)
    if not others:
        return _of_literal(first)
    # The longer piece tells more.
    return _text("end", others[-1]) if len(others[-1]) > len(first) else _text("start", first)


def _equals_ignore_case(operand: Json) -> list[Anchor]:
    assert isinstance(operand, str)
    return [Key(shape=("folded", None), key=folded(operand))]


def _cidr(operand: Json) -> list[Anchor]:
    assert isinstance(operand, str)
    base, bits = operand.split("/")
    address = address_of(base)
    assert address is not None, "the pattern has no mistakes"
    return [_network(address, address.max_prefixlen - int(bits))]


def _numeric(operand: Json) -> list[Anchor]:
    assert isinstance(operand, list)
    low, high = -inf, inf
    for operator, bound in zip(operand[::2], operand[1::2], strict=True):
        assert is_number(bound)
        if operator in ("=", ">", ">="):
            low = bound
        if operator in ("=", "<", "<="):
            high = bound
    return [Range(low=low, high=high)]


_ANCHORS: Final[dict[str, Callable[[Json], list[Anchor] | None]]] = {
    "exactly": lambda operand: _of_literal(operand)[:1],
    "equals-ignore-case": _equals_ignore_case,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "numeric": _numeric,
}


def folded(text: str) -> str:
    """The same for all texts that `equals-ignore-case` takes for equal, and for some more."""
    return text.upper().casefold()


def _exact(value: Json, _: object) -> object:
    # Python takes true for 1, and has None for nothing.
    return ("constant", value) if value is None or isinstance(value, bool) else value


def _of_text(key: Callable[[str, int], str]) -> Callable[[Json, object], object]:
    def rule(value: Json, length: object) -> object:
        assert isinstance(length, int)
        return key(value, length) if isinstance(value, str) else None

    return rule


def _in_network(value: Json, network: object) -> object:
    assert isinstance(network, tuple)
    version, shift = network
    address = address_of(value) if isinstance(value, str) else None
    return int(address) >> shift if address is not None and address.version == version else None


_RULES: Final[dict[str, Callable[[Json, object], object]]] = {
    "is": _exact,
    "folded": lambda value, _: folded(value) if isinstance(value, str) else None,
    "start": _of_text(lambda text, length: text[:length]),
    "end": _of_text(lambda text, length: text[-length:]),
    "folded-start": _of_text(lambda text, length: folded(text)[:length]),
    "folded-end": _of_text(lambda text, length: folded(text)[-length:]),
    "network": _in_network,
}
