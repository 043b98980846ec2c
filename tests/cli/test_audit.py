"""`eventmill audit verify`."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.conftest import Run


def test_a_whole_chain_with_its_counts(run: Run, history_project: Path) -> None:
    result = run("audit", "verify", "--project", history_project)

    assert (result.exit_code, result.stderr) == (0, "")
    first, counts, last = result.stdout.splitlines()
    assert first == f"The chain is whole: {history_project}/.eventmill/log.db"
    assert counts == "  0 trigger events, 3 executions, 6 steps"
    assert re.fullmatch("  last row: position 9, hash [0-9a-f]{64}", last)


def test_a_whole_chain_for_programs(run: Run, history_project: Path) -> None:
    result = run("audit", "verify", "--json", "--project", history_project)

    document = json.loads(result.stdout)
    assert re.fullmatch("[0-9a-f]{64}", document.pop("hash"))
    assert document == {
        "log": f"{history_project}/.eventmill/log.db",
        "whole": True,
        "events": 0,
        "executions": 3,
        "steps": 6,
        "purged": 0,
        "position": 9,
        "problem": None,
    }


def test_the_first_bad_row_is_named(run: Run, own_history_project: Path) -> None:
    path = own_history_project / ".eventmill/log.db"
    with closing(sqlite3.connect(path)) as log, log:
        log.execute("UPDATE executions SET trigger = 'somebody' WHERE name = 'bad-1'")

    result = run("audit", "verify", "--project", own_history_project)

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"the chain of {path} is broken at position " in result.stderr
    assert "(the record of execution " in result.stderr


def test_the_first_bad_row_is_named_to_programs(run: Run, own_history_project: Path) -> None:
    with closing(sqlite3.connect(own_history_project / ".eventmill/log.db")) as log, log:
        log.execute("DELETE FROM steps WHERE position = 3")

    result = run("audit", "verify", "--json", "--project", own_history_project)

    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["whole"] is False
    assert document["problem"] == "position 3: the row is missing"


def test_a_file_that_is_no_log_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"this is no database" * 100)

    result = run("audit", "verify", "--project", tmp_path, "--data", tmp_path)

    assert result.exit_code == 1
    assert f"{tmp_path}/log.db is damaged or no event log" in result.stderr


def test_a_log_that_is_not_there(run: Run, tmp_path: Path) -> None:
    result = run("audit", "verify", "--project", tmp_path)

    assert result.exit_code == 3
    assert f"there is no log at {tmp_path}/.eventmill/log.db" in result.stderr
