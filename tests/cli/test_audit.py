"""`eventmill audit`."""

import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from eventmill.log.audit import audit_database
from eventmill.log.retention import Limits, sweep
from eventmill.log.sqlite import SqliteEventLog
from tests.cli.conftest import Run
from tests.cli.servers import server


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
        "removed": 0,
        "checkpoints": 0,
        "unreachable": 0,
        "snapshots": 0,
        "unsoundSnapshots": 0,
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


async def test_what_retention_removed_is_told(run: Run, own_history_project: Path) -> None:
    async with SqliteEventLog.open(own_history_project / ".eventmill/log.db") as log:
        swept = await sweep(log, Limits(executions_ms=0), 10**14)

    result = run("audit", "verify", "--project", own_history_project)

    removed = swept.removed.executions + swept.removed.steps
    assert removed > 2
    assert f"  {removed} rows removed by retention, as the chain states\n" in result.stdout
    assert "  1 checkpoint agrees\n" in result.stdout


def test_a_checkpoint_on_stdout(run: Run, history_project: Path) -> None:
    result = run("audit", "checkpoint", "--project", history_project)

    audit = audit_database(history_project / ".eventmill/log.db")
    document = json.loads(result.stdout)
    assert re.fullmatch(r"20\d\d-.*Z", document.pop("time"))
    assert document == {
        "position": 9,
        "hash": audit.hash.hex(),
        "events": 0,
        "executions": 3,
        "steps": 6,
    }


def test_signed_checkpoints_from_the_key_to_the_proof(
    run: Run, own_history_project: Path, tmp_path: Path
) -> None:
    key, file, project = tmp_path / "key", tmp_path / "notes", own_history_project
    made = run("audit", "key", key)
    assert re.fullmatch(
        f"Made the key [0-9a-f]{{16}}\n  {key} signs: .*\n  {key}.pub verifies: .*\n", made.stdout
    )
    added = run("audit", "checkpoint", file, "--key", key, "--project", project)
    assert f"Added 1 checkpoint to {file}\n  position 9, hash " in added.stdout
    assert ", signed by " in added.stdout

    verify = ("audit", "verify", "--checkpoints", file, "--key", f"{key}.pub")
    whole = run(*verify, "--project", project)
    assert (whole.exit_code, whole.stderr) == (0, "")
    assert "  1 checkpoint agrees\n" in whole.stdout

    with closing(sqlite3.connect(project / ".eventmill/log.db")) as log, log:
        log.execute("DELETE FROM steps WHERE position = 9")
    cut = run(*verify, "--project", project)
    assert cut.exit_code == 1
    assert "is broken at position 9: the row is missing: the checkpoint of 20" in cut.stderr
    assert run("audit", "verify", "--project", project).exit_code == 0


def test_a_checkpoint_that_was_changed_is_refused(
    run: Run, history_project: Path, tmp_path: Path
) -> None:
    key, file = tmp_path / "key", tmp_path / "notes"
    run("audit", "key", "--json", key)
    run("audit", "checkpoint", file, "--key", key, "--project", history_project)
    file.write_text(file.read_text().replace('"steps":6', '"steps":7'))

    result = run(
        *("audit", "verify", "--checkpoints", file, "--key", f"{key}.pub"),
        *("--project", history_project),
    )

    assert result.exit_code == 1
    assert f"{file}: the checkpoint at position 9: its signature does not fit" in result.stderr


def test_a_broken_chain_gets_no_checkpoint(run: Run, own_history_project: Path) -> None:
    with closing(sqlite3.connect(own_history_project / ".eventmill/log.db")) as log, log:
        log.execute("DELETE FROM steps WHERE position = 3")

    result = run("audit", "checkpoint", "--project", own_history_project)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "is broken at position 3: the row is missing" in result.stderr


def test_checkpoints_for_programs(run: Run, history_project: Path, tmp_path: Path) -> None:
    file, where = tmp_path / "notes", ("--json", "--project", history_project)
    added = json.loads(run("audit", "checkpoint", file, *where).stdout)
    assert added == {"file": str(file), "checkpoints": [json.loads(file.read_text())]}
    stored = run("audit", "checkpoint", "--stored", *where)
    assert json.loads(stored.stdout) == {"file": None, "checkpoints": []}


def test_a_log_without_checkpoints_says_so(run: Run, history_project: Path) -> None:
    result = run("audit", "checkpoint", "--stored", "--project", history_project)
    assert result.stdout.endswith("log.db holds no checkpoint yet.\n")


async def test_checkpoints_of_the_server_are_written(run: Run, own_history_project: Path) -> None:
    async with SqliteEventLog.open(own_history_project / ".eventmill/log.db") as log:
        await log.checkpoint(1_000)
    result = run("audit", "checkpoint", "--stored", "--project", own_history_project)
    assert json.loads(result.stdout)["time"] == "1970-01-01T00:00:01.000Z"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("verify", "--key", "x"), "give --checkpoints"),
        (("checkpoint", "--key", "x", "--stored"), "--key signs a new one"),
        (("export", "x", "--execution", "y", "--to", "3"), "give --execution, or --from and --to"),
    ],
)
def test_options_that_do_not_go_together(
    run: Run, history_project: Path, words: tuple[str, ...], message: str
) -> None:
    result = run("audit", *words, "--project", history_project)
    assert result.exit_code == 2
    assert message in result.stderr


def test_files_that_are_no_checkpoints_or_keys(
    run: Run, history_project: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("text")
    where = ("--project", history_project)
    empty = run("audit", "verify", "--checkpoints", tmp_path / "empty", *where)
    text = run("audit", "verify", "--checkpoints", tmp_path / "text", *where)
    absent = run("audit", "verify", "--checkpoints", tmp_path / "absent", *where)
    no_key = run("audit", "checkpoint", "--key", tmp_path / "text", *where)
    assert [each.exit_code for each in (empty, text, absent, no_key)] == [1, 1, 3, 1]
    assert f"{tmp_path}/empty holds no checkpoint" in empty.stderr
    assert f"{tmp_path}/text:1: this is no checkpoint" in text.stderr
    assert f"{tmp_path}/absent: No such file or directory" in absent.stderr
    assert f"{tmp_path}/text holds no Ed25519 key" in no_key.stderr


def test_keys_are_not_overwritten(run: Run, tmp_path: Path) -> None:
    run("audit", "key", tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    result = run("audit", "key", tmp_path / "key")
    assert result.exit_code == 1
    assert "is there already, and is not overwritten" in result.stderr
    assert (tmp_path / "key").read_bytes() == before


def test_an_export_and_its_import(run: Run, history_project: Path, tmp_path: Path) -> None:
    file, data = tmp_path / "log.avro", tmp_path / "new/data"
    exported = run("audit", "export", file, "--project", history_project)
    imported = run("audit", "import", file, "--project", history_project, "--data", data)

    audit = audit_database(history_project / ".eventmill/log.db")
    last = f"position 9, hash {audit.hash.hex()}"
    assert exported.stdout.splitlines() == [
        f"Exported the log: {file}",
        f"  13 records, {file.stat().st_size:,} bytes",
        f"  last row of the log: {last}",
    ]
    assert imported.stdout.splitlines() == [
        f"Imported and verified: {data}/log.db",
        "  0 trigger events, 3 executions, 6 steps",
        f"  last row: {last}",
    ]
    assert audit_database(data / "log.db") == audit
    replayed = run("replay", "--verify", "--all", "--project", history_project, "--data", data)
    assert replayed.exit_code == 0


def test_an_export_and_its_import_for_programs(
    run: Run, history_project: Path, tmp_path: Path
) -> None:
    file, data = tmp_path / "log.avro", tmp_path / "data"
    exported = json.loads(
        run("audit", "export", file, "--json", "--project", history_project).stdout
    )
    imported = json.loads(
        run("audit", "import", file, "--json", "--project", history_project, "--data", data).stdout
    )
    assert (exported["whole"], exported["position"], exported["records"]) == (True, 9, 13)
    assert exported["hash"] == imported["hash"]
    assert (imported["executions"], imported["steps"]) == (3, 6)


def test_a_part_is_exported_and_not_imported(
    run: Run, history_project: Path, tmp_path: Path
) -> None:
    file = tmp_path / "part.avro"
    exported = run(
        "audit", "export", file, "--from", "2", "--to", "4", "--project", history_project
    )
    assert f"Exported a part of the log, which cannot be imported: {file}" in exported.stdout

    result = run("audit", "import", file, "--project", tmp_path)

    assert result.exit_code == 1
    assert "is a part of a log" in result.stderr
    assert "nothing was imported" in result.stderr


def test_one_execution_is_exported(run: Run, history_project: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.avro"
    where = ("--project", history_project)
    result = run("audit", "export", file, "--execution", "bad-1", "--json", *where)
    assert json.loads(result.stdout)["whole"] is False
    nobody = run("audit", "export", tmp_path / "x", "--execution", "nobody", *where)
    assert nobody.exit_code == 1
    assert "nobody" in nobody.stderr


def test_an_import_takes_no_log_away(run: Run, own_history_project: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.avro"
    run("audit", "export", file, "--project", own_history_project)
    result = run("audit", "import", file, "--project", own_history_project)
    assert result.exit_code == 1
    assert "log.db is there already: a log is imported into an empty data folder" in result.stderr


def test_a_server_at_work_is_copied_and_exported_and_another_goes_on_from_there(
    run: Run, own_history_project: Path, tmp_path: Path
) -> None:
    project, data, container = own_history_project, tmp_path / "data", tmp_path / "log.avro"
    up = ("--port", "0", "--workers", "1")
    with server(project, *up) as running:
        running.told("ready")
        assert run("start", "double", "--name", "live", "--input", '{"n": 1}', "--wait",
                   "--project", project).exit_code == 0  # fmt: skip
        exported = run("audit", "export", container, "--project", project)
        noted = run("audit", "checkpoint", tmp_path / "notes", "--project", project)
        refused = run("audit", "import", container, "--project", project)
        assert [each.exit_code for each in (exported, noted, refused)] == [0, 0, 3]
        assert "is in use by the process" in refused.stderr
        running.signal(signal.SIGTERM)
        assert running.ended()[0] == 0
    assert run("audit", "import", container, "--project", project, "--data", data).exit_code == 0

    where = ("--project", project, "--data", data)
    with server(project, "--data", str(data), *up) as running:
        running.told("ready")
        more = run("start", "double", "--name", "more", "--input", '{"n": 2}', "--wait", *where)
        assert more.stdout.endswith('{"n":8}\n')
        running.signal(signal.SIGTERM)
        assert running.ended()[0] == 0

    verified = run("audit", "verify", "--checkpoints", tmp_path / "notes", *where)
    assert verified.exit_code == 0, verified.stderr
    assert "  2 checkpoints agree\n" in verified.stdout  # that one, and the server's last
    listed = json.loads(run("executions", "list", "--json", *where).stdout)
    statuses = {each["name"]: each["status"] for each in listed["executions"]}
    assert statuses == {
        "good-1": "SUCCEEDED",
        "bad-1": "FAILED",
        "waiting-1": "RUNNING",
        "live": "SUCCEEDED",
        "more": "SUCCEEDED",
    }
