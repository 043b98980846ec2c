"""`eventmill history`."""

import json
import re
from pathlib import Path

from tests.cli.conftest import Run


def test_shows_the_events_with_their_states(run: Run, history_project: Path) -> None:
    result = run("history", "good-1", "--project", history_project)

    assert (result.exit_code, result.stderr) == (0, "")
    head, *rows = (re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines())
    assert head == ["ID", "PREVIOUS", "SECONDS", "TYPE", "STATE", "DETAIL"]
    assert [[*row[:2], *row[3:]] for row in rows] == [
        ["1", "0", "ExecutionStarted", 'input {"n":5}'],
        ["2", "0", "TaskStateEntered", "Double", 'input {"n":5}'],
        ["3", "2", "LambdaFunctionScheduled", "Double", 'input {"n":5}'],
        ["4", "3", "LambdaFunctionStarted", "Double"],
        ["5", "4", "LambdaFunctionSucceeded", "Double", 'output {"n":10}'],
        ["6", "5", "TaskStateExited", "Double", 'output {"n":10}'],
        ["7", "6", "TaskStateEntered", "Again", 'input {"n":10}'],
        ["8", "7", "LambdaFunctionScheduled", "Again", 'input {"n":10}'],
        ["9", "8", "LambdaFunctionStarted", "Again"],
        ["10", "9", "LambdaFunctionSucceeded", "Again", 'output {"n":20}'],
        ["11", "10", "TaskStateExited", "Again", 'output {"n":20}'],
        ["12", "11", "ExecutionSucceeded", 'output {"n":20}'],
    ]
    assert all(re.fullmatch(r"\d+\.\d{3}", row[2]) for row in rows)


def test_is_get_execution_history_for_programs(run: Run, history_project: Path) -> None:
    result = run("history", "waiting-1", "--project", history_project, "--json")

    events = json.loads(result.stdout)["events"]
    assert all(isinstance(event.pop("timestamp"), float) for event in events)
    truncated = {"truncated": False}
    assert events[:4] == [
        {
            "id": 1,
            "previousEventId": 0,
            "type": "ExecutionStarted",
            "executionStartedEventDetails": {
                "input": "{}",
                "inputDetails": truncated,
                "roleArn": "arn:aws:iam::000000000000:role/eventmill",
            },
        },
        {
            "id": 2,
            "previousEventId": 0,
            "type": "ParallelStateEntered",
            "stateEnteredEventDetails": {"name": "Both", "input": "{}", "inputDetails": truncated},
        },
        {"id": 3, "previousEventId": 2, "type": "ParallelStateStarted"},
        {
            "id": 4,
            "previousEventId": 3,
            "type": "WaitStateEntered",
            "stateEnteredEventDetails": {"name": "Rest", "input": "{}", "inputDetails": truncated},
        },
    ]


def test_branches_show_their_own_states(run: Run, history_project: Path) -> None:
    result = run("history", "waiting-1", "--project", history_project)

    rows = [re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines()[1:]]
    assert [row[4] for row in rows[1:]] == ["Both", "Both", "Rest", "Done", "Done"]


def test_shows_errors_in_one_printable_line(run: Run, history_project: Path) -> None:
    result = run("history", "bad-1", "--project", history_project)

    failed = [line for line in result.stdout.splitlines() if "LambdaFunctionFailed" in line]
    assert len(failed) == 1
    assert "ValueError: " in failed[0]
    assert "\x1b" not in result.stdout


def test_shows_all_details_when_asked(run: Run, history_project: Path) -> None:
    result = run("history", "good-1", "--full", "--project", history_project)

    lines = [re.sub(r"\d+\.\d{3} s", "T", line) for line in result.stdout.splitlines()]
    assert lines[3:8] == [
        "2 (after 0)  T  TaskStateEntered  Double",
        "    name: Double",
        '    input: {"n":5}',
        "3 (after 2)  T  LambdaFunctionScheduled  Double",
        "    resource: arn:aws:lambda:local:000000000000:function:double",
    ]


def test_an_execution_that_does_not_exist(run: Run, history_project: Path) -> None:
    assert run("history", "nobody", "--project", history_project).exit_code == 1


def test_without_an_execution_it_is_a_usage_error(run: Run) -> None:
    assert run("history").exit_code == 2
