"""Fixtures for tests of your own: `pytest_plugins = ["eventmill.testing.pytest"]` in conftest.py.

| fixture | what a test gets |
|---|---|
| `kafka` | an `EmbeddedKafka` of its own, and `KAFKA_BOOTSTRAP_SERVERS` |
| `aws` | the `MotoServer` of the test run, emptied, and an environment that leads boto3 to it |
| `eventmill_project` | a copy of the project, with no log and no files that earlier runs left |
| `running_eventmill` | an `EventmillServer` at work on it, with `kafka` and `aws` if asked for |
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from eventmill.runtime.project import load_project
from eventmill.runtime.settings import SETTINGS_FILE, load_settings
from eventmill.testing.aws import MotoServer
from eventmill.testing.kafka import EmbeddedKafka
from eventmill.testing.local import led_to
from eventmill.testing.server import EventmillServer
from eventmill.triggers.filesystem import FilesystemSource

PROJECT_OPTION: Final = "eventmill_project"

_PARTS: Final = ("workflows", "triggers", "handlers", "schemas", SETTINGS_FILE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option `eventmill_project` of pytest's settings."""
    parser.addini(PROJECT_OPTION, "the folder of the Eventmill project", "string", ".")


@pytest.fixture
def kafka() -> Iterator[EmbeddedKafka]:
    """Kafka in this process, empty, and gone after the test."""
    with EmbeddedKafka() as running, led_to(running.environment):
        yield running


@pytest.fixture(scope="session")
def aws_server() -> Iterator[MotoServer]:
    """moto's server, one for all tests of this process."""
    with MotoServer() as running:
        yield running


@pytest.fixture
def aws(aws_server: MotoServer) -> Iterator[MotoServer]:
    """AWS on this machine, empty; boto3 finds it by itself."""
    aws_server.reset()
    with led_to(aws_server.environment):
        yield aws_server


@pytest.fixture
def eventmill_project(pytestconfig: pytest.Config, tmp_path: Path) -> Path:
    """A copy of the project's workflows, triggers, handlers, schemas and settings.

    The folders that it watches are there, and empty.
    """
    root = pytestconfig.rootpath / str(pytestconfig.getini(PROJECT_OPTION))
    copy = tmp_path / "project"
    copy.mkdir()
    for part in _PARTS:
        if (root / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(root / part, copy / part, ignore=ignored)
        elif (root / part).exists():
            shutil.copy(root / part, copy / part)
    for trigger in load_project(load_settings(copy)).triggers:
        if isinstance(trigger.source, FilesystemSource):
            (copy / trigger.source.path).mkdir(parents=True, exist_ok=True)
    return copy


@pytest.fixture
def running_eventmill(
    request: pytest.FixtureRequest, eventmill_project: Path
) -> Iterator[EventmillServer]:
    """A server at work on the copy, stopped after the test.

    When the test asks for `kafka` or `aws` too, in whatever order, the server and its handlers use
    these.
    """
    environment: dict[str, str] = {}
    for name in ("kafka", "aws"):
        if name in request.fixturenames:
            environment |= request.getfixturevalue(name).environment
    with EventmillServer(eventmill_project, environment=environment) as running:
        yield running
