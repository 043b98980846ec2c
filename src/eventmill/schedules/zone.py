"""Time zones: from instants to what the clocks on the wall show, and back.

A day is its number in the proleptic Gregorian calendar, 1 being 0001-01-01; a minute is counted
from midnight. Looking a zone up reads the IANA database of the system, or else the one that is
installed beside us. That happens once, when a schedule is read; the same name leads to the same
rules as long as the process lives, so whatever is computed from them is a function of its inputs.
"""

import re
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from eventmill.instant import parse_instant

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
DAY_MINUTES: Final = 24 * 60
EPOCH_DAY: Final = date(1970, 1, 1).toordinal()

UTC: Final = "UTC"

_EPOCH: Final = datetime(1970, 1, 1)
_EPOCH_IN_UTC: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MS: Final = timedelta(milliseconds=1)
_LOCAL_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")


class UnknownZone(ValueError):
    """There is no time zone of this name; `names` are all there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no time zone {name!r}")
        self.names: Final = available_timezones()


class Zone:
    """The clocks of one time zone."""

    def __init__(self, name: str) -> None:
        """Look up the zone `name`, as IANA spells it.

        Raises:
            UnknownZone: There is none.
        """
        self.name: Final = name
        # A folder of the database, and a name with a dot too many, fail in ways of their own.
        try:
            self._rules: tzinfo = timezone.utc if name == UTC else ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UnknownZone(name) from None

    def local(self, at_ms: int) -> tuple[int, int]:
        """The day and the minute that clocks show at an instant."""
        shown = (_EPOCH_IN_UTC + timedelta(milliseconds=at_ms)).astimezone(self._rules)
        return shown.toordinal(), shown.hour * 60 + shown.minute

    def steady_offset_ms(self, day: int) -> int | None:
        """How far clocks are ahead of UTC on that day; None when they are set on it."""
        if self._rules is timezone.utc:
            return 0
        begin = date.fromordinal(day)
        end = date.fromordinal(day + 1)
        first = self._offset_ms(datetime(begin.year, begin.month, begin.day))
        last = self._offset_ms(datetime(end.year, end.month, end.day, fold=1))
        return first if first == last else None

    def instants(self, day: int, minute: int) -> tuple[int, ...]:
        """The instants at which clocks show that minute: one, none, or two in order."""
        shown = datetime.fromordinal(day) + timedelta(minutes=minute)
        naive_ms = (shown - _EPOCH) // _MS
        first_ms = naive_ms - self._offset_ms(shown)
        second_ms = naive_ms - self._offset_ms(shown.replace(fold=1))
        if first_ms == second_ms:
            return (first_ms,)
        # A minute that is passed over has its two offsets the other way round.
        return (first_ms, second_ms) if first_ms < second_ms else ()

    def read(self, text: str) -> int:
        """The instant of `2026-11-20T13:00:00` in this zone, or of a text with its own offset.

        Of a time that comes twice it is the first.

        Raises:
            ValueError: `text` is no such thing, or names a time that never comes.
        """
        match = _LOCAL_TIME.fullmatch(text)
        if match is None:
            return parse_instant(text)
        year, month, day, hour, minute, second = map(int, match.groups())
        shown = datetime(year, month, day, hour, minute, second)
        found = self.instants(shown.toordinal(), hour * 60 + minute)
        if not found:
            raise ValueError(f"{text} is passed over by the clocks of {self.name}")
        return found[0] + second * 1000

    def write(self, at_ms: int) -> str:
        """An instant as clocks show it, to the second and with the offset.

        >>> Zone("Asia/Kolkata").write(1_700_000_000_000)
        '2023-11-15T03:43:20+05:30'
        """
        shown = (_EPOCH_IN_UTC + timedelta(milliseconds=at_ms)).astimezone(self._rules)
        return shown.isoformat(timespec="seconds")

    def _offset_ms(self, shown: datetime) -> int:
        offset = self._rules.utcoffset(shown)
        assert offset is not None
        return offset // _MS


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """The zone of this name, looked up once.

    Raises:
        UnknownZone: There is none.
    """
    return Zone(name)


def year_of(day: int) -> int:
    """The year that a day lies in."""
    return date.fromordinal(day).year


def first_day(year: int) -> int:
    """The first day of a year."""
    return date(year, 1, 1).toordinal()
