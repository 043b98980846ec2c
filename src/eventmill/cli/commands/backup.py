"""`eventmill backup`: a copy of the log, made beside the server."""

from pathlib import Path

import click

from eventmill.cli.failures import EXIT_CODES, Refused
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import painted, write_document, write_line
from eventmill.cli.progress import told
from eventmill.cli.texts import count
from eventmill.errors import LogDamaged
from eventmill.log.backup import back_up


@click.command("backup", epilog=EXIT_CODES)
@click.argument("file", type=click.Path(path_type=Path))
@settings_options
@json_option
def backup(file: Path, project: Path, data: Path | None, as_json: bool) -> None:
    """Copy the log into the new FILE, all of one instant, and audit the copy.

    A server may be at work. FILE is not there before it is complete, verified and on the disk. To
    use a copy, put it into an empty data folder as log.db.
    """
    settings = chosen_settings(project, data)
    try:
        with told("Copying", "pages") as progress:
            audit = back_up(settings.log_path, file, progress)
    except FileExistsError as error:
        raise Refused(f"{error.filename} is there already, and is not overwritten") from error
    except LogDamaged as error:
        raise Refused(f"{error}\n  there is no copy", "eventmill audit verify") from error
    size = file.stat().st_size
    if as_json:
        write_document(
            {
                "log": str(settings.log_path),
                "copy": str(file.resolve()),
                "bytes": size,
                "position": audit.position,
                "hash": audit.hash.hex(),
            }
        )
        return
    write_line(f"{painted('Copied and verified:', 'green')} {file}")
    write_line(f"  {count(audit.position, 'row')} of the chain, {size:,} bytes")
    write_line(f"  last row: position {audit.position}, hash {audit.hash.hex()}")
