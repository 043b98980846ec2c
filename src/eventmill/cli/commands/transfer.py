"""`eventmill audit export` and `audit import`: the log as an Avro object container."""

import asyncio
from pathlib import Path
from typing import Final

import click

from eventmill.cli.failures import EXIT_CODES, Refused
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import painted, write_document, write_line
from eventmill.cli.progress import told
from eventmill.cli.recorded import find_execution, reading
from eventmill.cli.texts import count
from eventmill.errors import LogDamaged
from eventmill.log.avro_export import Part, export_log
from eventmill.log.avro_import import import_log
from eventmill.runtime.settings import Settings

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_POSITION: Final = click.IntRange(min=1)


@click.command("export", epilog=EXIT_CODES)
@click.argument("file", type=_FILE)
@settings_options
@click.option("--from", "first", type=_POSITION, help="Only from this position of the chain.")
@click.option("--to", "last", type=_POSITION, help="Only up to this position of the chain.")
@click.option("--execution", help="Only the execution with this ARN or name.")
@json_option
def export(
    file: Path,
    project: Path,
    data: Path | None,
    first: int | None,
    last: int | None,
    execution: str | None,
    as_json: bool,
) -> None:
    """Write the log, all of one instant, into the new FILE, an Avro object container.

    A server may be at work. Parts (--from, --to, --execution) are for other programs: only a whole
    log can be imported. The schema is schemas/eventmill-log.avsc, and in the container itself.
    """
    settings = chosen_settings(project, data)
    part: Part | None = None
    if execution is not None:
        if first is not None or last is not None:
            raise click.UsageError("give --execution, or --from and --to")
        part = Part(execution=asyncio.run(_arn(settings, execution)))
    elif first is not None or last is not None:
        part = Part(first=first or 1, last=last)
    try:
        with told("Exporting", "rows") as progress:
            written = export_log(settings.log_path, file, part, progress)
    except FileExistsError as error:
        raise Refused(f"{error.filename} is there already, and is not overwritten") from error
    size = file.stat().st_size
    if as_json:
        write_document(
            {
                "log": str(settings.log_path),
                "file": str(file.resolve()),
                "whole": part is None,
                "records": written.records,
                "bytes": size,
                "position": written.position,
                "hash": written.hash.hex(),
            }
        )
        return
    whole = "the log" if part is None else "a part of the log, which cannot be imported"
    write_line(f"{painted('Exported', 'green')} {whole}: {file}")
    write_line(f"  {count(written.records, 'record')}, {size:,} bytes")
    write_line(f"  last row of the log: position {written.position}, hash {written.hash.hex()}")


async def _arn(settings: Settings, reference: str) -> str:
    async with reading(settings) as log:
        return (await find_execution(log, settings, reference)).arn


@click.command("import", epilog=EXIT_CODES)
@click.argument("file", type=_FILE)
@settings_options
@json_option
def import_(file: Path, project: Path, data: Path | None, as_json: bool) -> None:
    """Make the log of an empty data folder from FILE, which `audit export` wrote.

    Every row gets its place and its hash again, or there is no log. The server goes on with what
    was under way, so never run both logs.
    """
    settings = chosen_settings(project, data)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        with told("Importing", "rows") as progress:
            found = import_log(file, settings.log_path, progress)
    except FileExistsError as error:
        message = f"{error.filename} is there already: a log is imported into an empty data folder"
        raise Refused(message, "another data folder: --data DIR") from error
    except LogDamaged as error:
        raise Refused(f"{error}\n  nothing was imported") from error
    if as_json:
        write_document(
            {
                "log": str(settings.log_path),
                "file": str(file.resolve()),
                "events": found.events,
                "executions": found.executions,
                "steps": found.steps,
                "position": found.position,
                "hash": found.hash.hex(),
            }
        )
        return
    write_line(f"{painted('Imported and verified:', 'green')} {settings.log_path}")
    write_line(
        f"  {count(found.events, 'trigger event')}, {count(found.executions, 'execution')}, "
        f"{count(found.steps, 'step')}"
    )
    write_line(f"  last row: position {found.position}, hash {found.hash.hex()}")
