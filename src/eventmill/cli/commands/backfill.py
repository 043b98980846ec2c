"""`eventmill backfill`: what a schedule would have started in the past."""

from collections import Counter
from pathlib import Path
from typing import Final

import click

from eventmill.cli.backfilling import SUCCEEDED, Backfilling, Done, Due, due
from eventmill.cli.client import Client
from eventmill.cli.failures import EXIT_CODES, FAILED, Refused
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import write_json_line, write_line
from eventmill.cli.progress import told
from eventmill.cli.schedules import Scheduled, scheduled
from eventmill.cli.server_file import endpoint as endpoint_of
from eventmill.cli.server_file import read_server_file
from eventmill.cli.texts import count
from eventmill.errors import AuthorError
from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.settings import Settings
from eventmill.schedules.zone import Zone, zone

TIMES_MAX: Final = 100_000
CONCURRENCY_MAX: Final = 1_000


@click.command(epilog=EXIT_CODES)
@click.argument("trigger", metavar="TRIGGER")
@settings_options
@click.option("--from", "begin", required=True, metavar="TIME", help="From this time on.")
@click.option("--to", "end", metavar="TIME", help="Up to this time. [default: now]")
@click.option("--dry-run", is_flag=True, help="Only list what would be started.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, CONCURRENCY_MAX),
    default=1,
    show_default=True,
    help="How many executions run at once.",
)
@click.option("--keep-going", is_flag=True, help="Go on when an execution fails.")
@click.option("--endpoint", metavar="URL", help="The server. [default: the project's]")
@json_option
def backfill(
    trigger: str,
    project: Path,
    data: Path | None,
    begin: str,
    end: str | None,
    dry_run: bool,
    concurrency: int,
    keep_going: bool,
    endpoint: str | None,
    as_json: bool,
) -> None:
    """Start on the running server what TRIGGER would have started in the past, oldest first.

    TIME is like 2026-11-20 or 2026-11-20T13:00:00, in the time zone of the schedule, or has Z or
    an offset behind; both ends count. Times whose execution exists are passed over, so the same
    command goes on where it was interrupted.
    """
    settings = chosen_settings(project, data)
    (found,) = scheduled(settings, trigger)
    clock = zone(found.source.timezone)
    begin_ms = _instant(clock, "--from", begin)
    end_ms = SystemClock().now_ms() if end is None else _instant(clock, "--to", end)
    wanted = _wanted(settings, found, begin_ms, end_ms)
    if dry_run:
        for each in wanted:
            _tell(clock, each, "would start", as_json)
        if not as_json:
            write_line(f"{count(len(wanted), 'execution')} would be started")
        return
    backfilling = Backfilling(
        _client(settings, endpoint),
        settings.home.state_machine(found.trigger.state_machine.rsplit(":", 1)[-1]),
        concurrency=concurrency,
        keep_going=keep_going,
    )
    ended: list[Done] = []
    with told("backfill", "executions") as progress:
        for done in backfilling.run(wanted):
            ended.append(done)
            _tell(clock, done.due, done.status + (" before" if done.before else ""), as_json)
            progress(len(ended), len(wanted))
    failed = sum(done.status != SUCCEEDED for done in ended)
    if not as_json:
        write_line(_summary(ended, len(wanted)))
    raise click.exceptions.Exit(FAILED if failed else 0)


def _instant(clock: Zone, option: str, text: str) -> int:
    try:
        return clock.read(f"{text}T00:00:00" if len(text) == len("2026-11-20") else text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _wanted(settings: Settings, found: Scheduled, begin_ms: int, end_ms: int) -> list[Due]:
    if found.schedule.period_ms is not None:
        raise Refused(
            f"{found.source.expression} has no StartDate and never ran, so it had no times",
            "a StartDate in the trigger",
        )
    times: list[int] = []
    at_ms = found.schedule.next_after(begin_ms - 1)
    while at_ms is not None and at_ms <= end_ms:
        times.append(at_ms)
        if len(times) > TIMES_MAX:
            raise Refused(f"that is more than {TIMES_MAX:,} times", "less time at once")
        at_ms = found.schedule.next_after(at_ms)
    try:
        return due(found.trigger, found.source, settings.home, times)
    except AuthorError as error:
        raise Refused(f"no input can be made of the event: {error.failure.cause}") from None


def _client(settings: Settings, endpoint: str | None) -> Client:
    said = endpoint or read_server_file(settings.data)
    try:
        return Client(said or endpoint_of(settings.host, settings.port))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--endpoint") from None


def _tell(clock: Zone, each: Due, what: str, as_json: bool) -> None:
    if as_json:
        line: dict[str, Json] = {
            "scheduledTime": format_instant(each.scheduled_ms),
            "executionArn": each.arn,
            "outcome": what,
        }
        write_json_line(line)
    else:
        write_line(f"{clock.write(each.scheduled_ms)}  {each.name}  {what}")


def _summary(ended: list[Done], wanted: int) -> str:
    before = sum(done.before for done in ended)
    numbers = Counter(done.status for done in ended)
    parts = [f"{number:,} {status}" for status, number in sorted(numbers.items())]
    if before:
        parts.append(f"{before:,} of these were there before")
    if len(ended) < wanted:
        parts.append(f"{wanted - len(ended):,} not started")
    return ", ".join(parts) or "Nothing was due."
