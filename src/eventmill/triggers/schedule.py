"""The source `schedule`: times at which something is due.

Fields are those of EventBridge Scheduler's CreateSchedule, and mean what they mean there.
"""

import hashlib
from dataclasses import replace
from typing import Final

from eventmill.arn import is_name
from eventmill.model import Json, encode_json
from eventmill.record import record
from eventmill.schedules.expression import parse_expression
from eventmill.schedules.schedule import Once, Rate, Schedule, Times
from eventmill.schedules.zone import MINUTE_MS, UTC, UnknownZone, Zone, zone
from eventmill.triggers.fields import Fields, hint

ALL: Final = "all"
LAST: Final = "last"
NONE: Final = "none"
CATCH_UPS: Final = (ALL, LAST, NONE)

WINDOW_MINUTES_MAX: Final = 1_440


@record
class ScheduleSource:
    """A schedule. Equal sources are served by one sensor.

    `start` and `end` are instants in milliseconds, both included. `catch_up` says which of the
    times are made good that came while nobody watched.
    """

    expression: str
    timezone: str = UTC
    title: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    window_minutes: int = 0
    catch_up: str = LAST

    @property
    def title_or_digest(self) -> str:
        """What the schedule is called: as its author did, or else by what it is."""
        return self.title or f"schedule-{self._digest}"

    @property
    def name(self) -> str:
        """Under which the sensor remembers how far it came.

        Another expression, time zone or start is another name, so that what is due now is never
        taken for missed because it was not due before.
        """
        return f"schedule:{self.title_or_digest}#{self._digest}"

    @property
    def shown(self) -> str:
        """The schedule, for people."""
        return f"{self.expression}  {self.timezone}"

    @property
    def document(self) -> dict[str, Json]:
        """The same for programs."""
        return {"scheduleExpression": self.expression, "timezone": self.timezone}

    @property
    def at_odds(self) -> tuple[str, str]:
        """What two sources of one name do alike, and what they must agree on."""
        fields = "EndDate, FlexibleTimeWindow or CatchUp; give both the same, or each a Name"
        return "has the schedule of", fields

    @property
    def schedule(self) -> Schedule:
        """The calendar of it."""
        times: Times = parse_expression(self.expression, self.timezone)
        if isinstance(times, Rate) and self.start_ms is not None:
            times = replace(times, anchor_ms=self.start_ms)
        return Schedule(
            name=self.name,
            times=times,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            window_ms=self.window_minutes * MINUTE_MS,
        )

    @property
    def _digest(self) -> str:
        identity: Json = [self.expression, self.timezone, self.start_ms]
        return hashlib.sha256(encode_json(identity)).hexdigest()[:12]


def parse_schedule(fields: Fields) -> ScheduleSource:
    """Read the fields of the source; mistakes are noted in them."""
    where = _parse_zone(fields)
    source = ScheduleSource(
        expression=" ".join(fields.text("ScheduleExpression", required=True).split()),
        timezone=where.name,
        title=_parse_title(fields),
        start_ms=_parse_date(fields, "StartDate", where),
        end_ms=_parse_date(fields, "EndDate", where),
        window_minutes=_parse_window(fields),
        catch_up=_parse_catch_up(fields),
    )
    if source.expression:
        _check(fields, source)
    return source


def _check(fields: Fields, source: ScheduleSource) -> None:
    try:
        schedule = source.schedule
    except ValueError as error:
        fields.note(f"{source.expression!r}: {error}", "ScheduleExpression")
        return
    start_ms, end_ms = source.start_ms, source.end_ms
    if isinstance(schedule.times, Once):
        for name, at_ms in (("StartDate", start_ms), ("EndDate", end_ms)):
            if at_ms is not None:
                fields.note("at() is one time: it needs no StartDate and no EndDate", name)
    elif start_ms is not None and end_ms is not None and end_ms < start_ms:
        fields.note("lies before StartDate", "EndDate")
    elif schedule.anchored(0).next_after(-1) is None:
        fields.note(f"{source.expression!r} names no time that ever comes", "ScheduleExpression")


def _parse_zone(fields: Fields) -> Zone:
    name = fields.text("ScheduleExpressionTimezone")
    try:
        return zone(name or UTC)
    except UnknownZone as error:
        fields.note(f"{error}{hint(name, error.names)}", "ScheduleExpressionTimezone")
        return zone(UTC)


def _parse_title(fields: Fields) -> str:
    title = fields.text("Name")
    if title and not (is_name(title) and len(title) <= 64):
        fields.note(f"{title!r} cannot name a schedule: 1 to 64 characters as names have", "Name")
    return title


def _parse_date(fields: Fields, name: str, where: Zone) -> int | None:
    text = fields.text(name)
    if not text:
        return None
    try:
        return where.read(text)
    except ValueError as error:
        fields.note(
            f"{error}; write it like 2026-11-20T13:00:00 (in the time zone of the schedule), "
            "or with Z or an offset behind",
            name,
        )
        return None


def _parse_window(fields: Fields) -> int:
    window = fields.object("FlexibleTimeWindow", required=False)
    if not fields.has("FlexibleTimeWindow"):
        return 0
    mode = window.text("Mode", required=True)
    if mode and mode not in ("OFF", "FLEXIBLE"):
        window.note(f"is OFF or FLEXIBLE, not {mode!r}", "Mode")
    minutes = window.take("MaximumWindowInMinutes")
    window.refuse_others()
    if mode != "FLEXIBLE":
        if minutes is not None:
            window.note("stands only with Mode FLEXIBLE", "MaximumWindowInMinutes")
        return 0
    if type(minutes) is not int or not 1 <= minutes <= WINDOW_MINUTES_MAX:
        window.note(f"must be a whole number, 1 to {WINDOW_MINUTES_MAX}", "MaximumWindowInMinutes")
        return 0
    return minutes


def _parse_catch_up(fields: Fields) -> str:
    given = fields.text("CatchUp") or LAST
    if given not in CATCH_UPS:
        fields.note(f"is one of {', '.join(CATCH_UPS)}, not {given!r}", "CatchUp")
        return LAST
    return given
