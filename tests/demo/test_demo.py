"""`make demo`, with fewer files: its own claims are the test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(150)
def test_the_demo_keeps_its_promises(project_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "the demo"
    words = [sys.executable, "examples/demo.py", "--folder", str(folder), "--copies", "3"]
    done = subprocess.run(
        words, cwd=project_root, capture_output=True, text=True, timeout=140, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill -9" in done.stdout
    assert "executions: none lost, none doubled." in done.stdout
    assert "The chain is whole" in done.stdout
    assert "matched, byte for byte" in done.stdout
    results = {path.name for path in (folder / "data/results").glob("*.json")}
    assert len(results) >= 10
    assert "sf-late.json" in results
    reason = json.loads((folder / "data/quarantine/seattle-broken.csv.reason.json").read_text())
    assert reason["reason"]["Error"] == "WeatherFileInvalid"


@pytest.mark.timeout(60)
def test_the_demo_says_when_something_is_not_as_it_should_be(
    project_root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "file"
    folder.write_text("in the way")
    words = [sys.executable, "examples/demo.py", "--folder", str(folder / "below")]
    done = subprocess.run(words, cwd=project_root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The demo failed" in done.stdout
