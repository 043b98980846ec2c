"""Instants: whole milliseconds since the Unix epoch, and their RFC 3339 text."""

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Without its zone, which would be written as +00:00.
_EPOCH_UTC: Final = datetime(1970, 1, 1)

# ISO 8601 extended offset date-time as AWS takes it: `T`, seconds, and `Z` or an offset.
_TIMESTAMP: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)"
)


def format_instant(at_ms: int) -> str:
    """Write an instant as AWS does in the Context Object: milliseconds and `Z`.

    >>> format_instant(1_700_000_000_120)
    '2023-11-14T22:13:20.120Z'
    """
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{_format_second(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=256)
def _format_second(seconds: int) -> str:
    # Times that are written together lie close together.
    return (_EPOCH_UTC + timedelta(seconds=seconds)).isoformat()


def parse_instant(text: str) -> int:
    """Read an ISO 8601 date-time with offset (RFC 3339), cut to whole milliseconds.

    >>> parse_instant("2016-12-05T21:29:29.5Z")
    1480973369500

    Raises:
        ValueError: `text` is anything else, or names a day or time that does not exist.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a date-time with an offset")
    year, month, day, hour, minute = (int(match[i]) for i in range(1, 6))
    second = int(match[6] or 0)
    zone = _zone(match[8])
    moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    fraction_ms = int((match[7] or "0").ljust(3, "0")[:3])
    return (moment - _EPOCH) // timedelta(milliseconds=1) + fraction_ms


def _zone(text: str) -> timezone:
    if text == "Z":
        return timezone.utc
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 18 or minutes > 59:
        raise ValueError(f"{text!r} is not an offset")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(offset if text[0] == "+" else -offset)
