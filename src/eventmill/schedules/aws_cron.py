"""The fields of AWS's `cron()`: minutes, hours, day of month, month, day of week, year.

Source: EventBridge user guide, "Cron expressions reference". Ranges may wrap around (`FRI-MON`),
and a range may have a step (`0-15/5`), as the service takes them.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from eventmill.schedules.calendar import YEAR_FIRST, YEAR_LAST, Calendar, ClockChange, Day
from eventmill.schedules.zone import Zone

_MONTHS: Final = (
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
)
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

_NUMBER_OR_NAME: Final = r"(?:\d{1,4}|[A-Z]{3})"
_RANGE: Final = re.compile(
    rf"(?:\*|(?P<from>{_NUMBER_OR_NAME})(?:-(?P<to>{_NUMBER_OR_NAME}))?)(?:/(?P<step>\d{{1,4}}))?"
)
_NEAREST_WEEKDAY: Final = re.compile(r"(?P<day>\d{1,2})W")
_LAST_WEEKDAY: Final = re.compile(rf"(?P<weekday>{_NUMBER_OR_NAME})L")
_NTH_WEEKDAY: Final = re.compile(rf"(?P<weekday>{_NUMBER_OR_NAME})#(?P<nth>\d)")

_Test: TypeAlias = Callable[[Day], bool]


class _Field(NamedTuple):
    """One of the six fields: its name, its values, and the names of these."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    def values(self, item: str) -> set[int]:
        """The values of one item of a list: a value, a range or a step."""
        match = _RANGE.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is nothing that the {self.name} can be")
        step = int(match["step"] or 1)
        if step == 0:
            raise ValueError(f"{item!r}: a step of the {self.name} is at least 1")
        first = self.value(match["from"]) if match["from"] else self.least
        if match["to"]:
            last = self.value(match["to"])
        else:
            last = first if match["from"] and not match["step"] else self.most
        if last < first:
            if self.least == YEAR_FIRST:
                raise ValueError(f"{item!r}: a range of years does not run backwards")
            # It wraps around: 22-2 are the hours 22, 23, 0, 1 and 2.
            span = self.most - self.least + 1
            wrapped = range(first, last + span + 1, step)
            return {(each - self.least) % span + self.least for each in wrapped}
        return set(range(first, last + 1, step))

    def value(self, text: str) -> int:
        """The value that a number or a name stands for."""
        if text in self.names:
            return self.names.index(text) + 1
        if not text.isdecimal() or not self.least <= int(text) <= self.most:
            named = f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
            raise ValueError(
                f"{text!r} is no value of the {self.name}: these are {self.least} to {self.most}"
                f"{named}"
            )
        return int(text)

    def all_values(self, text: str) -> set[int]:
        """The values of a whole field."""
        return set().union(*(self.values(item) for item in text.split(",")))


_MINUTE: Final = _Field("minutes", 0, 59)
_HOUR: Final = _Field("hours", 0, 23)
_DAY: Final = _Field("day of month", 1, 31)
_MONTH: Final = _Field("month", 1, 12, _MONTHS)
_WEEKDAY: Final = _Field("day of week", 1, 7, _WEEKDAYS)
_YEAR: Final = _Field("year", YEAR_FIRST, YEAR_LAST)


def parse_aws_cron(text: str, zone: Zone) -> Calendar:
    """The calendar of the fields in `cron(…)`, without that.

    Raises:
        ValueError: The service would refuse them; the message says which field, and why.
    """
    fields = text.upper().split()
    if len(fields) != 6:
        raise ValueError(
            f"cron() has 6 fields (minutes, hours, day of month, month, day of week, year), "
            f"not {len(fields)}"
        )
    minutes, hours, day, month, weekday, years = fields
    if (day == "?") == (weekday == "?"):
        raise ValueError(
            "one of day of month and day of week must be ?, and the other must not: "
            f"they are {day!r} and {weekday!r}"
        )
    names_day = _parse_weekday(weekday) if day == "?" else _parse_day(day)
    months = _MONTH.all_values(month)
    return Calendar(
        minutes=_MINUTE.all_values(minutes),
        hours=_HOUR.all_values(hours),
        names=lambda each: each.month in months and names_day(each),
        years=_YEAR.all_values(years),
        zone=zone,
        change=ClockChange.AS_SCHEDULER,
    )


def _any(tests: list[_Test]) -> _Test:
    return tests[0] if len(tests) == 1 else lambda day: any(test(day) for test in tests)


def _parse_day(text: str) -> _Test:
    values: set[int] = set()
    tests: list[_Test] = [lambda day: day.day in values]
    for item in text.split(","):
        near = _NEAREST_WEEKDAY.fullmatch(item)
        if item == "L":
            tests.append(lambda day: day.day == day.month_length)
        elif item == "LW":
            tests.append(lambda day: day.day == _nearest_weekday(day.month_length, day))
        elif near is not None:
            tests.append(_nearest_to(_DAY.value(near["day"])))
        else:
            values |= _DAY.values(item)
    return _any(tests)


def _nearest_to(wanted: int) -> _Test:
    return lambda day: wanted <= day.month_length and day.day == _nearest_weekday(wanted, day)


def _nearest_weekday(wanted: int, day: Day) -> int:
    """The day from Monday to Friday that is nearest to `wanted`, in the month that `day` is in."""
    weekday = (day.weekday + wanted - day.day) % 7
    if weekday == 6:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 0:
        return wanted + 1 if wanted < day.month_length else wanted - 2
    return wanted


def _parse_weekday(text: str) -> _Test:
    if "#" in text:
        nth = _NTH_WEEKDAY.fullmatch(text)
        if nth is None or not 1 <= int(nth["nth"]) <= 5:
            raise ValueError(
                f"{text!r}: with # the day of week is one weekday and which of the month it is, "
                "1 to 5, such as 3#2"
            )
        wanted, number = _WEEKDAY.value(nth["weekday"]) - 1, int(nth["nth"])
        return lambda day: day.weekday == wanted and (day.day + 6) // 7 == number
    values: set[int] = set()
    tests: list[_Test] = [lambda day: day.weekday + 1 in values]
    for item in text.split(","):
        last = _LAST_WEEKDAY.fullmatch(item)
        if item == "L":
            values.add(7)  # the last day of the week
        elif last is not None:
            tests.append(_last(_WEEKDAY.value(last["weekday"]) - 1))
        else:
            values |= _WEEKDAY.values(item)
    return _any(tests)


def _last(weekday: int) -> _Test:
    return lambda day: day.weekday == weekday and day.day + 7 > day.month_length
