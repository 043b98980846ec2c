"""What schedules mean, said once more and as plainly as possible: look at every single minute.

The clock of a zone is walked minute by minute of real time, so nothing here computes with offsets,
kinds of years or gaps.
"""

import calendar
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
NAMES = {name: number for names in (WEEKDAYS, MONTHS) for number, name in enumerate(names, 1)}
MINUTE = timedelta(minutes=1)


def minutes_shown(zone: str, begin_ms: int, minutes: int) -> Iterator[tuple[int, datetime, bool]]:
    """Each minute of real time: its instant, what clocks show, and whether for the second time."""
    rules = ZoneInfo(zone)
    at = datetime.fromtimestamp(begin_ms // 60_000 * 60, timezone.utc)
    for _ in range(minutes):
        shown = at.astimezone(rules)
        yield round(at.timestamp() * 1000), shown.replace(tzinfo=None, fold=0), shown.fold == 1
        at += MINUTE


def number(text: str) -> int:
    return NAMES[text] if text in NAMES else int(text)


def in_list(field: str, value: int, least: int, most: int) -> bool:
    return any(in_item(item, value, least, most) for item in field.split(","))


def in_item(item: str, value: int, least: int, most: int) -> bool:
    """Start at the first value and step on, wrapping around, until the last one is reached."""
    span, _, step = item.partition("/")
    if span == "*":
        first, last = least, most
    elif "-" in span:
        first, last = (number(each) for each in span.split("-"))
    else:
        first = number(span)
        last = most if step else first
    here, taken = first, 0
    for _ in range(most - least + 1):
        if taken % int(step or 1) == 0 and here == value:
            return True
        if here == last:
            return False
        here, taken = (here + 1 if here < most else least), taken + 1
    return False


def weekday(day: date) -> int:
    """1 is Sunday."""
    return (day.weekday() + 1) % 7 + 1


def month_of(day: date) -> list[date]:
    length = calendar.monthrange(day.year, day.month)[1]
    return [day.replace(day=each) for each in range(1, length + 1)]


def is_day(field: str, day: date) -> bool:
    return any(is_day_item(item, day) for item in field.split(","))


def is_day_item(item: str, day: date) -> bool:
    month = month_of(day)
    workdays = [each for each in month if 2 <= weekday(each) <= 6]
    if item == "L":
        return day == month[-1]
    if item == "LW":
        return day == workdays[-1]
    if item.endswith("W"):
        wanted = int(item[:-1])
        # Of two that are equally near there is none: a weekend has two days.
        nearest = min(workdays, key=lambda each: abs(each.day - wanted))
        return wanted <= len(month) and day == nearest
    return in_item(item, day.day, 1, 31)


def is_weekday(field: str, day: date) -> bool:
    same = [each for each in month_of(day) if weekday(each) == weekday(day)]
    for item in field.split(","):
        if "#" in item:
            wanted, nth = item.split("#")
            if weekday(day) == number(wanted) and same.index(day) + 1 == int(nth):
                return True
        elif item == "L":
            if weekday(day) == 7:
                return True
        elif item.endswith("L"):
            if weekday(day) == number(item[:-1]) and day == same[-1]:
                return True
        elif in_item(item, weekday(day), 1, 7):
            return True
    return False


def aws_names_day(fields: list[str], day: date) -> bool:
    _, _, dom, month, dow, year = fields
    return (
        in_list(year, day.year, 1970, 2199)
        and in_list(month, day.month, 1, 12)
        and (is_weekday(dow, day) if dom == "?" else is_day(dom, day))
    )


def aws_cron(text: str, zone: str, begin_ms: int, minutes: int) -> list[int]:
    """The instants in a span of real time at which `cron(text)` runs."""
    fields = text.split()
    seen: dict[date, bool] = {}
    found = []
    for at_ms, shown, again in minutes_shown(zone, begin_ms, minutes):
        day = shown.date()
        if day not in seen:
            seen[day] = aws_names_day(fields, day)
        if (
            seen[day]
            and not again
            and in_list(fields[1], shown.hour, 0, 23)
            and in_list(fields[0], shown.minute, 0, 59)
        ):
            found.append(at_ms)
    return found
