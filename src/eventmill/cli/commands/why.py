"""`eventmill why`: what became of an event, or what led to an execution."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from eventmill.cli.causes import (
    DEAD,
    FAILED,
    SKIPPED,
    STARTED,
    WAITING,
    Answer,
    Hop,
    answer_document,
    answers,
    came_through,
    chain,
    hop_document,
)
from eventmill.cli.events import document, find_event
from eventmill.cli.failures import EXIT_CODES, Refused
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import painted, write_document, write_line
from eventmill.cli.recorded import find_execution, machine_name, reading
from eventmill.cli.texts import count, local_time, printable
from eventmill.errors import ExecutionDoesNotExist
from eventmill.events import AGAIN
from eventmill.rows import ExecutionRow, InboxEvent
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import Settings

_COLOURS: Final = {
    STARTED: "green",
    SKIPPED: "yellow",
    WAITING: "yellow",
    FAILED: "red",
    DEAD: "red",
}


@click.command(epilog=EXIT_CODES)
@click.argument("reference", metavar="EVENT|EXECUTION")
@settings_options
@click.option("--source", metavar="TEXT", help="The event's source, where several have its id.")
@json_option
def why(
    reference: str, project: Path, data: Path | None, source: str | None, as_json: bool
) -> None:
    """Tell what became of an event at each trigger, or what led to an execution.

    An event is named by its id, an execution by its ARN or its name; the beginning will do, if no
    other begins like that. The log is read, with and without a server.
    """
    settings = chosen_settings(project, data)
    event, execution = asyncio.run(_found(settings, reference, source))
    if event is not None:
        _tell_event(settings, event, as_json)
    elif execution is not None:
        _tell_execution(settings, execution, as_json)


async def _found(
    settings: Settings, reference: str, source: str | None
) -> tuple[InboxEvent | None, ExecutionRow | None]:
    async with reading(settings) as log:
        if not reference.startswith("arn:"):
            exact = await log.inbox(event_id=reference, source=source, limit=1)
            if exact or source is not None:
                event = await find_event(log, reference, source)
                if event is not None:
                    return event, None
        try:
            return None, await find_execution(log, settings, reference)
        except ExecutionDoesNotExist:
            event = await find_event(log, reference, source)
            if event is not None:
                return event, None
        raise Refused(
            f"neither an event nor an execution is called {reference!r}, or begins like that",
            "eventmill events list, or eventmill executions list",
        )


def _tell_event(settings: Settings, received: InboxEvent, as_json: bool) -> None:
    triggers = load_project(settings).triggers

    async def ask() -> list[Answer]:
        async with reading(settings) as log:
            return await answers(log, settings, triggers, received)

    told = asyncio.run(ask())
    if as_json:
        answer = document(received)
        answer["triggers"] = [answer_document(each) for each in told]
        write_document(answer)
        return
    write_line(_event_line(received))
    others = len({each.name for each in triggers} - {each.trigger for each in told})
    for number, each in enumerate(told, 1):
        branch = "└─" if number == len(told) else "├─"
        status = "" if each.execution is None else f" {each.execution.status}"
        outcome = painted(each.outcome, _COLOURS.get(each.outcome, "cyan"))
        write_line(f"{branch} trigger {printable(each.trigger)}: {outcome}")
        bar = "  " if number == len(told) else "│ "
        write_line(f"{bar}    {printable(each.reason)}{status}")
    if not told:
        write_line("└─ no trigger listened")
    if others > 0:
        write_line(f"{count(others, 'trigger')} of other sources did not hear of it.")


def _tell_execution(settings: Settings, row: ExecutionRow, as_json: bool) -> None:
    async def ask() -> list[Hop]:
        async with reading(settings) as log:
            return await chain(log, row)

    hops = asyncio.run(ask())
    if as_json:
        write_document({"executionArn": row.arn, "chain": [hop_document(each) for each in hops]})
        return
    for line in _tree(hops):
        write_line(line)


def _tree(hops: Sequence[Hop]) -> Iterator[str]:
    for depth, hop in enumerate(hops):
        branch = "" if depth == 0 else f"{'   ' * (depth - 1)}└─ "
        yield f"{branch}{_hop_line(hop)}"


def _hop_line(hop: Hop) -> str:
    if hop.event is not None:
        return _event_line(hop.event)
    if hop.execution is not None:
        row = hop.execution
        return printable(f"execution {row.name} of {machine_name(row)}: {row.status}")
    if hop.map_run is not None:
        return printable(f"Map Run {hop.map_run.arn.rsplit('/', 1)[-1]}: {hop.map_run.status}")
    if hop.by_hand:
        return "started by a call of StartExecution"
    return printable(f"trigger {hop.trigger}")


def _event_line(received: InboxEvent) -> str:
    event = received.event
    again = f", sent again of {event.id.partition(AGAIN)[0]}" if AGAIN in event.id else ""
    return printable(
        f"event {event.id} of {event.source} ({event.detail_type}), {came_through(event)}{again}, "
        f"received {local_time(received.received_ms)}"
    )
