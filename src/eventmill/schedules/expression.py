"""Schedule expressions: AWS's `cron()`, `rate()` and `at()`, and the five fields of a crontab.

Source: EventBridge Scheduler user guide, "Schedule types on EventBridge Scheduler".
"""

import re
from functools import lru_cache
from typing import Final

from eventmill.schedules.aws_cron import parse_aws_cron
from eventmill.schedules.crontab import parse_crontab
from eventmill.schedules.schedule import Once, Rate, Times
from eventmill.schedules.zone import DAY_MS, HOUR_MS, MINUTE_MS, zone

_UNITS_MS: Final = {
    **dict.fromkeys(("minute", "minutes"), MINUTE_MS),
    **dict.fromkeys(("hour", "hours"), HOUR_MS),
    **dict.fromkeys(("day", "days"), DAY_MS),
}
_CALL: Final = re.compile(r"(\w+)\((.*)\)")
_RATE: Final = re.compile(r"(\d{1,6}) +(\w+)")


@lru_cache(maxsize=16_384)
def parse_expression(text: str, zone_name: str) -> Times:
    """The times that an expression names in a time zone.

    Raises:
        UnknownZone: There is no such time zone.
        ValueError: `text` is no schedule expression; the message says why.
    """
    where = zone(zone_name)
    call = _CALL.fullmatch(text.strip())
    if call is None:
        return parse_crontab(text, where)
    kind, inside = call[1], call[2].strip()
    if kind == "cron":
        return parse_aws_cron(inside, where)
    if kind == "rate":
        return _parse_rate(inside)
    if kind == "at":
        return Once(once_ms=where.read(inside))
    raise ValueError(f"there is no {kind}(); there are cron(), rate(), at() and five fields")


def _parse_rate(text: str) -> Rate:
    match = _RATE.fullmatch(text)
    unit_ms = _UNITS_MS.get(match[2]) if match else None
    if match is None or unit_ms is None or not int(match[1]):
        raise ValueError(
            f"{text!r} is no rate: write a number of 1 to 999,999 and minutes, hours or days, "
            "such as rate(5 minutes)"
        )
    return Rate(period_ms=int(match[1]) * unit_ms)
