"""`eventmill events`: what the log has of the outside world."""

import asyncio
import re
import time
from pathlib import Path
from typing import Final

import click

from eventmill.cli import events as view
from eventmill.cli.client import Client
from eventmill.cli.events import Wanted, find_event, newest_events, sent_again
from eventmill.cli.failures import EXIT_CODES, Refused
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import write_document, write_json_line, write_line
from eventmill.cli.project_server import client_of
from eventmill.cli.recorded import reading
from eventmill.cli.tables import show
from eventmill.cli.texts import printable
from eventmill.instant import parse_instant
from eventmill.model import decode_json
from eventmill.patterns.compiler import compile_pattern
from eventmill.patterns.matcher import Matcher
from eventmill.rows import ExecutionRow, InboxEvent
from eventmill.runtime.settings import Settings

_AGO: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _instant(ctx: click.Context, parameter: click.Parameter, given: str | None) -> int | None:
    if given is None:
        return None
    ago = _AGO.fullmatch(given)
    if ago is not None:
        return time.time_ns() // 1_000_000 - int(ago[1]) * _UNITS_MS[ago[2]]
    try:
        return parse_instant(given)
    except ValueError:
        message = f"{given!r} is neither a time like 2026-01-31T08:00:00Z nor a span like 90m"
        raise click.BadParameter(message) from None


def _pattern(ctx: click.Context, parameter: click.Parameter, given: str | None) -> Matcher | None:
    if given is None:
        return None
    mistakes: list[str] = []
    try:
        matcher = compile_pattern(
            decode_json(given), lambda pointer, text: mistakes.append(f"{pointer or '/'}: {text}")
        )
    except ValueError as error:
        raise click.BadParameter(f"the pattern is not JSON: {error}") from None
    if mistakes:
        raise click.BadParameter("; ".join(mistakes))
    return matcher


@click.group()
def events() -> None:
    """List the events that the log has, show one, or send some again.

    The first two read the log in the data folder, so they work with and without a server.
    """


@events.command("list", epilog=EXIT_CODES)
@settings_options
@click.option("--source", metavar="TEXT", help="Only from this source.")
@click.option("--type", "detail_type", metavar="TEXT", help="Only of this detail-type.")
@click.option("--since", metavar="TIME|SPAN", callback=_instant, help="Received then or later.")
@click.option("--until", metavar="TIME|SPAN", callback=_instant, help="Received before that.")
@click.option("--pattern", metavar="JSON", callback=_pattern, help="Only what this pattern holds.")
@click.option("--id", "id_prefix", metavar="TEXT", help="Only with an id that begins like this.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many, the newest.",
)
@click.option("--before", type=click.IntRange(min=1), metavar="POSITION", help="Older than this.")
@click.option("--lines", is_flag=True, help="Write each event as JSON on a line, for emit --lines.")
@json_option
def list_events(
    project: Path,
    data: Path | None,
    source: str | None,
    detail_type: str | None,
    since: int | None,
    until: int | None,
    pattern: Matcher | None,
    id_prefix: str | None,
    limit: int,
    before: int | None,
    lines: bool,
    as_json: bool,
) -> None:
    """List the newest events.

    A TIME is like 2026-01-31T08:00:00Z, a SPAN like 90m, 2h or 3d, which is so long ago.
    """
    settings = chosen_settings(project, data)
    wanted = Wanted(
        source=source,
        detail_type=detail_type,
        since_ms=since,
        until_ms=until,
        matcher=pattern,
        id_prefix=id_prefix,
    )
    found: list[InboxEvent] = []

    async def read() -> None:
        async with reading(settings) as log:
            async for each in newest_events(log, wanted, limit, before):
                if lines:
                    write_json_line(each.event.envelope())
                else:
                    found.append(each)

    asyncio.run(read())
    if as_json and not lines:
        following = found[-1].position if len(found) == limit else None
        write_document({"events": [view.document(each) for each in found], "before": following})
    elif not lines:
        show(view.list_page(found, limit))


@events.command("show", epilog=EXIT_CODES)
@click.argument("event", metavar="ID")
@settings_options
@click.option("--source", metavar="TEXT", help="Its source, where several have this id.")
@json_option
def show_event(
    event: str, project: Path, data: Path | None, source: str | None, as_json: bool
) -> None:
    """Show one event: by its id, or by how its id begins, if no other does."""
    settings = chosen_settings(project, data)
    received, executions, again = asyncio.run(_read_one(settings, event, source))
    if as_json:
        document = view.document(received)
        document["sentAgain"] = [each.event.id for each in again]
        write_document(document)
    else:
        show(view.page(received, executions, again))


async def _read_one(
    settings: Settings, reference: str, source: str | None
) -> tuple[InboxEvent, list[ExecutionRow], list[InboxEvent]]:
    async with reading(settings) as log:
        received = await find_event(log, reference, source)
        if received is None:
            raise _unknown(reference)
        rows = [await log.execution(arn) for arn in received.executions.values()]
        return received, [row for row in rows if row], [*await sent_again(log, received)]


def _unknown(reference: str) -> Refused:
    return Refused(f"no event has the id {reference!r}, nor begins like that")


@events.command("send-again", epilog=EXIT_CODES)
@click.argument("event_ids", metavar="ID...", nargs=-1, required=True)
@settings_options
@click.option("--source", metavar="TEXT", help="Their source, where several have an id.")
@click.option("--endpoint", metavar="URL", help="The server. [default: the project's]")
@json_option
def send_again(
    event_ids: tuple[str, ...],
    project: Path,
    data: Path | None,
    source: str | None,
    endpoint: str | None,
    as_json: bool,
) -> None:
    """Publish events of the log anew, through the running server.

    Each gets a new id, which begins with that of the first one, and goes to the triggers that
    would hear it today. What it started is durable when the id appears.
    """
    settings = chosen_settings(project, data)
    client = client_of(settings, endpoint)
    found = asyncio.run(_find_all(settings, event_ids, source))
    for each in found:
        _send(client, each, as_json)


async def _find_all(
    settings: Settings, references: tuple[str, ...], source: str | None
) -> list[InboxEvent]:
    """The events; all must be there before any is sent."""
    found: list[InboxEvent] = []
    async with reading(settings) as log:
        for reference in references:
            received = await find_event(log, reference, source)
            if received is None:
                raise _unknown(reference)
            found.append(received)
    return found


def _send(client: Client, received: InboxEvent, as_json: bool) -> None:
    answer = client.send_again(received.event.source, received.event.id)
    if as_json:
        write_json_line(answer)
        return
    started = answer.get("executions")
    names = ", ".join(started) if isinstance(started, dict) else ""
    write_line(
        printable(f"{answer['id']}  {f'started by {names}' if names else 'started nothing'}")
    )
