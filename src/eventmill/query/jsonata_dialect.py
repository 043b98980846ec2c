"""The functions that Step Functions adds to JSONata, and the one that it takes away.

Source: "JSONata functions provided by Step Functions" of the developer guide; what happens at the
edges is as measured on the service. Undefined arguments and results are None.
"""

from collections.abc import Callable, Mapping
from hashlib import new
from math import trunc
from typing import Any, Final

from eventmill.model import Json, decode_json
from eventmill.query.environment import Environment
from eventmill.query.intrinsic_functions import random_uuid
from eventmill.query.java import Random


class DialectError(Exception):
    """A function was called as it may not be; `code` is JSONata's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


Function = Callable[..., Any]

_ALGORITHMS: Final = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
}


def partition(array: Any = None, size: Any = None) -> Json:
    """Cut an array into chunks; without a size it is one chunk."""
    if not isinstance(array, list) or not array:
        return None
    if size is None:
        return [array]
    if size < 0 and trunc(size) == 0 and size != 0:
        return None
    length = trunc(size)
    if length < 0:
        raise DialectError("D3137", "Second argument must be zero or greater")
    if length == 0:
        return None
    return [array[start : start + length] for start in range(0, len(array), length)]


def range_(first: Any = None, last: Any = None, step: Any = None) -> Json:
    """Numbers from `first` to `last`, both included; arguments are cut towards zero."""
    if first is None or last is None or step is None:
        return None
    start, end, stride = trunc(first), trunc(last), trunc(step)
    if stride == 0:
        return None
    numbers: list[Json] = list(range(start, end + (1 if stride > 0 else -1), stride))
    if not numbers:
        return None
    return numbers[0] if len(numbers) == 1 else numbers


def hash_(text: Any = None, algorithm: Any = None) -> Json:
    """The digest of a text as lower-case hexadecimal digits."""
    if text is None or algorithm is None:
        return None
    if algorithm not in _ALGORITHMS:
        raise DialectError(
            "D3137",
            f"Hash algorithm '{algorithm}' must be one of SHA-1, SHA-384, SHA-256, SHA-512, MD5",
        )
    return new(_ALGORITHMS[algorithm], str(text).encode(), usedforsecurity=False).hexdigest()


def parse(text: Any = None) -> Json:
    """The value of a JSON text."""
    if text is None:
        return None
    try:
        return decode_json(str(text))
    except ValueError:
        raise DialectError("D3137", "Invalid JSON") from None


_FIXED: Final[Mapping[str, Function | None]] = {
    "partition": partition,
    "range": range_,
    "hash": hash_,
    "parse": parse,
    # Step Functions offers `$parse` in its place.
    "eval": None,
}

NAMES: Final = frozenset({*_FIXED, "random", "uuid"})
REPLACED: Final = ("random", "eval")  # JSONata has functions of these names, too


def functions(used: frozenset[str], environment: Environment) -> dict[str, Function | None]:
    """Those of the functions that an expression uses, with the environment's random numbers."""
    given = {name: _FIXED[name] for name in used if name in _FIXED}
    if "random" in used:
        given["random"] = lambda seed=None: _random(seed, environment)
    if "uuid" in used:
        given["uuid"] = lambda: random_uuid(environment.draw)
    return given


def _random(seed: Any, environment: Environment) -> float:
    if seed is None:
        return environment.draw(2**53) / 2**53
    return Random(trunc(seed)).next_double()
