"""What the tests of the command line share: a way to run it, and a project with a history."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result

from eventmill.cli.main import eventmill
from tests.cli.projects import write_recorded_project

Run: TypeAlias = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run the command line in this process; stdout is no terminal."""

    def run_(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(eventmill, [str(each) for each in arguments], input=stdin)

    return run_


@pytest.fixture(scope="session")
def history_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a log that nobody may change."""
    return write_recorded_project(tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def own_history_project(tmp_path: Path) -> Path:
    """A project with a log that the test may damage."""
    return write_recorded_project(tmp_path / "recorded")


@pytest.fixture
def document() -> Callable[[Result], Any]:
    """The one JSON document that a command wrote."""
    return lambda result: json.loads(result.stdout)
