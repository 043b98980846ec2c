"""`eventmill replay`: any event, and the proof."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.projects import FUNCTION, execution_arn

GOOD = execution_arn("double", "good-1")


def replace_in_step(project: Path, execution: str, step: int, old: bytes, new: bytes) -> None:
    """Change the body of one step behind the log's back."""
    with closing(sqlite3.connect(project / ".eventmill/log.db")) as log, log:
        where = "step = ? AND execution = (SELECT id FROM executions WHERE name = ?)"
        (body,) = log.execute(f"SELECT body FROM steps WHERE {where}", (step, execution)).fetchone()
        assert old in body
        changed = body.replace(old, new)
        log.execute(f"UPDATE steps SET body = ? WHERE {where}", (changed, step, execution))


def test_shows_the_execution_as_it_stands(run: Run, history_project: Path) -> None:
    result = run("replay", "good-1", "--project", history_project)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"Execution    {GOOD}",
        "After event  12 of 12",
        "Status       SUCCEEDED",
        'Input        {"n":5}',
        'Output       {"n":20}',
    ]


def test_shows_a_task_at_work(run: Run, history_project: Path) -> None:
    result = run("replay", "good-1", "--at", "8", "--project", history_project)

    assert [re.split(r" {2,}", line) for line in result.stdout.splitlines()] == [
        ["Execution", GOOD],
        ["After event", "8 of 12"],
        ["Status", "RUNNING"],
        ["Input", '{"n":5}'],
        [""],
        ["STATE", "TYPE", "SINCE EVENT", "WAITS FOR", "INPUT"],
        ["Again", "Task", "7", "task 8, which is not begun", '{"n":10}'],
        [""],
        ["OUTSTANDING", "STATE", "RESOURCE", "PARAMETERS"],
        ["task 8, attempt 1", "Again", f"{FUNCTION}double", '{"n":10}'],
    ]


def test_shows_the_moment_between_two_states(run: Run, history_project: Path) -> None:
    result = run("replay", "good-1", "--at", "6", "--project", history_project)

    assert result.stdout.endswith("\n\nBetween two states; the next is Again.\n")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (1, {"status": "RUNNING", "next": "Double"}),
        (
            3,
            {
                "status": "RUNNING",
                "next": None,
                "states": [
                    {
                        "name": "Double",
                        "path": "Double",
                        "type": "Task",
                        "enteredEventId": 2,
                        "input": '{"n":5}',
                        "retryCount": 0,
                        "task": {"scheduledEventId": 3, "started": False},
                    }
                ],
                "tasks": [3],
                "outstanding": [
                    {
                        "command": "RunTask",
                        "event": 3,
                        "path": "Double",
                        "resource": f"{FUNCTION}double",
                        "parameters": '{"n":5}',
                        "attempt": 1,
                        "idempotencyKey": f"{GOOD}#2",
                    }
                ],
            },
        ),
        (
            12,
            {
                "status": "SUCCEEDED",
                "output": '{"n":20}',
                "next": None,
            },
        ),
    ],
)
def test_any_event_for_programs(
    event: int, expected: dict[str, object], run: Run, history_project: Path
) -> None:
    result = run("replay", "good-1", "--at", event, "--json", "--project", history_project)

    document = json.loads(result.stdout)
    for state in document["states"]:
        state["task"].pop("deadline", None)
    parts = ("states", "between", "variables", "tasks", "timers", "outstanding")
    nothing: dict[str, object] = {name: [] for name in parts}
    always = {"executionArn": GOOD, "event": event, "input": '{"n":5}'}
    assert document == {**nothing, **always, **expected}


def test_every_event_can_be_replayed_to(run: Run, history_project: Path) -> None:
    for event in range(1, 13):
        result = run("replay", "good-1", "--at", event, "--json", "--project", history_project)
        assert json.loads(result.stdout)["event"] == event


def test_timers_of_an_execution_that_waits(run: Run, history_project: Path) -> None:
    result = run("replay", "waiting-1", "--json", "--project", history_project)

    document = json.loads(result.stdout)
    assert document["timers"] == [document["states"][1]["due"]]


def test_an_event_beyond_the_history_is_a_usage_error(run: Run, history_project: Path) -> None:
    result = run("replay", "good-1", "--at", "13", "--project", history_project)

    assert result.exit_code == 2
    assert "13: the history has events 1 to 12" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give EXECUTION."),
        (["--verify"], "Give either EXECUTION or --all."),
        (["good-1", "--verify", "--all"], "Give either EXECUTION or --all."),
        (["--all"], "--all goes with --verify."),
        (["good-1", "--verify", "--at", "3"], "exclude each other"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    arguments: list[str], message: str, run: Run, history_project: Path
) -> None:
    result = run("replay", *arguments, "--project", history_project)

    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["good-1"], "3 steps of 1 execution matched, byte for byte.\n"),
        (["--all"], "6 steps of 3 executions matched, byte for byte.\n"),
    ],
)
def test_proves_that_every_step_follows(
    arguments: list[str], line: str, run: Run, history_project: Path
) -> None:
    result = run("replay", *arguments, "--verify", "--project", history_project)

    assert (result.exit_code, result.stdout) == (0, line)


def test_the_proof_for_programs(run: Run, history_project: Path) -> None:
    result = run("replay", "--verify", "--all", "--json", "--project", history_project)

    assert json.loads(result.stdout) == {"executions": 3, "steps": 6, "mismatches": []}


def test_a_step_that_does_not_follow_is_shown_in_both_forms(
    run: Run, own_history_project: Path
) -> None:
    # Not the fact, but what was made of it.
    forged = b'"name":"Double","output":{"n":11}'
    replace_in_step(own_history_project, "good-1", 2, b'"name":"Double","output":{"n":10}', forged)

    result = run("replay", "--verify", "--all", "--project", own_history_project)

    assert result.exit_code == 1
    name, recorded, computed, summary = result.stdout.splitlines()
    assert name == f"{GOOD}: step 2 does not follow from the history before it"
    assert recorded.startswith("  recorded  …")
    assert '{"n":11}' in recorded
    assert computed.startswith("  computed  …")
    assert '{"n":10}' in computed
    assert summary == "1 of 3 executions did not hold; 4 steps matched."


def test_a_step_that_does_not_follow_for_programs(run: Run, own_history_project: Path) -> None:
    replace_in_step(own_history_project, "good-1", 3, b"ExecutionSucceeded", b"ExecutionSucceedes")

    result = run("replay", "good-1", "--verify", "--json", "--project", own_history_project)

    assert result.exit_code == 1
    document = json.loads(result.stdout)
    (mismatch,) = document.pop("mismatches")
    assert document == {"executions": 1, "steps": 2}
    assert "ExecutionSucceedes" in mismatch.pop("recorded")
    assert "ExecutionSucceeded" in mismatch.pop("computed")
    assert mismatch == {
        "executionArn": GOOD,
        "matchedSteps": 2,
        "problem": "step 3 does not follow from the history before it",
        "step": 3,
    }


def test_a_step_that_cannot_be_read_is_named(run: Run, own_history_project: Path) -> None:
    replace_in_step(own_history_project, "good-1", 2, b"[", b"(")

    proof = run("replay", "good-1", "--verify", "--project", own_history_project)
    shown = run("replay", "good-1", "--project", own_history_project)

    assert (proof.exit_code, shown.exit_code) == (1, 1)
    assert f"{GOOD}: a step cannot be read: " in proof.stdout
    assert f"Error: {GOOD}: not a stored step: " in shown.stderr
