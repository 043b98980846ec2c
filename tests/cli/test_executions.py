"""`eventmill executions`, read from a log without a server."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.projects import execution_arn, write_project

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
CAUSE_SHOWN = r"no \\x1b[31mred\\x1b[0m, please"


def table(text: str) -> list[list[str]]:
    """The cells of a plain table; cells are two spaces apart at least."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def test_lists_the_newest_first(run: Run, history_project: Path) -> None:
    result = run("executions", "list", "--project", history_project)

    assert (result.exit_code, result.stderr) == (0, "")
    head, *rows = table(result.stdout)
    assert head == ["EXECUTION", "STATE MACHINE", "STATUS", "STARTED", "TOOK", "TRIGGER"]
    assert [row[:3] for row in rows] == [
        ["waiting-1", "wait", "RUNNING"],
        ["bad-1", "refused", "FAILED"],
        ["good-1", "double", "SUCCEEDED"],
    ]
    assert all(re.fullmatch(TIME, row[3]) for row in rows)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--machine", "double"], ["good-1"]),
        (["--machine", "arn:aws:states:local:000000000000:stateMachine:refused"], ["bad-1"]),
        (["--machine", "nothing"], []),
        (["--status", "running"], ["waiting-1"]),
        (["--status", "ABORTED"], []),
        (["--limit", "2"], ["waiting-1", "bad-1"]),
    ],
)
def test_lists_what_was_asked_for(
    arguments: list[str], names: list[str], run: Run, history_project: Path
) -> None:
    result = run("executions", "list", "--project", history_project, "--json", *arguments)

    assert result.exit_code == 0
    assert [each["name"] for each in json.loads(result.stdout)["executions"]] == names


def test_lists_with_the_names_of_aws(run: Run, history_project: Path) -> None:
    result = run("executions", "list", "--project", history_project, "--json", "--status", "FAILED")

    (item,) = json.loads(result.stdout)["executions"]
    assert item == {
        "executionArn": execution_arn("refused", "bad-1"),
        "stateMachineArn": "arn:aws:states:local:000000000000:stateMachine:refused",
        "name": "bad-1",
        "status": "FAILED",
        "startDate": item["startDate"],
        "stopDate": item["stopDate"],
    }
    assert 0 <= item["stopDate"] - item["startDate"] < 60


def test_says_when_there_are_more(run: Run, history_project: Path) -> None:
    result = run("executions", "list", "--project", history_project, "--limit", "1")

    assert result.stdout.splitlines()[-1] == "The newest 1; --limit N shows more."


@pytest.mark.parametrize(
    "arguments", [["--status", "DONE"], ["--limit", "0"], ["--machine", "a b"]]
)
def test_what_cannot_be_listed_is_a_usage_error(
    arguments: list[str], run: Run, history_project: Path
) -> None:
    assert run("executions", "list", "--project", history_project, *arguments).exit_code == 2


@pytest.mark.parametrize("reference", ["good-1", "goo", execution_arn("double", "good-1")])
def test_shows_an_execution_by_name_beginning_or_arn(
    reference: str, run: Run, history_project: Path
) -> None:
    result = run("executions", "show", reference, "--project", history_project)

    assert (result.exit_code, result.stderr) == (0, "")
    fields = dict(table(result.stdout))
    assert re.fullmatch(TIME, fields.pop("Started"))
    assert re.fullmatch(TIME, fields.pop("Stopped"))
    assert re.fullmatch(r"[\d.]+ m?s", fields.pop("Took"))
    assert fields == {
        "Execution": "good-1",
        "ARN": execution_arn("double", "good-1"),
        "State machine": "double",
        "Status": "SUCCEEDED",
        "History": "12 events in 3 steps",
        "Input": '{"n":5}',
        "Output": '{"n":20}',
    }


def test_shows_why_an_execution_failed(run: Run, history_project: Path) -> None:
    result = run("executions", "show", "bad-1", "--project", history_project)

    assert "Error          ValueError\n" in result.stdout
    assert "\x1b" not in result.stdout


def test_shows_an_execution_with_the_names_of_aws(run: Run, history_project: Path) -> None:
    result = run("executions", "show", "good-1", "--project", history_project, "--json")

    shown = json.loads(result.stdout)
    assert {key: shown[key] for key in shown if not key.endswith("Date")} == {
        "executionArn": execution_arn("double", "good-1"),
        "stateMachineArn": "arn:aws:states:local:000000000000:stateMachine:double",
        "name": "good-1",
        "status": "SUCCEEDED",
        "input": '{"n":5}',
        "output": '{"n":20}',
        "events": 12,
        "states": [],
    }


def test_shows_where_a_running_execution_stands(run: Run, history_project: Path) -> None:
    result = run("executions", "show", "waiting-1", "--project", history_project)

    _, _, states = result.stdout.partition("\n\n")
    rows = [[*row[:3], re.sub(TIME, "TIME", row[3]), *row[4:]] for row in table(states)]
    assert rows == [
        ["STATE", "TYPE", "SINCE EVENT", "WAITS FOR", "INPUT"],
        ["Both", "Parallel", "2", "1 of 2 branches or items", "{}"],
        ["Both[0] / Rest", "Wait", "4", "its time, TIME", "{}"],
    ]


def test_shows_where_a_running_execution_stands_to_programs(
    run: Run, history_project: Path
) -> None:
    result = run("executions", "show", "waiting-1", "--project", history_project, "--json")

    shown = json.loads(result.stdout)
    rest = shown["states"][1]
    assert rest.pop("due") == pytest.approx(shown["startDate"] + 3600, abs=5)
    assert shown["states"] == [
        {
            "name": "Both",
            "path": "Both",
            "type": "Parallel",
            "enteredEventId": 2,
            "input": "{}",
            "retryCount": 0,
            "length": 2,
            "finished": 1,
        },
        {
            "name": "Rest",
            "path": "Both[0] / Rest",
            "type": "Wait",
            "enteredEventId": 4,
            "input": "{}",
            "retryCount": 0,
        },
    ]


@pytest.mark.parametrize("reference", ["nobody", execution_arn("double", "nobody")])
def test_an_execution_that_does_not_exist(reference: str, run: Run, history_project: Path) -> None:
    result = run("executions", "show", reference, "--project", history_project)

    assert (result.exit_code, result.stdout) == (1, "")
    assert reference in result.stderr


def test_a_beginning_that_several_names_share(run: Run, own_history_project: Path) -> None:
    with closing(sqlite3.connect(own_history_project / ".eventmill/log.db")) as log, log:
        log.execute("UPDATE executions SET name = 'good-2' WHERE name = 'bad-1'")

    result = run("executions", "show", "good", "--project", own_history_project)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "Error: 2 executions are called 'good' or begin like that:",
        f"  {execution_arn('refused', 'bad-1')}",
        f"  {execution_arn('double', 'good-1')}",
        "  try: more of the name, or the ARN",
    ]


@pytest.mark.parametrize(
    ("name", "exit_code", "end"),
    [("good-1", 0, 'SUCCEEDED  12 events  {"n":20}'), ("bad-1", 1, "please")],
)
def test_watching_an_execution_that_has_ended_says_how(
    name: str, exit_code: int, end: str, run: Run, history_project: Path
) -> None:
    result = run("executions", "show", name, "--watch", "--project", history_project)

    assert result.exit_code == exit_code
    (line,) = result.stdout.splitlines()
    assert end in line


def test_watching_for_programs_writes_a_line_for_each_change(
    run: Run, history_project: Path
) -> None:
    result = run("executions", "show", "good-1", "--watch", "--json", "--project", history_project)

    (line,) = result.stdout.splitlines()
    assert json.loads(line)["output"] == '{"n":20}'


def test_without_a_log_it_says_how_to_get_one(run: Run, tmp_path: Path) -> None:
    write_project(tmp_path)

    result = run("executions", "list", "--project", tmp_path)

    assert result.exit_code == 3
    assert result.stderr == (
        f"Error: there is no log at {tmp_path}/.eventmill/log.db\n"
        "  try: eventmill up, which makes it; or name the project: --project DIR\n"
    )


def test_a_log_of_a_newer_version_is_left_alone(run: Run, own_history_project: Path) -> None:
    path = own_history_project / ".eventmill/log.db"
    with closing(sqlite3.connect(path)) as log, log:
        log.execute("PRAGMA user_version = 999")

    result = run("executions", "list", "--project", own_history_project)

    assert result.exit_code == 3
    assert f"the log {path} has version 999" in result.stderr
    assert "pip install -U eventmill" in result.stderr


def test_a_log_that_is_none_is_named(run: Run, own_history_project: Path) -> None:
    path = own_history_project / ".eventmill/log.db"
    path.write_bytes(b"this is no database" * 100)

    result = run("executions", "list", "--project", own_history_project)

    assert result.exit_code == 1
    assert f"{path} is damaged or no event log" in result.stderr


def test_an_empty_log_lists_nothing(run: Run, own_history_project: Path) -> None:
    with closing(sqlite3.connect(own_history_project / ".eventmill/log.db")) as log, log:
        log.execute("DELETE FROM executions")

    result = run("executions", "list", "--project", own_history_project)

    assert (result.exit_code, result.stdout) == (0, "No executions.\n")


def test_another_data_folder_can_be_named(run: Run, history_project: Path, tmp_path: Path) -> None:
    data = history_project / ".eventmill"

    result = run("executions", "list", "--project", tmp_path, "--data", data)

    assert "good-1" in result.stdout
