"""`eventmill replay` of branches, iterations and Map Runs, and of what is stored beside steps."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eventmill.asl.parser import reopen
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.execution import Identity
from eventmill.machine.snapshot import LAYOUT, snapshot
from eventmill.model import Json
from eventmill.ports import Transaction
from eventmill.rows import Snapshot
from eventmill.runtime.replay import replay
from tests.cli.conftest import Run
from tests.cli.projects import FUNCTION, HANDLERS, execution_arn, record_execution, write_project

DOUBLE: Json = {
    "StartAt": "Double",
    "States": {
        "Double": {
            "Type": "Task",
            "Resource": f"{FUNCTION}double",
            "Assign": {"twice.$": "$.n"},
            "Next": "Rest",
        },
        "Rest": {"Type": "Pass", "End": True},
    },
}
NESTED: Mapping[str, Json] = {
    "StartAt": "Set",
    "States": {
        "Set": {"Type": "Pass", "Assign": {"whole.$": "$", "who": "me"}, "Next": "Both"},
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {
                    "StartAt": "Name",
                    "States": {
                        "Name": {"Type": "Pass", "Assign": {"branch": "first"}, "Next": "Each"},
                        "Each": {
                            "Type": "Map",
                            "ItemsPath": "$.items",
                            "ItemProcessor": DOUBLE,
                            "End": True,
                        },
                    },
                },
                {"StartAt": "Idle", "States": {"Idle": {"Type": "Pass", "End": True}}},
            ],
            "Next": "Far",
        },
        "Far": {
            "Type": "Map",
            "ItemsPath": "$[0]",
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "P",
                "States": {"P": {"Type": "Pass", "End": True}},
            },
            "Label": "Far",
            "End": True,
        },
    },
}
ARN = execution_arn("nested", "run-1")
INPUT: Json = {"items": [{"n": 1}, {"n": 2}]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(
        tmp_path_factory.mktemp("nested"),
        workflows={"nested": dict(NESTED)},
        handlers={"sums.py": HANDLERS},
    )
    asyncio.run(record_execution(folder, "nested", "run-1", INPUT))
    return folder


def shown(run: Run, project: Path, event: int) -> dict[str, Any]:
    result = run("replay", ARN, "--at", event, "--json", "--project", project)
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def first(project: Path, type: str, count: int = 1) -> int:
    """The id of the n-th event of a type."""
    asked = "SELECT id FROM history_events WHERE type = ? AND arn = ? ORDER BY id LIMIT 1 OFFSET ?"
    with closing(sqlite3.connect(project / ".eventmill/log.db")) as log:
        (id,) = log.execute(asked, (type, ARN, count - 1)).fetchone()
    return int(id)


def test_variables_are_shown_with_the_branch_they_belong_to(run: Run, project: Path) -> None:
    document = shown(run, project, first(project, "LambdaFunctionScheduled", 2))

    assert document["variables"] == [
        {"name": "who", "scope": "", "value": '"me"'},
        {"name": "whole", "scope": "", "value": json.dumps(INPUT, separators=(",", ":"))},
        {"name": "branch", "scope": "Both[0]", "value": '"first"'},
    ]


def test_outstanding_tasks_are_shown_with_where_they_are(run: Run, project: Path) -> None:
    second = first(project, "LambdaFunctionScheduled", 2)
    document = shown(run, project, second)

    assert [(each["path"], each["parameters"]) for each in document["outstanding"]] == [
        ("Both[0] / Each[0] / Double", '{"n":1}'),
        ("Both[0] / Each[1] / Double", '{"n":2}'),
    ]
    assert [each["event"] for each in document["outstanding"]] == document["tasks"]
    assert document["tasks"][1] == second
    assert [state["path"] for state in document["states"]] == [
        "Both",
        "Both[0] / Each",
        "Both[0] / Each[0] / Double",
        "Both[0] / Each[1] / Double",
    ]


def test_an_iteration_between_two_states_is_shown(run: Run, project: Path) -> None:
    document = shown(run, project, first(project, "TaskStateExited"))

    (iteration,) = document["between"]
    place = iteration["path"].split(" / ")[1]
    assert iteration["next"] == "Rest"
    assert iteration["data"] in ('{"n":2}', '{"n":4}')
    assert {"name": "twice", "scope": f"Both[0] / {place}", "value": iteration["data"][5:-1]} in (
        document["variables"]
    )


def test_a_branch_that_has_not_entered_a_state_has_no_data(run: Run, project: Path) -> None:
    document = shown(run, project, first(project, "ParallelStateStarted"))

    assert document["between"] == [
        {"path": "Both[0] / Name", "next": "Name"},
        {"path": "Both[1] / Idle", "next": "Idle"},
    ]


def test_an_outstanding_map_run_is_shown(run: Run, project: Path) -> None:
    started = first(project, "MapRunStarted")
    document = shown(run, project, started)

    (command,) = document["outstanding"]
    arn = command.pop("mapRunArn")
    assert command == {"command": "RunMap", "event": started, "path": "Far"}
    assert ":mapRun:nested/Far:" in arn
    assert document["states"][0]["mapRunArn"] == arn
    page = run("replay", ARN, "--at", started, "--project", project).stdout
    assert re.search(rf"Far +Map +{started - 2} +Map Run {started} ", page)
    assert re.search(rf"Map Run {started} +Far +{arn}", page)


def test_all_of_it_is_shown_to_people(run: Run, project: Path) -> None:
    event = first(project, "TaskStateExited")
    page = run("replay", ARN, "--at", event, "--project", project).stdout
    lines = [re.split(r" {2,}", line) for line in page.splitlines()]

    assert ["NEXT STATE", "DATA"] in lines
    assert ["VARIABLE", "OF", "VALUE"] in lines
    assert ["$branch", "Both[0]", '"first"'] in lines
    assert ["$who", '"me"'] in lines
    assert ["OUTSTANDING", "STATE", "RESOURCE", "PARAMETERS"] in lines


def test_every_event_is_shown_in_both_forms(run: Run, project: Path) -> None:
    last = first(project, "ExecutionSucceeded")
    for event in range(1, last + 1):
        assert shown(run, project, event)["event"] == event
        page = run("replay", ARN, "--at", event, "--full", "--project", project)
        assert page.exit_code == 0
        assert f"After event  {event} of {last}" in page.stdout
    before = run("replay", ARN, "--at", last - 1, "--project", project).stdout
    assert "The last state has ended, the execution has not.\n" in before


# Snapshots


async def store_snapshot(project: Path, step: int, *, of_step: int | None = None) -> None:
    """Store what an execution was at a step, or what it was at another one, as if it ran on."""
    async with SqliteEventLog.open(project / ".eventmill/log.db") as log:
        row = await log.execution(ARN)
        assert row is not None
        machine = reopen(await log.definition(row.definition) or "")
        steps = (await log.read(row.id))[: of_step or step]
        body = snapshot(replay(Identity.of(row.arn, row.state_machine_arn), machine, steps))
        stored = Snapshot(execution=row.id, step=step, layout=LAYOUT, body=body)
        await log.commit(Transaction(snapshots=[stored]))


def verified(run: Run, project: Path) -> tuple[int, str]:
    result = run("replay", ARN, "--verify", "--project", project)
    return result.exit_code, result.stdout


def test_a_snapshot_is_compared_with_the_steps(run: Run, project: Path) -> None:
    asyncio.run(store_snapshot(project, 2))
    assert verified(run, project)[0] == 0

    asyncio.run(store_snapshot(project, 2, of_step=3))
    exit_code, text = verified(run, project)
    assert exit_code == 1
    assert "the steps hold, but the snapshot of step 2 is not what they come to" in text


def test_the_audit_tells_of_a_snapshot_that_was_changed(run: Run, project: Path) -> None:
    asyncio.run(store_snapshot(project, 2))
    with closing(sqlite3.connect(project / ".eventmill/log.db")) as log, log:
        log.execute("UPDATE snapshots SET body = zeroblob(9)")

    result = run("audit", "verify", "--project", project)
    counted = json.loads(run("audit", "verify", "--json", "--project", project).stdout)

    assert result.exit_code == 0
    assert "1 snapshot not as written: the server will ignore them" in result.stdout
    assert (counted["whole"], counted["snapshots"], counted["unsoundSnapshots"]) == (True, 1, 1)
    assert verified(run, project)[0] == 0
