"""Values as people read them: short, on one line, and harmless to a terminal."""

import re
import time
from typing import Final

from eventmill.model import Json, Payload, encode_json

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    r"""`text` on one line, with control characters written as escapes: it may come from anyone.

    >>> printable("a\x1b[31m\n")
    'a\\x1b[31m\\n'
    """
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def short(text: str, characters_max: int) -> str:
    """`text` made printable, and cut where it is longer.

    >>> short("abcdef", 4)
    'abc…'
    """
    shown = printable(text[: characters_max + 1])
    return shown if len(shown) <= characters_max else shown[: characters_max - 1] + "…"


def short_payload(payload: Payload, characters_max: int) -> str:
    """The beginning of a payload's text."""
    # A character has four bytes at most.
    return short(payload.text[: 4 * characters_max + 4].decode(errors="ignore"), characters_max)


def short_json(value: Json, characters_max: int) -> str:
    """The beginning of a value's JSON text."""
    return short(encode_json(value).decode(), characters_max)


def duration(milliseconds: int) -> str:
    """A time span, to about three digits.

    >>> [duration(each) for each in (7, 1_240, 61_000, 7_260_000, 180_000_000)]
    ['7 ms', '1.24 s', '1 min 1 s', '2 h 1 min', '2 d 2 h']
    """
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1_000:.3g} s"
    seconds = milliseconds // 1_000
    for unit, size, smaller, part in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    raise AssertionError("a minute or more has a unit")


def local_time(at_ms: int) -> str:
    """An instant in the time zone of whoever reads it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1_000))


def count(number: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "step"), count(1200, "step")
    ('1 step', '1,200 steps')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
