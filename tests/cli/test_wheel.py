"""An installed wheel has all that a new project needs, far from this repository."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.cli.servers import started


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """The interpreter of a fresh environment with the wheel; other libraries are this one's."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    check([*build, "--directory", str(folder)], project_root)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    (libraries,) = (folder / "venv" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(libraries)
    # After its own, so that the wheel is found before this repository.
    (libraries / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin" / "python"


def check(command: list[str], cwd: Path) -> str:
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_new_project_runs_from_an_installed_wheel(python: Path, tmp_path: Path) -> None:
    where = [str(python), "-P", "-c", "import eventmill; print(eventmill.__file__)"]
    assert check(where, tmp_path).startswith(f"{python.parent.parent}/lib/")
    eventmill = [str(python), "-P", "-m", "eventmill"]
    check([*eventmill, "new", "rivers"], tmp_path)
    project = tmp_path / "rivers"
    assert "No mistakes" in check([*eventmill, "validate"], project)

    with started([*eventmill, "up", "--json", "--port", "0"], project) as running:
        running.told("ready")
        shutil.copy(project / "cities.csv", project / "inbox")
        assert running.told("ended")["status"] == "SUCCEEDED"

    assert json.loads((project / "results" / "cities.csv.json").read_text())["rows"] == 3
    assert ", 3 steps\n" in check([*eventmill, "audit", "verify"], project)
