"""`eventmill history`: the events of one execution."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from eventmill.cli.failures import EXIT_CODES
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import write_document
from eventmill.cli.recorded import find_execution, reading
from eventmill.cli.tables import Column, Line, Part, Table, show
from eventmill.cli.texts import printable, short, short_json, short_payload
from eventmill.codec import aws_event
from eventmill.errors import LogDamaged
from eventmill.machine.history import Details, HistoryEvent
from eventmill.model import Json, Payload
from eventmill.rows import ExecutionRow, StepRow
from eventmill.runtime.replay import history as history_of
from eventmill.runtime.settings import Settings

_DETAIL_SHOWN_MAX: Final = 70
_FAILURE_SHOWN_MAX: Final = 160

_BAD: Final = ("Failed", "TimedOut", "Aborted")
_COLUMNS: Final = (
    Column(title="Id", right=True),
    Column(title="Previous", right=True),
    Column(title="Seconds", right=True),
    Column(title="Type", colour=lambda type: "red" if type.endswith(_BAD) else ""),
    Column(title="State"),
    Column(title="Detail"),
)


@click.command(epilog=EXIT_CODES)
@click.argument("execution", metavar="EXECUTION")
@settings_options
@click.option("--full", is_flag=True, help="Show all details, payloads whole.")
@json_option
def history(execution: str, project: Path, data: Path | None, full: bool, as_json: bool) -> None:
    """Show the events of an execution, oldest first.

    EXECUTION is an ARN, a name, or how a name begins, if no other does. Times are seconds since the
    start. With --json the answer is that of AWS's GetExecutionHistory.
    """
    settings = chosen_settings(project, data)
    row, events = asyncio.run(_read(settings, execution))
    if as_json:
        write_document({"events": [aws_event(event) for event in events]})
    elif full:
        show(_full_page(row, events))
    else:
        show((Table(columns=_COLUMNS, rows=list(_rows(row, events))),))


async def _read(settings: Settings, reference: str) -> tuple[ExecutionRow, list[HistoryEvent]]:
    async with reading(settings) as log:
        row = await find_execution(log, settings, reference)
        return row, _events(row, await log.read(row.id))


def _events(row: ExecutionRow, steps: Sequence[StepRow]) -> list[HistoryEvent]:
    try:
        return history_of(steps)
    except ValueError as error:
        raise LogDamaged(f"{row.arn}: {error}") from error


def _rows(row: ExecutionRow, events: Iterable[HistoryEvent]) -> Iterator[tuple[str, ...]]:
    states: dict[int, str] = {}  # by frame: the state it is in
    for event in events:
        name = (event.details or {}).get("name")
        if event.type.endswith("StateEntered") and isinstance(name, str):
            states[event.frame] = name
        yield (
            str(event.id),
            str(event.previous_id),
            f"{(event.at_ms - row.start_ms) / 1_000:.3f}",
            event.type,
            "" if event.type.startswith("Execution") else printable(states.get(event.frame, "")),
            _detail(event.details or {}),
        )


def _detail(details: Details) -> str:
    """The one thing about an event that tells most."""
    error, cause = details.get("error"), details.get("cause")
    if error is not None or cause is not None:
        text = ": ".join(str(part) for part in (error, cause) if part is not None)
        return short(text, _FAILURE_SHOWN_MAX)
    for name in ("input", "output", "parameters"):
        value = details.get(name)
        if isinstance(value, Payload):
            return f"{name} {short_payload(value, _DETAIL_SHOWN_MAX)}"
    others: dict[str, Json] = {
        name: value
        for name, value in details.items()
        if name != "name" and not isinstance(value, Payload)
    }
    return short_json(others, _DETAIL_SHOWN_MAX) if others else ""


def _full_page(row: ExecutionRow, events: Iterable[HistoryEvent]) -> Iterator[Part]:
    for event, cells in zip(events, _rows(row, events), strict=True):
        number, previous, seconds, type, state, _ = cells
        place = f"  {state}" if state else ""
        colour = "bold red" if type.endswith(_BAD) else "bold"
        text = f"{number} (after {previous})  {seconds} s  {type}{place}"
        yield Line(text=text, colour=colour)
        for name, value in (event.details or {}).items():
            shown = value.text.decode() if isinstance(value, Payload) else str(value)
            yield Line(text=f"    {name}: {printable(shown)}")
