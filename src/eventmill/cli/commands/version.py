"""`eventmill version`: what runs here, for bug reports."""

import platform

import click

from eventmill import __version__
from eventmill.cli.debugging import debug_option
from eventmill.cli.options import json_option
from eventmill.cli.output import write_document, write_line
from eventmill.log.connection import sqlite_version
from eventmill.runtime.interpreter import runs_compiled


@click.command()
@debug_option
@json_option
def version(as_json: bool) -> None:
    """Show the versions of Eventmill, Python and SQLite, and whether modules are compiled."""
    versions = {
        "eventmill": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite_version(),
        "modules": "compiled" if runs_compiled() else "interpreted",
    }
    if as_json:
        write_document({**versions})
    else:
        write_line("\n".join(f"{name} {number}" for name, number in versions.items()))
