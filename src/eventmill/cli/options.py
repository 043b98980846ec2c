"""Options that many commands share, and the settings they lead to."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from eventmill.cli.debugging import debug_option
from eventmill.runtime.settings import SETTINGS_FILE, Settings, load_settings

_Function = TypeVar("_Function", bound=Callable[..., Any])

json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON, for programs."
)

_FOLDER: Final = click.Path(path_type=Path)


def project_option(function: _Function) -> _Function:
    """Add `--project` and `--debug`; the command gets `project`, an absolute path."""
    option = click.option(
        "--project",
        type=_FOLDER,
        metavar="DIR",
        callback=_project,
        help="The project's folder. [default: the nearest upwards from here]",
    )
    return option(debug_option(function))


def settings_options(function: _Function) -> _Function:
    """Add `--project`, `--data` and `--debug`; `chosen_settings` takes the first two."""
    option = click.option(
        "--data",
        type=_FOLDER,
        metavar="DIR",
        help="The data folder. [default: as in eventmill.toml, else .eventmill]",
    )
    return project_option(option(function))


def chosen_settings(project: Path, data: Path | None = None) -> Settings:
    """The settings of a project, with another data folder where one is given.

    Raises:
        SettingsError: There is no such folder, or its settings are wrong.
    """
    settings = load_settings(project)
    return settings if data is None else replace(settings, data=data.resolve())


def is_project(folder: Path) -> bool:
    """Whether a folder looks like a project: it has `workflows/` or a settings file."""
    return (folder / "workflows").is_dir() or (folder / SETTINGS_FILE).is_file()


def find_project(start: Path) -> Path | None:
    """The nearest folder that looks like a project: `start` or one above it."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if is_project(folder)), None)


def _project(ctx: click.Context, parameter: click.Parameter, given: Path | None) -> Path:
    return given.resolve() if given is not None else find_project(Path.cwd()) or Path.cwd()
