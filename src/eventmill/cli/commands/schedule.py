"""`eventmill schedule`: what is due, and when."""

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from pathlib import Path

import click

from eventmill.cli.failures import EXIT_CODES
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import write_document
from eventmill.cli.schedules import Scheduled, scheduled
from eventmill.cli.tables import Column, Line, Table, show
from eventmill.cli.texts import duration
from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.record import record
from eventmill.runtime.clock import SystemClock
from eventmill.schedules.zone import UnknownZone, Zone, zone


@record
class _Coming:
    """A time that comes."""

    scheduled_ms: int
    due_ms: int
    of: Scheduled


@click.group()
def schedule() -> None:
    """Show what the schedules of a project will do."""


@schedule.command("next", epilog=EXIT_CODES)
@click.argument("trigger", required=False)
@settings_options
@click.option(
    "-n",
    "--number",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="How many of the times that come.",
)
@click.option(
    "--timezone",
    metavar="ZONE",
    callback=lambda _ctx, _parameter, name: _zone(name),
    help="Show times in this zone. [default: that of each schedule]",
)
@json_option
def next_times(
    trigger: str | None,
    project: Path,
    data: Path | None,
    number: int,
    timezone: Zone | None,
    as_json: bool,
) -> None:
    """Show the next times of TRIGGER, or of all schedules together.

    A rate without StartDate follows from when the server first ran it, so the log is asked.
    """
    settings = chosen_settings(project, data)
    found = scheduled(settings, trigger)
    now_ms = SystemClock().now_ms()
    enabled = [each for each in found if each.trigger.enabled or trigger is not None]
    streams = [_following(each, now_ms) for each in enabled]
    coming = list(islice(merge(*streams, key=lambda each: each.scheduled_ms), number))
    if as_json:
        write_document({"times": [_document(each) for each in coming]})
        return
    if not coming:
        show([Line(text="Nothing is due any more." if found else "There are no schedules.")])
        return
    show([_table(coming, timezone, now_ms)])


def _zone(name: str | None) -> Zone | None:
    try:
        return None if name is None else zone(name)
    except UnknownZone as error:
        raise click.BadParameter(str(error)) from None


def _following(each: Scheduled, now_ms: int) -> Iterator[_Coming]:
    # A rate that never ran begins when the server does; as if that were now.
    calendar = each.schedule.anchored(now_ms)
    # One that is put off may still come.
    at_ms = calendar.next_after(now_ms - calendar.window_ms)
    while at_ms is not None:
        due_ms = calendar.due_ms(at_ms)
        if due_ms > now_ms:
            yield _Coming(scheduled_ms=at_ms, due_ms=due_ms, of=each)
        at_ms = calendar.next_after(at_ms)


def _table(coming: list[_Coming], shown_in: Zone | None, now_ms: int) -> Table:
    windows = any(each.due_ms != each.scheduled_ms for each in coming)
    columns = [Column(title="Scheduled"), Column(title="In", right=True), Column(title="Trigger")]
    rows: list[list[str]] = []
    for each in coming:
        clock = shown_in or zone(each.of.source.timezone)
        left_ms = (each.due_ms - now_ms) // 1000 * 1000
        name = each.of.trigger.name + ("" if each.of.trigger.enabled else " (disabled)")
        row = [_time(clock, each.scheduled_ms), duration(left_ms), name]
        if windows:
            row.insert(1, _time(clock, each.due_ms))
        rows.append(row)
    if windows:
        columns.insert(1, Column(title="Starts"))
    return Table(columns=columns, rows=rows)


def _time(clock: Zone, at_ms: int) -> str:
    return f"{clock.write(at_ms).replace('T', ' ')} {clock.name}"


def _document(each: _Coming) -> dict[str, Json]:
    source = each.of.source
    return {
        "trigger": each.of.trigger.name,
        "enabled": each.of.trigger.enabled,
        "scheduledTime": format_instant(each.scheduled_ms),
        "localTime": zone(source.timezone).write(each.scheduled_ms),
        "startTime": format_instant(each.due_ms),
        "scheduleExpression": source.expression,
        "scheduleExpressionTimezone": source.timezone,
    }
