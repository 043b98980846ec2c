"""`eventmill up`: real servers in processes of their own, read by what they write."""

import json
import os
import shutil
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from eventmill.log.connection import sqlite_is_affected, sqlite_version
from eventmill.model import Json
from tests.cli.conftest import Run
from tests.cli.projects import FUNCTION, HANDLERS, PASS, REFUSED, WAIT, write, write_project
from tests.cli.servers import Server, server

SLOW: Final[dict[str, Json]] = {
    "StartAt": "Slow",
    "States": {"Slow": {"Type": "Task", "Resource": f"{FUNCTION}slow", "End": True}},
}
# Says that it is there, then goes on until `go` appears, or for ever.
SLOW_HANDLER = """
import asyncio
from pathlib import Path
from typing import Final

async def slow(event, context):
    Path(event["begun"]).touch()
    print("the slow one has begun")
    while not Path(event["go"]).exists():
        await asyncio.sleep(0.02)
    return {"slow": True}
"""


@pytest.fixture
def project(run: Run, tmp_path: Path) -> Path:
    """The project that `eventmill new` makes."""
    assert run("new", tmp_path / "project").exit_code == 0
    return tmp_path / "project"


@contextmanager
def ready(project: Path, *arguments: str) -> Iterator[Server]:
    with server(project, "--port", "0", "--workers", "1", *arguments) as running:
        running.told("ready")
        yield running


def stop(running: Server, number: signal.Signals = signal.SIGINT) -> None:
    running.signal(number)
    exit_code, rest = running.ended()
    assert exit_code == 0, rest
    assert '{"type":"stopped"}' in rest


def test_says_what_runs_and_where(project: Path) -> None:
    with server(project, "--port", "0", "--workers", "1", as_json=False) as running:
        running.line(lambda line: line == "Ready. Ctrl-C stops.\n")
        running.signal(signal.SIGINT)
        exit_code, rest = running.ended()

    first, api, *others = (line.rstrip("\n") for line in running.seen)
    assert first.startswith("Eventmill ")
    assert first.endswith(f" runs {project}")
    assert api.startswith("  API       http://127.0.0.1:")
    assert others == [
        f"  data      {project}/.eventmill",
        f"  log       {project}/.eventmill/log.db",
        "  machines  count-rows",
        f"  watches   {project}/inbox  *.csv → count-rows  by inbox",
        "  handlers  count_rows, write_summary",
        "  workers   1 process",
        "Ready. Ctrl-C stops.",
    ]
    assert exit_code == 0
    assert rest.endswith("Stopping; once more Ctrl-C ends it at once.\nStopped.\n")


def test_a_dropped_file_runs_and_its_result_is_there(project: Path, run: Run) -> None:
    with ready(project) as running:
        shutil.copy(project / "cities.csv", project / "inbox" / "cities.csv")
        started, ended = running.told("started"), running.told("ended")
        stop(running)

    assert started["trigger"] == "inbox"
    assert started["event"]["source"] == "eventmill.filesystem"
    assert (ended["executionArn"], ended["status"]) == (started["executionArn"], "SUCCEEDED")
    assert json.loads((project / "results" / "cities.csv.json").read_text()) == {
        "file": "cities.csv",
        "columns": ["city", "country", "elevation_m"],
        "rows": 3,
    }
    proof = run("replay", "--verify", "--all", "--project", project)
    assert proof.stdout == "3 steps of 1 execution matched, byte for byte.\n"
    assert run("audit", "verify", "--project", project).exit_code == 0


def test_a_person_reads_what_starts_and_how_it_ends(project: Path) -> None:
    with server(project, "--port", "0", "--workers", "1", as_json=False) as running:
        running.line(lambda line: line.startswith("Ready."))
        write(project / "inbox" / "empty.csv", "a,b\n")
        started = running.line(lambda line: "started" in line)
        failed = running.line(lambda line: "failed" in line)

    assert "  started    count-rows  inbox-" in started
    assert started.endswith("  by File Created empty.csv\n")
    assert "  failed     count-rows  inbox-" in failed
    assert failed.endswith("ms  EmptyFile: The file has no rows.\n")


def test_quiet_tells_only_that_it_is_ready(project: Path) -> None:
    arguments = ("--port", "0", "--workers", "1", "--quiet")
    with server(project, *arguments, as_json=False) as running:
        line = running.line(lambda line: "Ready" in line)

    assert line.startswith("Ready: http://127.0.0.1:")
    assert running.seen == [line]


def test_the_server_says_in_a_file_where_it_is_as_long_as_it_is(project: Path) -> None:
    path = project / ".eventmill" / "server.json"
    with server(project, "--port", "0") as running:
        told = running.told("ready")
        said = json.loads(path.read_text())
        stop(running, signal.SIGTERM)

    assert said == {"endpoint": told["endpoint"], "pid": running.process.pid}
    assert not path.exists()


@pytest.mark.skipif(not sqlite_is_affected(sqlite_version()), reason="this SQLite has no such bug")
def test_warns_of_an_sqlite_that_can_lose_commits(project: Path) -> None:
    with server(project, "--port", "0") as running:
        message = running.told("warning")["message"]

    assert message.startswith(f"SQLite {sqlite_version()} has a bug")
    assert message.endswith("pip install 'eventmill[sqlite]'")


def test_waits_for_handlers_under_way_when_it_is_stopped(tmp_path: Path) -> None:
    project = slow_project(tmp_path)
    with ready(project) as running:
        start_slow(tmp_path, project)
        running.line(lambda line: "the slow one has begun" in line)
        running.signal(signal.SIGINT)
        assert running.told("draining")["executions"] == 1
        (tmp_path / "go").touch()
        assert running.told("ended")["status"] == "SUCCEEDED"
        assert running.ended()[0] == 0


def test_a_second_ctrl_c_ends_it_at_once_and_the_next_server_goes_on(tmp_path: Path) -> None:
    project = slow_project(tmp_path)
    with ready(project) as running:
        start_slow(tmp_path, project)
        running.line(lambda line: "the slow one has begun" in line)
        running.signal(signal.SIGINT)
        running.told("draining")
        running.signal(signal.SIGINT)
        exit_code, rest = running.ended()
    assert (exit_code, rest) == (130, '{"type":"stopped"}\n')

    (tmp_path / "go").touch()
    with server(project, "--port", "0") as running:
        assert running.told("ready")["recovered"] == 1
        assert running.told("ended")["status"] == "SUCCEEDED"
        stop(running)


def slow_project(tmp_path: Path) -> Path:
    return write_project(
        tmp_path / "project",
        workflows={"slow": SLOW},
        triggers={
            "slow.yaml": "Source: {Type: filesystem, Path: inbox, StableSeconds: 0}\n"
            "Target:\n  StateMachine: slow\n"
            f"  Input: {{begun: {tmp_path}/begun, go: {tmp_path}/go}}\n"
        },
        handlers={"slow.py": SLOW_HANDLER},
        settings="",
    )


def start_slow(tmp_path: Path, project: Path) -> None:
    inbox = project / "inbox"
    inbox.mkdir()
    # Moved into place, so that the sensor need not wait for its writer.
    os.replace(write(tmp_path / "file", "x"), inbox / "file")


def test_a_watched_folder_that_is_missing_is_told_and_waited_for(tmp_path: Path) -> None:
    project = slow_project(tmp_path)
    with server(project, "--port", "0", as_json=False) as running:
        # The sensor may find out before the API is ready, or after.
        missing = f"the folder {project}/inbox does not exist; trying again\n"
        running.line(lambda line: line.startswith("Ready."))
        if not any(line.endswith(missing) for line in running.seen):
            running.line(lambda line: line.endswith(missing))
        text = "".join(running.seen)
        start_slow(tmp_path, project)
        running.line(lambda line: "the slow one has begun" in line)

    assert f"{project}/inbox  all files → slow  by slow  (this folder is missing)\n" in text
    assert "Warning: sensor filesystem:inbox" in text


def test_two_servers_on_one_data_folder(project: Path) -> None:
    with ready(project) as first:
        with server(project, "--port", "0", as_json=False) as second:
            exit_code, text = second.ended()
        stop(first)

    assert exit_code == 3
    assert text == (
        f"Error: the log {project}/.eventmill/log.db is in use by the process "
        f"{first.process.pid}\n  try: stop that server, or use another data folder: --data DIR\n"
    )


def test_a_port_in_use(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with server(project, "--port", port, as_json=False) as running:
            exit_code, text = running.ended()

    assert exit_code == 3
    (line,) = text.splitlines()
    assert line.startswith(f"Error: cannot listen at 127.0.0.1 port {port}: ")
    assert "--port" in line


def test_a_data_folder_that_is_a_file(project: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "data", "")

    exit_code, text = refused(project, "--data", str(data))

    assert exit_code == 3
    assert text == (
        f"Error: cannot make the data folder {data}: File exists\n"
        "  try: see that the disk has room and the folder can be written, or --data DIR\n"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_cannot_be_written(project: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o500)

    exit_code, text = refused(project, "--data", str(data))

    assert exit_code == 3
    assert "Permission denied" in text
    assert "  try: see that the disk has room and the folder can be written" in text


def test_a_log_of_a_newer_version(project: Path, tmp_path: Path) -> None:
    with ready(project) as running:
        stop(running)
    with closing(sqlite3.connect(project / ".eventmill" / "log.db")) as log, log:
        log.execute("PRAGMA user_version = 999")

    exit_code, text = refused(project)

    assert exit_code == 3
    assert f"the log {project}/.eventmill/log.db has version 999" in text
    assert "Traceback" not in text


def test_a_log_that_is_none(project: Path) -> None:
    (project / ".eventmill").mkdir()
    (project / ".eventmill" / "log.db").write_bytes(b"this is no database" * 100)

    exit_code, text = refused(project)

    assert exit_code == 1
    assert "is damaged or no event log" in text
    assert "Traceback" not in text


def refused(project: Path, *arguments: str) -> tuple[int, str]:
    with server(project, "--port", "0", *arguments, as_json=False) as running:
        return running.ended()


def test_all_mistakes_of_a_project_are_told_at_once(run: Run, tmp_path: Path) -> None:
    write_project(
        tmp_path,
        workflows={"broken": "{", "refused": REFUSED, "odd": {**PASS, "Foo": 1}},
        triggers={
            "t.yaml": "Source: {Type: filesystem, Path: x}\nTarget: {StateMachine: nothing}\n"
        },
    )

    result = run("up", "--project", tmp_path)

    assert (result.exit_code, result.stdout) == (1, "")
    first, *mistakes, last = result.stderr.splitlines()
    assert first == "Error: 4 mistakes in the project:"
    assert [mistake.split(": ")[1] for mistake in mistakes] == [
        "error INVALID_JSON_DESCRIPTION",
        "error SCHEMA_VALIDATION_FAILED",
        "error HANDLER_DOES_NOT_EXIST",
        "error STATE_MACHINE_DOES_NOT_EXIST",
    ]
    assert last == "  try: eventmill validate, which shows the places"


def test_a_handler_that_fails_at_import_is_told_and_the_rest_runs(project: Path) -> None:
    write(project / "handlers" / "late.py", "import nowhere\ndef late(event, context): ...\n")

    with ready(project) as running:
        message = ""
        while "HANDLER_NOT_IMPORTABLE" not in message:
            message = running.told("warning")["message"]
        stop(running)

    assert message == (
        f"{project}/handlers/late.py: error HANDLER_NOT_IMPORTABLE: Unable to import module "
        "'late': No module named 'nowhere' (mend it, and start the server again; until then its "
        "calls fail)"
    )


def test_what_waits_for_its_time_does_not_hold_up_the_end(tmp_path: Path, run: Run) -> None:
    project = write_project(tmp_path, workflows={"wait": WAIT}, handlers={"sums.py": HANDLERS})
    with ready(project) as running:
        assert run("start", "wait", "--project", project).exit_code == 0
        running.told("started")
        running.signal(signal.SIGINT)
        exit_code, rest = running.ended()

    assert (exit_code, rest) == (0, '{"type":"stopping"}\n{"type":"stopped"}\n')


def test_a_folder_without_a_state_machine_is_served_and_told(tmp_path: Path) -> None:
    with ready(tmp_path) as running:
        message = running.told("warning")["message"]
        stop(running)

    assert message == (
        f"{tmp_path}/workflows has no state machine; eventmill new DIR makes a project with one"
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_the_server_goes_on_when_nobody_reads_what_it_tells(
    project: Path, as_json: bool, run: Run
) -> None:
    with server(project, "--port", "0", as_json=as_json) as running:
        running.line(lambda line: "workers" in line if as_json else line.startswith("Ready."))
        assert running.process.stdout is not None
        running.process.stdout.close()
        given = json.dumps({"path": str(project / "cities.csv"), "name": "cities.csv"})
        started = run("start", "count-rows", "--wait", "--input", given, "--project", project)
        running.signal(signal.SIGINT)
        exit_code = running.process.wait()

    assert (started.exit_code, exit_code) == (0, 0)


@pytest.mark.parametrize("arguments", [["--port", "65536"], ["--workers", "0"]])
def test_numbers_out_of_range_are_usage_errors(
    arguments: list[str], run: Run, tmp_path: Path
) -> None:
    assert run("up", *arguments, "--project", tmp_path).exit_code == 2
