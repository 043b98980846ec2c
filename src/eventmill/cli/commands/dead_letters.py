"""`eventmill dead-letters`: events that a trigger could start nothing for."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from eventmill.cli.client import Client, OperationFailed
from eventmill.cli.events import find_event
from eventmill.cli.failures import EXIT_CODES, FAILED, Refused
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import write_document, write_json_line, write_line
from eventmill.cli.project_server import client_of
from eventmill.cli.recorded import reading
from eventmill.cli.tables import Column, Line, Table, show
from eventmill.cli.texts import count, printable
from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.ports import EventLog
from eventmill.rows import DeliveryRow
from eventmill.runtime.overlap import DEAD
from eventmill.runtime.settings import Settings

_PAGE: Final = 1_000


@click.group("dead-letters")
def dead_letters() -> None:
    """Show the events that a trigger could start nothing for, and send them to it again."""


@dead_letters.command("list", epilog=EXIT_CODES)
@settings_options
@click.option("--trigger", metavar="NAME", help="Only those of this trigger.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many, from the newest.",
)
@json_option
def list_dead_letters(
    project: Path, data: Path | None, trigger: str | None, limit: int, as_json: bool
) -> None:
    """List dead letters, newest first, with what was wrong.

    The log in the data folder is read, so this works with and without a server.
    """
    rows = asyncio.run(_dead(chosen_settings(project, data), trigger, limit))
    if as_json:
        write_document({"deadLetters": [_document(row) for row in rows]})
    elif rows:
        first = f"The newest {limit}; --limit shows more. " if len(rows) == limit else ""
        advice = f"{first}eventmill dead-letters redrive sends them to their triggers again."
        show([_table(rows), Line(text=advice, colour="dim")])
    else:
        show([Line(text="There are no dead letters.")])


async def _dead(settings: Settings, trigger: str | None, limit: int) -> Sequence[DeliveryRow]:
    async with reading(settings) as log:
        return await log.deliveries(trigger=trigger, status=DEAD, limit=limit)


def _table(rows: Sequence[DeliveryRow]) -> Table:
    titles = ("Dead since", "Trigger", "Source", "Event", "Attempts", "Reason")
    return Table(
        columns=[Column(title=title, right=title == "Attempts") for title in titles],
        rows=[
            [
                format_instant(row.decided_ms or row.since_ms),
                *map(printable, (row.trigger, *row.event, str(row.attempts), row.reason)),
            ]
            for row in rows
        ],
    )


def _document(row: DeliveryRow) -> dict[str, Json]:
    source, event_id = row.event
    return {
        "trigger": row.trigger,
        "eventSource": source,
        "eventId": event_id,
        "reason": row.reason,
        "attempts": row.attempts,
        "since": format_instant(row.decided_ms or row.since_ms),
    }


@dead_letters.command("redrive", epilog=EXIT_CODES)
@click.argument("event_ids", metavar="[ID]...", nargs=-1)
@settings_options
@click.option("--trigger", metavar="NAME", help="Only those of this trigger.")
@click.option("--all", "takes_all", is_flag=True, help="Those of all triggers.")
@click.option("--source", metavar="TEXT", help="The events' source, where several have an id.")
@click.option("--endpoint", metavar="URL", help="The server. [default: the project's]")
@json_option
def redrive(
    event_ids: tuple[str, ...],
    project: Path,
    data: Path | None,
    trigger: str | None,
    takes_all: bool,
    source: str | None,
    endpoint: str | None,
    as_json: bool,
) -> None:
    """Send dead letters to their triggers again, oldest first, through the running server.

    They are named by the ids of their events, or all of a trigger or of the project are meant. Each
    starts what its trigger says now, and what came of it is durable when it appears. One that can
    start nothing still stays a dead letter; the others go on, and the exit code is 1.
    """
    if takes_all and (event_ids or trigger is not None):
        raise click.UsageError("--all means all dead letters: give no ID and no --trigger.")
    if not (takes_all or event_ids or trigger is not None):
        raise click.UsageError("Say which: an ID, --trigger NAME or --all.")
    if source is not None and not event_ids:
        raise click.UsageError("--source says which event an ID means: give an ID.")
    settings = chosen_settings(project, data)
    client = client_of(settings, endpoint)
    rows = asyncio.run(_chosen(settings, event_ids, source, trigger))
    if not rows and not as_json:
        write_line("There are no dead letters.")
    remaining = sum(not _redrive(client, row, as_json) for row in rows)
    if remaining:
        left = f"{count(remaining, 'dead letter')} of {len(rows):,}"
        click.echo(f"{left} can start nothing still.", err=True)
        raise click.exceptions.Exit(FAILED)


async def _chosen(
    settings: Settings, references: Sequence[str], source: str | None, trigger: str | None
) -> list[DeliveryRow]:
    """The dead letters that are meant, oldest first; all named must be there before any is sent."""
    async with reading(settings) as log:
        if not references:
            return await _all(log, trigger)
        rows: dict[int, DeliveryRow] = {}
        for reference in references:
            found = await find_event(log, reference, source)
            if found is None:
                raise Refused(f"no event has the id {reference!r}, nor begins like that")
            event = (found.event.source, found.event.id)
            told = await log.deliveries(event=event, trigger=trigger, limit=_PAGE)
            dead = {row.id: row for row in told if row.status == DEAD}
            if not dead:
                of = "" if trigger is None else f" of the trigger {trigger}"
                raise Refused(
                    f"the event {found.event.id} is no dead letter{of}",
                    f"eventmill why {found.event.id}, which tells what became of it",
                )
            rows |= dead
        return [rows[id_] for id_ in sorted(rows)]


async def _all(log: EventLog, trigger: str | None) -> list[DeliveryRow]:
    rows: list[DeliveryRow] = []
    before_id: int | None = None
    while page := await log.deliveries(
        trigger=trigger, status=DEAD, before_id=before_id, limit=_PAGE
    ):
        rows += page
        before_id = page[-1].id
    rows.reverse()
    return rows


def _redrive(client: Client, row: DeliveryRow, as_json: bool) -> bool:
    """Send one again and say what came of it; whether it is a dead letter no more."""
    try:
        answer = client.redrive(row.trigger, *row.event)
    except OperationFailed as error:
        if error.name != "ResourceNotFound":
            raise
        # Its trigger has gone or is switched off: that is nothing that all the others have, too.
        answer = {"trigger": row.trigger, "source": row.event[0], "id": row.event[1]}
        answer |= {"status": DEAD, "reason": error.told, "execution": None}
    status, execution = str(answer["status"]), answer["execution"]
    if as_json:
        write_json_line(answer)
    else:
        what = f"started {execution}" if status == "STARTED" else f"{status}: {answer['reason']}"
        write_line(printable(f"{row.event[1]}  {row.trigger}: {what}"))
    return status != DEAD
