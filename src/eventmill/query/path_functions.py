"""The functions at the end of a JSONPath: `.length()`, `.sum()` and so on, as Jayway has them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from eventmill.model import Json
from eventmill.query.java import value_text

PathFunction: TypeAlias = Callable[[Json, Sequence[Json]], Json]


class NoResult(Exception):
    """The function has no value for this data; the text says why."""


def _numbers(value: Json, arguments: Sequence[Json]) -> list[float]:
    found: list[float] = []
    for each in (value, *arguments):
        members = each if isinstance(each, list) else [each]
        found += [
            float(member)
            for member in members
            if isinstance(member, int | float)
            and not isinstance(member, bool)
            and abs(member) < 1e308
        ]
    if not found:
        raise NoResult("Aggregation function attempted to calculate value using empty array")
    return found


def _average(value: Json, arguments: Sequence[Json]) -> Json:
    numbers = _numbers(value, arguments)
    return math.fsum(each / len(numbers) for each in numbers)


def _sum(value: Json, arguments: Sequence[Json]) -> Json:
    total = sum(_numbers(value, arguments))
    if math.isinf(total):
        raise NoResult("The sum is out of range")
    return total


def _deviation(value: Json, arguments: Sequence[Json]) -> Json:
    numbers = _numbers(value, arguments)
    mean = math.fsum(each / len(numbers) for each in numbers)
    spread = math.hypot(*(each - mean for each in numbers)) / math.sqrt(len(numbers))
    if math.isinf(spread):
        raise NoResult("The deviation is out of range")
    return spread


def _length(value: Json, arguments: Sequence[Json]) -> Json:
    measured = arguments[0] if arguments else value
    if isinstance(measured, dict | list | str):
        return len(measured)
    raise NoResult("Only an array, an object or a text has a length")


def _keys(value: Json, arguments: Sequence[Json]) -> Json:
    if isinstance(value, dict):
        return list(value)
    raise NoResult("Only an object has keys")


def _concat(value: Json, arguments: Sequence[Json]) -> Json:
    own = value if isinstance(value, list) else []
    texts = [each for each in own if isinstance(each, str)]
    for argument in arguments:
        members = argument if isinstance(argument, list) else [argument]
        texts += [value_text(each) for each in members]
    return "".join(texts)


def _append(value: Json, arguments: Sequence[Json]) -> Json:
    if isinstance(value, list):
        return [*value, *arguments]
    raise NoResult("Only to an array can be appended")


def _item(value: Json, index: int) -> Json:
    if isinstance(value, list) and -len(value) <= index < len(value):
        return value[index]
    raise NoResult(f"There is no item {index}")


def _index(value: Json, arguments: Sequence[Json]) -> Json:
    index = arguments[0] if arguments else None
    if isinstance(index, int) and not isinstance(index, bool):
        return _item(value, index)
    raise NoResult("An index is an integer")


PATH_FUNCTIONS: Final[Mapping[str, PathFunction]] = {
    "length": _length,
    "size": _length,
    "keys": _keys,
    "concat": _concat,
    "append": _append,
    "min": lambda value, arguments: min(_numbers(value, arguments)),
    "max": lambda value, arguments: max(_numbers(value, arguments)),
    "avg": _average,
    "sum": _sum,
    "stddev": _deviation,
    "first": lambda value, arguments: _item(value, 0),
    "last": lambda value, arguments: _item(value, -1),
    "index": _index,
}
