"""The example project, copied for each test, so that nothing is written into the repository."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# As in a worker, the modules of `handlers/` are imported from the root of the project.
sys.path.append(str(ROOT))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the real schemas and an empty inbox, as the handlers of this test see it."""
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    (tmp_path / "data" / "inbox").mkdir(parents=True)
    monkeypatch.setenv("EVENTMILL_PROJECT", str(tmp_path))
    return tmp_path


@pytest.fixture
def inbox(project: Path) -> Path:
    """The watched folder of `project`."""
    return project / "data" / "inbox"


@pytest.fixture
def observations() -> Path:
    """The folder with the real files."""
    return ROOT / "examples" / "weather"
