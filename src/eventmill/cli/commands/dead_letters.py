"""`eventmill dead-letters`: events that a trigger could start nothing for."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from eventmill.cli.failures import EXIT_CODES
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import write_document
from eventmill.cli.recorded import reading
from eventmill.cli.tables import Column, Line, Table, show
from eventmill.cli.texts import printable
from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.ports import DeliveryRow
from eventmill.runtime.settings import Settings


@click.group("dead-letters")
def dead_letters() -> None:
    """Show the events that a trigger could start nothing for."""


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
        show([_table(rows)])
    else:
        show([Line(text="There are no dead letters.")])


async def _dead(settings: Settings, trigger: str | None, limit: int) -> Sequence[DeliveryRow]:
    async with reading(settings) as log:
        return await log.deliveries(trigger=trigger, status="DEAD", limit=limit)


def _table(rows: Sequence[DeliveryRow]) -> Table:
    titles = ("Dead since", "Trigger", "Source", "Event", "Reason")
    return Table(
        columns=[Column(title=title) for title in titles],
        rows=[
            [
                format_instant(row.decided_ms or row.since_ms),
                *map(printable, (row.trigger, *row.event, row.reason)),
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
