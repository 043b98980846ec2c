"""What every command writes with: lines, JSON documents, and colour where a terminal shows it."""

import os
import sys
from typing import TextIO

import click
import msgspec

from eventmill.model import Json, encode_json


def is_terminal(file: TextIO) -> bool:
    """Whether somebody looks at what is written to `file`."""
    return file.isatty() and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: str, file: TextIO | None = None) -> str:
    """`text` in a colour, if `file` (or stdout) is a terminal and NO_COLOR (no-color.org) unset."""
    if os.environ.get("NO_COLOR") or not is_terminal(file or sys.stdout):
        return text
    return click.style(text, fg=colour, bold=True)


def write_line(text: str) -> None:
    """Write a line to stdout, at once."""
    click.echo(text)


def write_document(value: Json) -> None:
    """Write the one JSON document that a command answers with `--json`."""
    click.echo(msgspec.json.format(encode_json(value), indent=2).decode())


def write_json_line(value: Json) -> None:
    """Write one line of a stream of JSON documents, at once."""
    click.echo(encode_json(value).decode())
