"""`eventmill sensors`: how the sensors of the running server are doing."""

import time
from pathlib import Path
from typing import Any, Final

import click

from eventmill.cli.failures import EXIT_CODES
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import write_document
from eventmill.cli.project_server import client_of
from eventmill.cli.tables import Column, Line, Table, show
from eventmill.cli.texts import duration, local_time, printable
from eventmill.instant import parse_instant

_STATE_COLOURS: Final = {"running": "green", "backing off": "yellow", "stuck": "red"}
_COLUMNS: Final = (
    Column(title="Sensor"),
    Column(title="Source"),
    Column(title="State", colour=lambda state: _STATE_COLOURS.get(state, "")),
    Column(title="Since"),
    Column(title="Last progress"),
    Column(title="Events", right=True),
    Column(title="Lag", right=True),
    Column(title="Problem"),
)


@click.command(epilog=EXIT_CODES)
@settings_options
@click.option("--endpoint", metavar="URL", help="The server. [default: the project's]")
@json_option
def sensors(project: Path, data: Path | None, endpoint: str | None, as_json: bool) -> None:
    """Show how the sensors of the running server are doing.

    A sensor is running (also when nothing comes), backing off after a failure, or stuck: silent
    although it should have given a sign of life.
    """
    settings = chosen_settings(project, data)
    answer: dict[str, Any] = client_of(settings, endpoint).get("/sensors")
    if as_json:
        write_document(answer)
    elif not answer["sensors"]:
        show([Line(text="No sensors: no trigger has a Source.")])
    else:
        now_ms = time.time_ns() // 1_000_000
        show([Table(columns=_COLUMNS, rows=[_row(each, now_ms) for each in answer["sensors"]])])


def _row(sensor: dict[str, Any], now_ms: int) -> tuple[str, ...]:
    progress, lag = sensor["lastProgress"], sensor["lag"]
    return (
        printable(", ".join(sensor["triggers"])),
        printable(sensor["name"]),
        sensor["state"],
        local_time(parse_instant(sensor["since"])),
        f"{duration(max(0, now_ms - parse_instant(progress)))} ago" if progress else "none yet",
        f"{sensor['events'] - sensor['duplicates']:,}",
        "" if lag is None else f"{lag:,}",
        printable(sensor["problem"] or ""),
    )
