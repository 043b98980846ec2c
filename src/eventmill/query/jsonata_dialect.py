"""The functions that Step Functions adds to JSONata, those that it limits, and the one it lacks.

Source: "JSONata functions provided by Step Functions" of the developer guide; what happens at the
edges is as measured on the service. An argument that is undefined comes as None, and a result of
None is undefined; the signatures keep null out.
"""

import itertools
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from hashlib import new
from math import isfinite, trunc
from typing import Any, Final
from urllib.parse import unquote_plus

from eventmill.model import Json, encode_json
from eventmill.query.environment import Draw
from eventmill.query.intrinsic_functions import ALGORITHMS, random_uuid
from eventmill.query.java import Random
from eventmill.record import record

MEMORY: Final = "Expression evaluation memory limit exceeded: Check for excessive memory usage"

RANGE_ITEMS_MAX: Final = 360_145
PADDING_CHARACTERS_MAX: Final = 262_144


class DialectError(Exception):
    """A function fails; `code` is JSONata's, or None for errors that are told without one."""

    def __init__(self, code: str | None, message: str) -> None:
        super().__init__(message)
        self.code = code


class InternalError(DialectError):
    """A function fails in a way that the service gives no reason for."""

    def __init__(self) -> None:
        super().__init__(None, "internal error")


Function = Callable[..., Any]


@record
class _Signed:
    """A function and its JSONata signature, which is checked before each call."""

    signature: str
    function: Function


def partition(array: list[Json] | None = None, size: float | None = None) -> Json:
    """Cut an array into chunks; without a size it is one chunk."""
    if not array:
        return None
    if size is None:
        return [array]
    length = trunc(size)
    if length < 0:
        raise DialectError("D3137", "Second argument must be zero or greater")
    if length == 0:
        return None
    return [array[start : start + length] for start in range(0, len(array), length)]


def range_(
    first: float | None = None, last: float | None = None, step: float | None = None
) -> Json:
    """Numbers from `first` to `last`, both included; arguments are cut towards zero."""
    if first is None or last is None or step is None:
        return None
    start, end, stride = trunc(first), trunc(last), trunc(step)
    if stride == 0:
        return None
    numbers = range(start, end + (1 if stride > 0 else -1), stride)
    # The length of a range is told by `len` only up to the size of an index.
    if (end - start) // stride >= RANGE_ITEMS_MAX:
        raise DialectError(None, MEMORY)
    if not numbers:
        return None
    return numbers[0] if len(numbers) == 1 else list(numbers)


def hash_(text: str | None = None, algorithm: str | None = None) -> Json:
    """The digest of a text as lower-case hexadecimal digits."""
    if text is None or algorithm is None:
        return None
    if algorithm not in ALGORITHMS:
        raise DialectError(
            "D3137",
            f"Hash algorithm '{algorithm}' must be one of SHA-1, SHA-384, SHA-256, SHA-512, MD5",
        )
    return new(ALGORITHMS[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def parse(text: str | None = None) -> Json:
    """The value of a JSON text, in which strings may also stand in single quotes."""
    if text is None:
        return None
    try:
        # Not the model's decoder, which takes a key that is given twice.
        value: Json = _decode(_STRING.sub(_double_quoted, text))
    except (ValueError, RecursionError):
        raise DialectError("D3137", "Invalid JSON") from None
    return value


_STRING: Final = re.compile(r""""(?:[^"\\]|\\.)*"|'((?:[^'\\]|\\.)*)'""", re.DOTALL)
_ESCAPED_OR_QUOTE: Final = re.compile(r"""\\'|"|\\.""", re.DOTALL)


def _double_quoted(string: re.Match[str]) -> str:
    if string[1] is None:
        return string[0]
    inner = _ESCAPED_OR_QUOTE.sub(
        lambda found: {"\\'": "'", '"': '\\"'}.get(found[0], found[0]), string[1]
    )
    return f'"{inner}"'


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key is given twice")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError("the number is out of range")
    return number


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


_decode: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant
).decode


def pad(text: str | None, width: float, padding: str | None = None) -> Json:
    """`$pad` of JSONata, within what the service allows to be added."""
    if text is None:
        return None
    missing = abs(trunc(width)) - len(text)
    if missing <= 0:
        return text
    if missing > PADDING_CHARACTERS_MAX:
        raise DialectError(None, MEMORY)
    added = "".join(itertools.islice(itertools.cycle(padding or " "), missing))
    return text + added if width > 0 else added + text


# What java.util.Base64's basic decoder takes: padding may be missing, but not be wrong.
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?")


def base64decode(text: str | None = None) -> Json:
    """`$base64decode` of JSONata, to a text in UTF-8; broken sequences become U+FFFD."""
    if text is None:
        return None
    if _BASE64.fullmatch(text) is None:
        raise InternalError
    return b64decode(text + "=" * (-len(text) % 4)).decode(errors="replace")


def base64encode(text: str | None = None) -> Json:
    """`$base64encode` of JSONata, from a text in UTF-8."""
    return None if text is None else b64encode(text.encode(errors="replace")).decode()


_MALFORMED: Final = re.compile("%(?![0-9A-Fa-f]{2})")


def decode_url_component(text: str | None = None) -> Json:
    """`$decodeUrlComponent` of JSONata as Java decodes: a plus is a space."""
    if text is None:
        return None
    if _MALFORMED.search(text):
        shown = encode_json(text).decode()
        raise DialectError("D3140", f"Malformed URL passed to $decodeUrlComponent(): {shown}")
    return unquote_plus(text, errors="replace")


_SIGNED: Final[Mapping[str, _Signed]] = {
    "partition": _Signed(signature="<a?n?:a>", function=partition),
    "range": _Signed(signature="<n?n?n?:a>", function=range_),
    "hash": _Signed(signature="<s?s?:s>", function=hash_),
    "parse": _Signed(signature="<s?:x>", function=parse),
    "base64decode": _Signed(signature="<s-:s>", function=base64decode),
    "base64encode": _Signed(signature="<s-:s>", function=base64encode),
    "decodeUrlComponent": _Signed(signature="<s-:s>", function=decode_url_component),
    "pad": _Signed(signature="<s-ns?:s>", function=pad),
}
_BOUND: Final = ("eval", "random", "uuid")

NAMES: Final = frozenset({*_SIGNED, *_BOUND})
DRAWING: Final = frozenset({"random", "shuffle", "uuid"})
"""The functions that draw random numbers."""


def signed(used: frozenset[str]) -> list[tuple[str, Function, str]]:
    """Those of the functions that need nothing but their arguments: name, function, signature."""
    found = ((name, _SIGNED[name]) for name in used.intersection(_SIGNED))
    return [(name, each.function, each.signature) for name, each in found]


def bindings(used: frozenset[str], draw: Draw) -> dict[str, Any]:
    """Those of the functions that draw, and `$eval`, which the service does not have."""
    given: dict[str, Any] = {}
    if "eval" in used:
        given["eval"] = None
    if "random" in used:
        given["random"] = lambda *values: _random(values, draw)
    if "uuid" in used:
        given["uuid"] = lambda *values: _uuid(values, draw)
    return given


def _random(values: tuple[Any, ...], draw: Draw) -> float:
    _check_count("random", values, 1)
    seed = values[0] if values else None
    if seed is None:
        return draw(2**53) / 2**53
    if isinstance(seed, bool) or not isinstance(seed, int | float):
        raise _mismatch("random", 1)
    return Random(trunc(seed)).next_double()


def _uuid(values: tuple[Any, ...], draw: Draw) -> str:
    _check_count("uuid", values, 0)
    return random_uuid(draw)


def _check_count(name: str, values: tuple[Any, ...], count_max: int) -> None:
    if len(values) > count_max:
        raise _mismatch(name, count_max + 1)


def _mismatch(name: str, argument: int) -> DialectError:
    return DialectError(
        "T0410", f'Argument {argument} of function "{name}" does not match function signature'
    )
