"""The tests that lie beside the workflows, run as a user runs them."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from eventmill.cli.main import eventmill
from tests.example.conftest import ROOT

WORKFLOWS = sorted(path.name for path in (ROOT / "workflows").glob("*.asl.json"))


def test_every_workflow_has_tests() -> None:
    tested = {path.name for path in (ROOT / "workflows").glob("*.test.yaml")}

    assert tested == {name.replace(".asl.json", ".test.yaml") for name in WORKFLOWS}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_they_pass(name: str, project: Path) -> None:
    for folder in ("workflows", "handlers", "examples"):
        shutil.copytree(ROOT / folder, project / folder)

    result = CliRunner().invoke(
        eventmill, ["test", name.removesuffix(".asl.json"), "--project", str(project)]
    )

    assert result.exit_code == 0, result.output
