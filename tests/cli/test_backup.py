"""`eventmill backup`."""

import json
from pathlib import Path

from eventmill.log.audit import audit_database
from tests.cli.conftest import Run


def test_a_copy_that_verifies(run: Run, history_project: Path, tmp_path: Path) -> None:
    result = run("backup", tmp_path / "copy.db", "--project", history_project)

    audit = audit_database(tmp_path / "copy.db")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"Copied and verified: {tmp_path}/copy.db",
        f"  9 rows of the chain, {(tmp_path / 'copy.db').stat().st_size:,} bytes",
        f"  last row: position 9, hash {audit.hash.hex()}",
    ]
    assert audit == audit_database(history_project / ".eventmill/log.db")


def test_a_copy_for_programs(run: Run, history_project: Path, tmp_path: Path) -> None:
    result = run("backup", tmp_path / "copy.db", "--json", "--project", history_project)

    copy = tmp_path / "copy.db"
    assert json.loads(result.stdout) == {
        "log": f"{history_project}/.eventmill/log.db",
        "copy": str(copy),
        "bytes": copy.stat().st_size,
        "position": 9,
        "hash": audit_database(copy).hash.hex(),
    }


def test_the_log_of_a_copy_is_shown(run: Run, history_project: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "log.db", "--project", history_project)

    shown = run("executions", "list", "--project", history_project, "--data", tmp_path)

    assert len(shown.stdout.splitlines()) == 4


def test_a_file_is_not_overwritten(run: Run, history_project: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine")

    result = run("backup", tmp_path / "copy.db", "--project", history_project)

    assert result.exit_code == 1
    assert f"{tmp_path}/copy.db is there already, and is not overwritten" in result.stderr
    assert (tmp_path / "copy.db").read_text() == "mine"


def test_a_folder_that_is_not_there(run: Run, history_project: Path, tmp_path: Path) -> None:
    result = run("backup", tmp_path / "none/copy.db", "--project", history_project)

    assert result.exit_code == 3
    assert "unable to open database file" in result.stderr or "none" in result.stderr


def test_a_log_that_is_not_there(run: Run, tmp_path: Path) -> None:
    result = run("backup", tmp_path / "copy.db", "--project", tmp_path)

    assert result.exit_code == 3
    assert f"there is no log at {tmp_path}/.eventmill/log.db" in result.stderr
