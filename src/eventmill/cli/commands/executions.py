"""`eventmill executions`: what runs and what ran."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import click

from eventmill.arn import is_name
from eventmill.cli import execution_view
from eventmill.cli.execution_view import SUCCEEDED
from eventmill.cli.failures import EXIT_CODES, FAILED
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import is_terminal, write_document, write_json_line, write_line
from eventmill.cli.recorded import Recorded, find_execution, newest, reading, recorded
from eventmill.cli.tables import STATUS_COLOURS, drawn, live, show
from eventmill.cli.texts import count, duration
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.execution import RUNNING
from eventmill.rows import ExecutionRow
from eventmill.runtime.settings import Settings

_LOOK_SECONDS: Final = 0.25
_STATES_SHOWN_MAX: Final = 5


@click.group()
def executions() -> None:
    """List executions, or show one.

    Both read the log in the data folder, so they work with and without a server.
    """


@executions.command("list", epilog=EXIT_CODES)
@settings_options
@click.option("--machine", metavar="NAME|ARN", help="Only of this state machine.")
@click.option(
    "--status",
    type=click.Choice(list(STATUS_COLOURS), case_sensitive=False),
    help="Only those with this status.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many, the newest.",
)
@click.option("--watch", is_flag=True, help="Go on, and show what changes, until Ctrl-C.")
@json_option
def list_executions(
    project: Path,
    data: Path | None,
    machine: str | None,
    status: str | None,
    limit: int,
    watch: bool,
    as_json: bool,
) -> None:
    """List the newest executions."""
    settings = chosen_settings(project, data)
    if machine is not None and not machine.startswith("arn:"):
        if not is_name(machine):
            raise click.BadParameter(f"{machine!r} cannot name a state machine")
        machine = settings.home.state_machine(machine)

    async def read(log: SqliteEventLog) -> list[ExecutionRow]:
        return [row async for row in newest(log, limit, state_machine_arn=machine, status=status)]

    async def once() -> list[ExecutionRow]:
        async with reading(settings) as log:
            return await read(log)

    async def forever() -> AsyncIterator[list[ExecutionRow]]:
        async with reading(settings) as log:
            while True:
                yield await read(log)
                await asyncio.sleep(_LOOK_SECONDS)

    if watch:
        asyncio.run(_watch_list(forever(), limit, as_json))
    elif as_json:
        rows = asyncio.run(once())
        write_document({"executions": [execution_view.list_item(row) for row in rows]})
    else:
        show(execution_view.list_page(asyncio.run(once()), limit))


async def _watch_list(pages: AsyncIterator[list[ExecutionRow]], limit: int, as_json: bool) -> None:
    if is_terminal(sys.stdout) and not as_json:
        with live() as place:
            async for rows in pages:
                place.update(drawn(execution_view.list_page(rows, limit)), refresh=True)
        return
    seen: dict[int, str] = {}
    async for rows in pages:
        for row in reversed(rows):
            if seen.get(row.id) == row.status:
                continue
            seen[row.id] = row.status
            if as_json:
                write_json_line(execution_view.list_item(row))
            else:
                write_line("  ".join(execution_view.cells(row)).rstrip())


@executions.command("show", epilog=EXIT_CODES)
@click.argument("execution", metavar="EXECUTION")
@settings_options
@click.option("--full", is_flag=True, help="Show payloads whole, and all states.")
@click.option(
    "--watch",
    is_flag=True,
    help="Go on until the execution ends; then 0 means that it succeeded.",
)
@json_option
def show_execution(
    execution: str, project: Path, data: Path | None, full: bool, watch: bool, as_json: bool
) -> None:
    """Show one execution: its ARN, its name, or how its name begins, if no other does.

    Of a running execution it shows which states it is in and what they wait for.
    """
    settings = chosen_settings(project, data)
    if watch:
        status = asyncio.run(_watch(settings, execution, full=full, as_json=as_json))
        raise click.exceptions.Exit(0 if status == SUCCEEDED else FAILED)
    found = asyncio.run(_read_once(settings, execution))
    if as_json:
        write_document(execution_view.document(found, found.at()))
    else:
        show(execution_view.page(found, found.at(), full=full))


async def _read_once(settings: Settings, reference: str) -> Recorded:
    async with reading(settings) as log:
        row = await find_execution(log, settings, reference)
        return await recorded(log, settings, row)


async def _changes(settings: Settings, reference: str) -> AsyncIterator[Recorded]:
    """The execution whenever it has got further, until it has ended."""
    async with reading(settings) as log:
        row = await find_execution(log, settings, reference)
        seen: tuple[str, int] | None = None
        while True:
            if (row.status, row.steps) != seen:
                seen = (row.status, row.steps)
                yield await recorded(log, settings, row)
            if row.status != RUNNING:
                return
            await asyncio.sleep(_LOOK_SECONDS)
            row = await log.execution(row.arn) or row


async def _watch(settings: Settings, reference: str, *, full: bool, as_json: bool) -> str:
    status = RUNNING
    if is_terminal(sys.stdout) and not as_json:
        with live() as place:
            async for found in _changes(settings, reference):
                status = found.row.status
                place.update(drawn(execution_view.page(found, found.at(), full=full)), refresh=True)
        return status
    async for found in _changes(settings, reference):
        status = found.row.status
        if as_json:
            write_json_line(execution_view.document(found, found.at()))
        else:
            write_line(_progress(found))
    return status


def _progress(found: Recorded) -> str:
    execution = found.at()
    names = [execution_view.path(frame) for frame in execution_view.standing(execution)]
    parts: Sequence[str] = (
        duration(execution_view.took_ms(found.row)),
        found.row.status,
        count(execution.sequence, "event"),
        ", ".join(names[:_STATES_SHOWN_MAX]) + (" …" if len(names) > _STATES_SHOWN_MAX else ""),
        ": ".join(text for _, text in execution_view.outcome_fields(execution, full=False)),
    )
    return "  ".join(part for part in parts if part)
