"""`eventmill audit`: whether the log is as it was written."""

from pathlib import Path

import click

from eventmill.cli.failures import EXIT_CODES, FAILED, Refused
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import painted, write_document, write_line
from eventmill.cli.texts import count
from eventmill.errors import LogDamaged
from eventmill.log.audit import Audit, audit_database


@click.group()
def audit() -> None:
    """Check that the log is as it was written."""


@audit.command("verify", epilog=EXIT_CODES)
@settings_options
@json_option
def verify(project: Path, data: Path | None, as_json: bool) -> None:
    """Follow the chain of hashes from the first row of the log to the last.

    It only reads the file: a server may be at work on it, or it may be a copy. Note the last
    position and hash somewhere else: only they can show later that rows at the end were removed.
    """
    settings = chosen_settings(project, data)
    try:
        found = audit_database(settings.log_path)
    except LogDamaged as error:
        raise Refused(str(error)) from error
    if as_json:
        write_document(
            {
                "log": str(settings.log_path),
                "whole": found.problem is None,
                "events": found.events,
                "executions": found.executions,
                "steps": found.steps,
                "purged": found.purged,
                "position": found.position,
                "hash": found.hash.hex(),
                "problem": None if found.problem is None else str(found.problem),
            }
        )
        raise click.exceptions.Exit(FAILED if found.problem else 0)
    _show(settings.log_path, found)


def _show(path: Path, found: Audit) -> None:
    read = ", ".join(
        (
            count(found.events, "trigger event"),
            count(found.executions, "execution"),
            count(found.steps, "step"),
        )
    )
    if found.problem is not None:
        message = f"the chain of {path} is broken at {found.problem}\n  read so far: {read}"
        raise Refused(message, "the last copy of the log that verifies")
    write_line(f"{painted('The chain is whole:', 'green')} {path}")
    write_line(f"  {read}" + (f"; {found.purged:,} bodies purged" if found.purged else ""))
    write_line(f"  last row: position {found.position}, hash {found.hash.hex()}")
