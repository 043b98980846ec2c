"""`eventmill new`: a project that runs at once."""

import os
import shlex
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath
from typing import Final

import click

from eventmill.cli.debugging import debug_option
from eventmill.cli.failures import EXIT_CODES, Refused
from eventmill.cli.options import json_option
from eventmill.cli.output import painted, write_document, write_line

# Git and the build would take these for their own where the scaffold lies.
_RENAMED: Final = {"gitignore": ".gitignore", "gitkeep": ".gitkeep"}
_NAME: Final = "{{name}}"


@click.command(epilog=EXIT_CODES)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", help="What the project is called. [default: as its folder]")
@debug_option
@json_option
def new(folder: Path, name: str | None, as_json: bool) -> None:
    """Make a project in DIR that runs at once.

    It counts the rows of CSV files that are dropped into a folder. DIR must be empty or not there.
    """
    root = folder.resolve()
    _require_empty(root)
    name = name or root.name
    written = [_write(root, path, source, name) for path, source in scaffold()]
    if as_json:
        write_document({"project": str(root), "files": [str(path) for path in written]})
    else:
        _show(folder, root, written)


def scaffold() -> Iterator[tuple[PurePath, Traversable]]:
    """The files of a new project, by their path in it."""
    return _within(files("eventmill.cli") / "scaffold", PurePath())


def _within(folder: Traversable, path: PurePath) -> Iterator[tuple[PurePath, Traversable]]:
    for source in sorted(folder.iterdir(), key=lambda each: each.name):
        if source.name == "__pycache__":
            continue  # an installer has compiled the handlers
        inside = path / _RENAMED.get(source.name, source.name)
        if source.is_dir():
            yield from _within(source, inside)
        else:
            yield inside, source


def _require_empty(root: Path) -> None:
    if root.is_dir():
        found = sorted(os.listdir(root))
        if found:
            message = f"{root} is not empty: it has {', '.join(found[:3])}"
            raise Refused(message + (", …" if len(found) > 3 else ""), "a new folder")
    elif root.exists():
        raise Refused(f"{root} is a file", "a new folder")


def _write(root: Path, path: PurePath, source: Traversable, name: str) -> PurePath:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    text = source.read_text(encoding="utf-8").replace(_NAME, name)
    target.write_text(text, encoding="utf-8", newline="\n")
    return path


def _show(folder: Path, root: Path, written: list[PurePath]) -> None:
    write_line(f"{painted('Made', 'green')} {root}")
    for path in written:
        write_line(f"  {path}")
    write_line("Next:")
    write_line(f"  cd {shlex.quote(str(folder))}")
    write_line("  eventmill up")
    write_line("  cp cities.csv inbox/      # in a second terminal")
