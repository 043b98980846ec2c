"""Five-field cron expressions, as crontabs have them: minute, hour, day, month, day of week.

What the fields mean is cronsim's business, which follows Debian's cron; a name such as `@daily`
stands for five of them. When clocks are set, this does as Debian's cron does: a set time that is
passed over comes at the end of the gap, and one that is shown twice comes once; an expression whose
minutes or hours begin with `*` goes on at its own pace.
"""

from datetime import date, datetime
from typing import Final

from cronsim import CronSim, CronSimError

from eventmill.schedules.calendar import Calendar, ClockChange
from eventmill.schedules.zone import Zone

NAMED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_ANY_DAY: Final = datetime(2000, 1, 1)


def parse_crontab(text: str, zone: Zone) -> Calendar:
    """The calendar of five fields, or of a name in `NAMED`.

    Raises:
        ValueError: It is neither.
    """
    fields = NAMED.get(text.strip().lower(), text).split()
    if len(fields) != 5:
        raise ValueError(
            "a cron expression has 5 fields (minute, hour, day of month, month, day of week), "
            f"not {len(fields)}"
        )
    try:
        parsed = CronSim(" ".join(fields), _ANY_DAY)
    except CronSimError as error:
        raise ValueError(f"{text!r} is no cron expression: {error}") from None
    runs = fields[0].startswith("*") or fields[1].startswith("*")
    return Calendar(
        minutes=parsed.minutes,
        hours=parsed.hours,
        names=lambda day: (
            day.month in parsed.months and parsed.match_day(date(day.year, day.month, day.day))
        ),
        zone=zone,
        change=ClockChange.RUNNING if runs else ClockChange.FIXED,
    )
