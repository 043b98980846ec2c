"""Calendars: which minutes of which days a schedule names, and the next one that comes.

There are only fourteen kinds of years: they begin on one of seven weekdays, and are leap years or
not. So a calendar works out its days for a kind of year once; after that the next time that comes
is looked up, however rare it is.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from eventmill.schedules.zone import (
    DAY_MINUTES,
    DAY_MS,
    EPOCH_DAY,
    MINUTE_MS,
    Zone,
    first_day,
    year_of,
)

YEAR_FIRST: Final = 1970
YEAR_LAST: Final = 2199
# Enough for a few of those who ask about different times; each may hold a day's minutes.
_CHANGES_KEPT_MAX: Final = 8
_MONTH_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Day(NamedTuple):
    """A day of a kind of year, of which `year` is one; weekdays count from 0, which is Sunday."""

    year: int
    month: int
    day: int
    weekday: int
    month_length: int


class ClockChange(Enum):
    """What becomes of times that clocks pass over, and of those that they show twice."""

    AS_SCHEDULER = "passed over: none; twice: the first"  # EventBridge Scheduler
    FIXED = "passed over: at the end of the gap; twice: the first"  # Debian's cron, set times
    RUNNING = "passed over: none; twice: both"  # Debian's cron, times with *


class Calendar:
    """The minutes that a cron expression names, in a time zone, from 1970 to 2199."""

    def __init__(
        self,
        *,
        minutes: Collection[int],
        hours: Collection[int],
        names: Callable[[Day], bool],
        years: Collection[int] = range(YEAR_FIRST, YEAR_LAST + 1),
        zone: Zone,
        change: ClockChange,
    ) -> None:
        """Take all days for which `names` holds, and on them each of `hours` with each minute."""
        self._minutes = sorted(hour * 60 + minute for hour in hours for minute in minutes)
        self._names = names
        self._years = sorted(years)
        self._zone = zone
        self._change = change
        self._days_by_kind: dict[tuple[int, bool], list[int]] = {}
        self._on_changes: dict[int, list[int]] = {}

    def next_after(self, at_ms: int) -> int | None:
        """The first time after an instant; None when there is none any more."""
        today, minute = self._zone.local(at_ms)
        # Clocks that are set back over midnight bring some of yesterday back.
        days = self._days(today - 1 if self._is_changing(today - 1) else today)
        for day in days:
            found = self._first(day, at_ms, minute if day == today else -1)
            if found is not None:
                if self._is_changing(day):
                    later = self._first(day + 1, at_ms, -1) if self._has(day + 1) else None
                    found = found if later is None else min(found, later)
                return found
        return None

    def _first(self, day: int, at_ms: int, after_minute: int) -> int | None:
        """The first time on a day that lies after an instant, when clocks show `after_minute`."""
        offset_ms = self._zone.steady_offset_ms(day)
        if offset_ms is None:
            times = self._times_on_change(day)
            position = bisect_right(times, at_ms)
            return times[position] if position < len(times) else None
        position = bisect_right(self._minutes, after_minute)
        if position == len(self._minutes):
            return None
        return (day - EPOCH_DAY) * DAY_MS + self._minutes[position] * MINUTE_MS - offset_ms

    def _times_on_change(self, day: int) -> list[int]:
        """All times of a day on which clocks are set, in order."""
        if day not in self._on_changes:
            if len(self._on_changes) >= _CHANGES_KEPT_MAX:
                self._on_changes.clear()
            self._on_changes[day] = self._work_out(day)
        return self._on_changes[day]

    def _work_out(self, day: int) -> list[int]:
        times: set[int] = set()
        for minute in self._minutes:
            found = self._zone.instants(day, minute)
            if not found and self._change is ClockChange.FIXED:
                found = self._end_of_gap(day, minute)
            times.update(found if self._change is ClockChange.RUNNING else found[:1])
        return sorted(times)

    def _end_of_gap(self, day: int, minute: int) -> tuple[int, ...]:
        # The longest gap so far is a day, that of Samoa in 2011.
        for later in range(minute + 1, minute + 2 * DAY_MINUTES):
            found = self._zone.instants(day + later // DAY_MINUTES, later % DAY_MINUTES)
            if found:
                return found[:1]
        return ()

    def _is_changing(self, day: int) -> bool:
        return self._zone.steady_offset_ms(day) is None

    def _has(self, day: int) -> bool:
        return next(self._days(day), None) == day

    def _days(self, since: int) -> Iterator[int]:
        """The days from `since` on, in order."""
        year = year_of(since)
        for each in self._years[bisect_left(self._years, year) :]:
            begin = first_day(each)
            days = self._days_of(_kind_of(each))
            start = bisect_left(days, since - begin) if each == year else 0
            for index in range(start, len(days)):
                yield begin + days[index]

    def _days_of(self, kind: tuple[int, bool]) -> list[int]:
        if kind not in self._days_by_kind:
            days = enumerate(_days_in_year(*kind))
            self._days_by_kind[kind] = [number for number, day in days if self._names(day)]
        return self._days_by_kind[kind]


@lru_cache(maxsize=14)
def _days_in_year(weekday: int, leap: bool) -> tuple[Day, ...]:
    year = next(each for each in range(2000, 2028) if _kind_of(each) == (weekday, leap))
    days: list[Day] = []
    for month, length in enumerate(_MONTH_LENGTHS, 1):
        month_length = length + (leap and month == 2)
        for day in range(1, month_length + 1):
            days.append(Day(year, month, day, (weekday + len(days)) % 7, month_length))
    return tuple(days)


def _kind_of(year: int) -> tuple[int, bool]:
    """The weekday on which a year begins, and whether it is a leap year."""
    begin = first_day(year)
    return begin % 7, first_day(year + 1) - begin == 366
