"""`make demo`, with fewer files: its own claims are the test."""

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventmill.log.lock import held


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "examples.demo", "--folder", str(folder), *options]


@contextmanager
def running(words: list[str], root: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    ) as process:
        try:
            yield process
        finally:
            process.terminate()  # should it still run; the demo then stops its server


def refusal(folder: Path, root: Path) -> str:
    """What the demo says when it fails at once."""
    done = subprocess.run(
        command(folder), cwd=root, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "Drop" not in done.stdout
    return done.stdout


@pytest.mark.timeout(180)
def test_the_demo_keeps_its_promises(project_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "the demo"
    with running(command(folder, "--copies", "2"), project_root) as process:
        told, _ = process.communicate()
    assert process.returncode == 0, told

    claims = re.findall(r"^ +✓ (.*)$", told, re.M)
    files = int(re.findall(r"(\d+) files", claims[1])[0])
    before = int(re.findall(r"first (\d+) events", claims[4])[0])
    months = int(re.findall(r"its (\d+) months", claims[5])[0])
    assert files >= 8  # more, when the first were too quick to be interrupted
    assert 20 < before < 1000
    assert months in (12, 48)
    assert [re.sub(r"\d+", "N", each) for each in claims] == [
        "The log is whole, up to its last row: N steps",
        "N files, N executions: none lost, none doubled",
        "N succeeded, and there is a result of each in data/results/",
        "seattle-broken.csv failed, and is in data/quarantine/ with the reason beside it:",
        "Its first N events are those from before the crash",
        "Each of its N months was done exactly once",
        "N messages, N objects, N executions: each exactly once",
    ]
    assert "kill -9, in the middle of the work" in told
    assert re.search(r"had \d+ of \d+ months done, \d+ events recorded, and \d+ tasks at w", told)
    assert re.search(r"recovered +[1-9]", told)
    assert "killed here; it goes on" in told
    assert "The chain is whole" in told
    assert "steps of 1 execution matched, byte for byte." in told
    results = {path.name for path in (folder / "data/results").glob("*.json")}
    assert len(results) == files - 1
    assert "sf-late.json" in results
    reason = json.loads((folder / "data/quarantine/seattle-broken.csv.reason.json").read_text())
    assert reason["reason"]["Error"] == "WeatherFileInvalid"
    try_what_it_advises(told, project_root)


def try_what_it_advises(told: str, root: Path) -> None:
    """Run the commands under "Look around", as they stand there."""
    advised = told.partition("Look around:")[2].partition("Go on")[0]
    commands = re.findall(r"^ +\$ (.*)$", advised, re.M)
    assert len(commands) == 5
    for line in commands:
        done = subprocess.run(
            shlex.split(line), cwd=root, capture_output=True, encoding="utf-8", check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), line
        assert done.stdout, line


@pytest.mark.timeout(60)
def test_ctrl_c_stops_the_server_too(project_root: Path, tmp_path: Path) -> None:
    with running(command(tmp_path / "demo", "--copies", "1"), project_root) as process:
        assert process.stdout is not None
        ready = next(line for line in process.stdout if "Ready." in line)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()

    assert ready
    assert process.returncode == 130
    assert rest.endswith("Stopped, and the server with it.\n")
    with held(tmp_path / "demo" / ".eventmill" / "log.db"):
        pass  # nobody holds the log any more


def test_a_folder_of_somebody_else_is_left_alone(project_root: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    told = refusal(tmp_path, project_root)

    assert f"The demo failed: {tmp_path} is not empty, and was not made by the demo" in told
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_made_is_told(project_root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    assert "The demo failed: the folder cannot be made" in refusal(
        tmp_path / "file" / "below", project_root
    )


def test_a_folder_with_a_server_at_work_is_left_alone(project_root: Path, tmp_path: Path) -> None:
    (tmp_path / ".made-by-the-demo").touch()
    (tmp_path / ".eventmill").mkdir()

    with held(tmp_path / ".eventmill" / "log.db"):
        told = refusal(tmp_path, project_root)

    assert re.search(r"is in use by the process \d+: stop that server first", told)
    assert (tmp_path / ".eventmill").is_dir()
