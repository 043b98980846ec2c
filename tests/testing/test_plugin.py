"""The fixtures, in the tests of a project as `eventmill new` makes it, run by pytest itself."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from eventmill.errors import SettingsError
from eventmill.testing import EmbeddedKafka, MotoServer, extra
from tests.cli.conftest import (
    Run,
    run,  # noqa: F401 - a fixture
)

CONFTEST: Final = 'pytest_plugins = ["eventmill.testing.pytest"]\n'

TESTS: Final = """
import os
import shutil

import boto3


def test_a_file_becomes_a_summary(running_eventmill, eventmill_project):
    shutil.copy("cities.csv", eventmill_project / "inbox" / "cities.csv")

    (execution,) = running_eventmill.ended(1, "count-rows")

    assert execution["status"] == "SUCCEEDED"
    assert execution["output"]["rows"] == 3
    assert execution["input"]["name"] == "cities.csv"
    running_eventmill.kill()
    running_eventmill.start()
    assert len(running_eventmill.executions()) == 1


def test_the_next_test_has_a_log_and_an_inbox_of_its_own(running_eventmill, eventmill_project):
    assert running_eventmill.executions() == []
    assert list((eventmill_project / "inbox").iterdir()) == []


def test_handlers_find_both(running_eventmill, aws, kafka):
    client = running_eventmill.client()
    client.start_execution(
        stateMachineArn="arn:aws:states:local:000000000000:stateMachine:look-around", input="{}"
    )

    (execution,) = running_eventmill.ended(1, "look-around", seconds=20)

    assert execution["output"] == {
        "aws": aws.endpoint,
        "kafka": kafka.bootstrap_servers,
        "profile": None,
    }


def test_boto3_finds_moto_and_it_is_empty(aws, kafka):
    s3 = boto3.client("s3")
    assert s3.list_buckets()["Buckets"] == []
    s3.create_bucket(Bucket="data")
    assert os.environ["KAFKA_BOOTSTRAP_SERVERS"] == kafka.bootstrap_servers
    kafka.publish("orders", "a")


def test_and_for_the_next_test_it_is_empty_again(aws):
    assert boto3.client("s3").list_buckets()["Buckets"] == []
    assert "KAFKA_BOOTSTRAP_SERVERS" not in os.environ
"""

LOOK_AROUND: Final = """{
  "StartAt": "Look",
  "States": {
    "Look": {
      "Type": "Task",
      "Resource": "arn:aws:lambda:local:000000000000:function:look",
      "End": true
    }
  }
}
"""

LOOK: Final = """
import os


def look(event, context):
    return {
        "aws": os.environ.get("AWS_ENDPOINT_URL"),
        "kafka": os.environ.get("KAFKA_BOOTSTRAP_SERVERS"),
        "profile": os.environ.get("AWS_PROFILE"),
    }
"""


def pytest_in(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """pytest at work in a folder, with the settings of that folder only."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": "", "AWS_PROFILE": "production"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_a_project_is_tested_with_no_docker_and_no_account(
    run: Run,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    project = tmp_path / "project"
    assert run("new", project).exit_code == 0
    (project / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (project / "conftest.py").write_text(CONFTEST)
    (project / "test_project.py").write_text(TESTS)
    (project / "workflows" / "look-around.asl.json").write_text(LOOK_AROUND)
    (project / "handlers" / "looking.py").write_text(LOOK)

    done = pytest_in(project, "-q")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
    assert not (project / ".eventmill").exists()


def test_the_project_may_lie_elsewhere(
    run: Run,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    assert run("new", tmp_path / "apps" / "counting").exit_code == 0
    (tmp_path / "pytest.ini").write_text("[pytest]\neventmill_project = apps/counting\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(
        "def test_it(eventmill_project):\n"
        "    assert (eventmill_project / 'workflows' / 'count-rows.asl.json').is_file()\n"
        "    assert (eventmill_project / 'inbox').is_dir()\n"
    )

    done = pytest_in(tmp_path, "-q")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "broken.asl.json").write_text("{}")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(
        "from eventmill.testing import EventmillServer\n"
        "from pathlib import Path\n"
        "def test_it():\n"
        "    EventmillServer(Path('.')).start()\n"
    )

    done = pytest_in(tmp_path, "-q")

    assert done.returncode == 1
    assert "SettingsError" in done.stdout
    assert "broken.asl.json" in done.stdout


@pytest.mark.parametrize("package", ["moto", "flask"])
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    hide(monkeypatch, package)

    with pytest.raises(SettingsError) as raised:
        MotoServer().start()

    assert str(raised.value) == (
        f"{package} is not installed, and local testing needs it: pip install 'eventmill[testing]'"
    )


def test_without_confluent_kafka_there_is_no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "confluent_kafka")

    with pytest.raises(SettingsError, match="confluent_kafka is not installed"):
        EmbeddedKafka().start()


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let a package look as if it were not installed."""
    monkeypatch.setattr(
        extra, "find_spec", lambda name: None if name == package else find_spec(name)
    )
