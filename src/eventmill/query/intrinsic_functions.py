"""The eighteen intrinsic functions of the Amazon States Language, as functions of values.

Source: "Intrinsic functions for JSONPath states in Step Functions" in the developer guide.
Parsing them is the business of `intrinsics`, and so is wording their failures.
"""

import base64
import binascii
import hashlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from eventmill.model import Json, decode_json, encode_json
from eventmill.query.environment import Draw
from eventmill.query.equality import contains, same
from eventmill.query.java import Random, hash_map_order, round_half_up, value_text
from eventmill.record import record

RANGE_ITEMS_MAX: Final = 1_000
TEXT_CHARACTERS_MAX: Final = 10_000
INTEGER_MIN: Final = -(2**31)
INTEGER_MAX: Final = 2**31 - 1

ALGORITHMS: Final[Mapping[str, str]] = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
}


class InvalidArguments(Exception):
    """The function cannot take these values."""


Evaluate: TypeAlias = Callable[[Sequence[Json], Draw], Json]


@record
class IntrinsicFunction:
    """What a name calls, with the least and the largest number of arguments (None: any)."""

    evaluate: Evaluate
    arguments_min: int
    arguments_max: int | None


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise InvalidArguments
    return value


def _limited_text(value: Json) -> str:
    text = _text(value)
    if len(text) > TEXT_CHARACTERS_MAX:
        raise InvalidArguments
    return text


def _array(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise InvalidArguments
    return value


def _integer(value: Json) -> int:
    """The nearest integer of a number, halves up."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidArguments
    rounded = round_half_up(value)
    if not INTEGER_MIN <= rounded <= INTEGER_MAX:
        raise InvalidArguments
    return rounded


def format_text(pieces: Sequence[str], values: Sequence[Json]) -> str:
    """Join the pieces of a template with the texts of the values between them.

    Raises:
        InvalidArguments: There are not as many values as gaps.
    """
    if len(values) != len(pieces) - 1:
        raise InvalidArguments
    texts = [value_text(value) for value in values]
    pairs = itertools.zip_longest(pieces, texts, fillvalue="")
    return "".join(itertools.chain.from_iterable(pairs))


def _format(values: Sequence[Json], draw: Draw) -> Json:
    return format_text(_text(values[0]).split("{}"), values[1:])


def _string_to_json(values: Sequence[Json], draw: Draw) -> Json:
    try:
        return decode_json(_text(values[0]))
    except ValueError:
        raise InvalidArguments from None


def _json_to_string(values: Sequence[Json], draw: Draw) -> Json:
    return encode_json(values[0]).decode()


def _array_partition(values: Sequence[Json], draw: Draw) -> Json:
    array, size = _array(values[0]), _integer(values[1])
    if size < 1:
        raise InvalidArguments
    return [array[start : start + size] for start in range(0, len(array), size)]


def _array_range(values: Sequence[Json], draw: Draw) -> Json:
    first, last, step = (_integer(value) for value in values)
    if step == 0:
        raise InvalidArguments
    items = range(first, last + (1 if step > 0 else -1), step)
    if len(items) > RANGE_ITEMS_MAX:
        raise InvalidArguments
    return list(items)


def _array_get_item(values: Sequence[Json], draw: Draw) -> Json:
    array, index = _array(values[0]), _integer(values[1])
    if not 0 <= index < len(array):
        raise InvalidArguments
    return array[index]


def _array_unique(values: Sequence[Json], draw: Draw) -> Json:
    unique: list[Json] = []
    seen: set[tuple[type, Json]] = set()
    for item in _array(values[0]):
        if isinstance(item, dict | list):
            if any(same(item, other) for other in unique if isinstance(other, dict | list)):
                continue
        else:
            kind = bool if isinstance(item, bool) else object
            if (kind, item) in seen:
                continue
            seen.add((kind, item))
        unique.append(item)
    return unique


def _base64_encode(values: Sequence[Json], draw: Draw) -> Json:
    return base64.b64encode(_limited_text(values[0]).encode()).decode()


def _base64_decode(values: Sequence[Json], draw: Draw) -> Json:
    try:
        return base64.b64decode(_limited_text(values[0]), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        raise InvalidArguments from None


def _hash(values: Sequence[Json], draw: Draw) -> Json:
    data, algorithm = values
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidArguments
    text = data if isinstance(data, str) else encode_json(data).decode()
    return hashlib.new(ALGORITHMS[algorithm], _limited_text(text).encode()).hexdigest()


def _json_merge(values: Sequence[Json], draw: Draw) -> Json:
    """Merge the topmost keys, which come out in the order of Java's HashMap."""
    one, other, deep = values
    # AWS offers the shallow merge only.
    if not isinstance(one, dict) or not isinstance(other, dict) or deep is not False:
        raise InvalidArguments
    merged = {**one, **other}
    return {name: merged[name] for name in hash_map_order(list(merged))}


def _math_random(values: Sequence[Json], draw: Draw) -> Json:
    first, end = _integer(values[0]), _integer(values[1])
    if first >= end:
        raise InvalidArguments
    if len(values) == 2 or end - first > INTEGER_MAX:
        return first + draw(end - first)
    return first + Random(_integer(values[2])).next_int(end - first)


def _math_add(values: Sequence[Json], draw: Draw) -> Json:
    return _integer(values[0]) + _integer(values[1])


def _string_split(values: Sequence[Json], draw: Draw) -> Json:
    """Split at each of the characters of the splitter; empty parts are left out."""
    text, splitters = _text(values[0]), _text(values[1])
    if not splitters:
        return [text] if text else []
    table = dict.fromkeys(map(ord, splitters), splitters[0])
    return [part for part in text.translate(table).split(splitters[0]) if part]


def _uuid(values: Sequence[Json], draw: Draw) -> Json:
    return random_uuid(draw)


def random_uuid(draw: Draw) -> str:
    """A random UUID of version 4 (RFC 9562, section 5.4)."""
    number = draw(1 << 128)
    number = number & ~(0xF << 76) | 4 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _exactly(count: int, evaluate: Evaluate) -> IntrinsicFunction:
    return IntrinsicFunction(evaluate=evaluate, arguments_min=count, arguments_max=count)


INTRINSIC_FUNCTIONS: Final[Mapping[str, IntrinsicFunction]] = {
    "States.Format": IntrinsicFunction(evaluate=_format, arguments_min=1, arguments_max=None),
    "States.StringToJson": _exactly(1, _string_to_json),
    "States.JsonToString": _exactly(1, _json_to_string),
    "States.Array": IntrinsicFunction(
        evaluate=lambda values, draw: list(values), arguments_min=0, arguments_max=None
    ),
    "States.ArrayPartition": _exactly(2, _array_partition),
    "States.ArrayContains": _exactly(
        2, lambda values, draw: contains(_array(values[0]), values[1])
    ),
    "States.ArrayRange": _exactly(3, _array_range),
    "States.ArrayGetItem": _exactly(2, _array_get_item),
    "States.ArrayLength": _exactly(1, lambda values, draw: len(_array(values[0]))),
    "States.ArrayUnique": _exactly(1, _array_unique),
    "States.Base64Encode": _exactly(1, _base64_encode),
    "States.Base64Decode": _exactly(1, _base64_decode),
    "States.Hash": _exactly(2, _hash),
    "States.JsonMerge": _exactly(3, _json_merge),
    "States.MathRandom": IntrinsicFunction(evaluate=_math_random, arguments_min=2, arguments_max=3),
    "States.MathAdd": _exactly(2, _math_add),
    "States.StringSplit": _exactly(2, _string_split),
    "States.UUID": _exactly(0, _uuid),
}
