"""`eventmill audit`: whether the log is as it was written, and what proves it elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from eventmill.cli.commands.transfer import export, import_
from eventmill.cli.debugging import debug_option
from eventmill.cli.failures import EXIT_CODES, FAILED, Refused
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import painted, write_document, write_line
from eventmill.cli.texts import count, local_time
from eventmill.errors import LogDamaged
from eventmill.log.audit import Audit, audit_database, noted_checkpoints, noted_database
from eventmill.log.checkpoints import (
    Checkpoint,
    append_checkpoints,
    encode_checkpoint,
    read_checkpoints,
)
from eventmill.log.signing import KeyFileError, SigningKey, VerifyingKey, make_key
from eventmill.model import decode_json
from eventmill.runtime.clock import SystemClock

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group()
def audit() -> None:
    """Check that the log is as it was written, and keep proofs of it."""


audit.add_command(export)
audit.add_command(import_)


@audit.command("verify", epilog=EXIT_CODES)
@settings_options
@click.option(
    "--checkpoints", type=_FILE, help="Compare the log with the checkpoints in this file, too."
)
@click.option("--key", type=_FILE, help="The public key that must have signed them.")
@json_option
def verify(
    project: Path, data: Path | None, checkpoints: Path | None, key: Path | None, as_json: bool
) -> None:
    """Follow the chain of hashes from the first row of the log to the last.

    It only reads the file: a server may be at work on it, or it may be a copy. Only checkpoints
    that were kept somewhere else show that rows at the end were removed, or that all of the log
    was written anew: see `audit checkpoint`.
    """
    settings = chosen_settings(project, data)
    if key is not None and checkpoints is None:
        raise click.UsageError("--key is for the checkpoints in a file: give --checkpoints")
    given = [] if checkpoints is None else _given(checkpoints, key)
    try:
        found = audit_database(settings.log_path, given)
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
                "removed": found.removed,
                "checkpoints": found.checkpoints,
                "unreachable": found.unreachable,
                "snapshots": found.snapshots,
                "unsoundSnapshots": found.unsound,
                "position": found.position,
                "hash": found.hash.hex(),
                "problem": None if found.problem is None else str(found.problem),
            }
        )
        raise click.exceptions.Exit(FAILED if found.problem else 0)
    _show(settings.log_path, found)


def _given(path: Path, key: Path | None) -> Sequence[Checkpoint]:
    """The checkpoints of a file, all of them signed by a key if one is given."""
    try:
        checkpoints = read_checkpoints(path)
        verifying = None if key is None else VerifyingKey.read(key)
    except (LogDamaged, KeyFileError) as error:
        raise Refused(str(error)) from error
    if not checkpoints:
        raise Refused(f"{path} holds no checkpoint")
    for each in checkpoints if verifying else ():
        problem = verifying and verifying.problem(each)
        if problem:
            raise Refused(f"{path}: the checkpoint at position {each.position}: {problem}")
    return checkpoints


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
    if found.removed:
        write_line(f"  {count(found.removed, 'row')} removed by retention, as the chain states")
    if found.checkpoints or found.unreachable:
        beyond = f"; {found.unreachable:,} are of removed rows" if found.unreachable else ""
        agree = "agrees" if found.checkpoints == 1 else "agree"
        write_line(f"  {count(found.checkpoints, 'checkpoint')} {agree}{beyond}")
    if found.unsound:
        text = f"{count(found.unsound, 'snapshot')} not as written: the server will ignore them"
        write_line(f"  {painted(text, 'yellow')}")
    write_line(f"  last row: position {found.position}, hash {found.hash.hex()}")


@audit.command("checkpoint", epilog=EXIT_CODES)
@click.argument("file", type=_FILE, required=False)
@settings_options
@click.option("--key", type=_FILE, help="Sign it with this key, which `audit key` made.")
@click.option("--stored", is_flag=True, help="Write those that the server has stored instead.")
@json_option
def checkpoint(
    file: Path | None,
    project: Path,
    data: Path | None,
    key: Path | None,
    stored: bool,
    as_json: bool,
) -> None:
    """Verify the log, and add a checkpoint of its last row to FILE, or write it to stdout.

    A checkpoint is one line of JSON: position, hash, time and counts. Keep the file where whoever
    can write the log cannot write it; `audit verify --checkpoints FILE` compares them.
    """
    settings = chosen_settings(project, data)
    if stored and key is not None:
        raise click.UsageError("--stored writes checkpoints as they are, --key signs a new one")
    made = noted_checkpoints(settings.log_path) if stored else [_new(settings.log_path, key)]
    if file is not None:
        append_checkpoints(file, made)
    if as_json:
        lines = [decode_json(encode_checkpoint(each)) for each in made]
        write_document({"file": None if file is None else str(file), "checkpoints": lines})
    elif not made:
        write_line(f"The log {settings.log_path} holds no checkpoint yet.")
    elif file is None:
        for each in made:
            write_line(encode_checkpoint(each).decode())
    else:
        _show_added(file, made)


def _show_added(file: Path, made: Sequence[Checkpoint]) -> None:
    last = made[-1]
    signer = f", signed by {last.key}" if last.key else ""
    write_line(f"{painted('Added', 'green')} {count(len(made), 'checkpoint')} to {file}")
    write_line(
        f"  position {last.position}, hash {last.hash.hex()}, {local_time(last.at_ms)}{signer}"
    )


def _new(log: Path, key: Path | None) -> Checkpoint:
    try:
        sign = None if key is None else SigningKey.read(key).sign
        return noted_database(log, SystemClock().now_ms(), sign)
    except (LogDamaged, KeyFileError) as error:
        raise Refused(str(error)) from error


@audit.command("key", epilog=EXIT_CODES)
@click.argument("file", type=_FILE)
@debug_option
@json_option
def key(file: Path, as_json: bool) -> None:
    """Make a key that signs checkpoints: FILE, and FILE.pub to verify with."""
    try:
        made = make_key(file)
    except FileExistsError as error:
        raise Refused(f"{error.filename} is there already, and is not overwritten") from error
    public = f"{file}.pub"
    if as_json:
        write_document({"key": made.name, "private": str(file), "public": public})
        return
    write_line(f"{painted('Made the key', 'green')} {made.name}")
    write_line(f"  {file} signs: whoever has it can make checkpoints")
    write_line(f"  {public} verifies: keep it with the checkpoints")
