"""An execution after one of its events, in full: what `replay` shows beside the states."""

from collections.abc import Iterator
from typing import Final

from eventmill.cli.execution_view import path, payload_text
from eventmill.cli.tables import Column, Line, Part, Table
from eventmill.cli.texts import printable, short, short_payload
from eventmill.machine.commands import Command, RunMap, RunTask
from eventmill.machine.execution import RUNNING, Execution, Frame
from eventmill.machine.transition import outstanding
from eventmill.model import Json, Payload, encode_json

_CELL_SHOWN_MAX: Final = 60
_ROWS_SHOWN_MAX: Final = 20


def between(execution: Execution) -> Iterator[Frame]:
    """The branches and iterations that are about to enter a state, outermost first."""
    if execution.status == RUNNING:
        yield from (
            frame
            for id, frame in sorted(execution.frames.items())
            if frame.state is None and frame.parent is not None
        )


def scope(frame: Frame) -> str:
    """Which branch or iteration a frame is; empty for the execution's own."""
    return "" if frame.parent is None else f"{path(frame.parent)}[{frame.index}]"


def data_of(frame: Frame) -> Payload | None:
    """What a frame between two states hands on; None before its first one is entered."""
    return frame.data if frame.entered_id else None


def between_document(frame: Frame) -> dict[str, Json]:
    """A branch or an iteration between two states, for programs."""
    document: dict[str, Json] = {"path": path(frame), "next": frame.next}
    data = data_of(frame)
    if data is not None:
        document["data"] = data.text.decode()
    return document


def variables_document(execution: Execution) -> list[Json]:
    """All variables with where they were assigned; values as JSON text, as AWS shows them."""
    return [
        {"name": name, "scope": scope(frame), "value": encode_json(variable.value).decode()}
        for frame in execution.frames.values()
        for name, variable in frame.variables.items()
    ]


def command_document(execution: Execution, command: Command) -> dict[str, Json]:
    """A command that has no recorded answer, for programs."""
    document: dict[str, Json] = {"command": type(command).__name__}
    if isinstance(command, RunTask):
        document |= {
            "event": command.task,
            "path": path(execution.tasks[command.task]),
            "resource": command.resource.text,
            "parameters": command.parameters.text.decode(),
            "attempt": command.attempt,
            "idempotencyKey": command.idempotency_key,
        }
    elif isinstance(command, RunMap):
        document |= {
            "event": command.map_run,
            "path": path(execution.map_runs[command.map_run]),
            "mapRunArn": command.arn,
        }
    return document


def parts(execution: Execution, full: bool) -> Iterator[Part]:
    """Branches between two states, variables and outstanding commands, as tables."""
    yield from _table(
        ("Next state", "Data"),
        [(printable(path(frame)), _cell(data_of(frame), full)) for frame in between(execution)],
        full,
    )
    yield from _table(
        ("Variable", "Of", "Value"),
        [
            (printable(f"${name}"), printable(scope(frame)), _value(variable.value, full))
            for frame in execution.frames.values()
            for name, variable in frame.variables.items()
        ],
        full,
    )
    yield from _table(
        ("Outstanding", "State", "Resource", "Parameters"),
        [_command(execution, command, full) for command in outstanding(execution)],
        full,
    )


def _command(execution: Execution, command: Command, full: bool) -> tuple[str, ...]:
    if isinstance(command, RunTask):
        return (
            f"task {command.task}, attempt {command.attempt}",
            printable(path(execution.tasks[command.task])),
            printable(command.resource.text),
            _cell(command.parameters, full),
        )
    assert isinstance(command, RunMap)
    state = printable(path(execution.map_runs[command.map_run]))
    return f"Map Run {command.map_run}", state, printable(command.arn), ""


def _cell(payload: Payload | None, full: bool) -> str:
    if payload is None:
        return ""
    return payload_text(payload, True) if full else short_payload(payload, _CELL_SHOWN_MAX)


def _value(value: Json, full: bool) -> str:
    text = encode_json(value).decode()
    return printable(text) if full else short(text, _CELL_SHOWN_MAX)


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]], full: bool) -> Iterator[Part]:
    if not rows:
        return
    shown = rows if full else rows[:_ROWS_SHOWN_MAX]
    yield Line(text="")
    yield Table(columns=[Column(title=title) for title in titles], rows=shown)
    if len(shown) < len(rows):
        yield Line(text=f"… and {len(rows) - len(shown):,} more; --full shows all", colour="dim")
