"""SIGKILL at every named point, then a restart: the same final histories, whatever died between.

The work has a sensor, a Map, a Map Run with children, a Parallel, retries and a Wait. A run that
was killed must end like one that was not: no event of the sensor lost or run twice, no transition
doubled, every handler run under the same idempotency keys, the chain intact, every step proven.
"""

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from eventmill.asl.parser import reopen
from eventmill.codec import aws_event, decode_step
from eventmill.faults import POINTS
from eventmill.log.audit import audit_database
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.execution import Identity
from eventmill.ports import ExecutionRow, StepRow
from eventmill.runtime.replay import verify

SERVER = Path(__file__).with_name("server.py")
FILES = {"one.txt": "1", "two.txt": "22"}
TIMES = (1, 2, 5)


def call(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:lambda:local:000000000000:function:{name}",
        **fields,
    }


RETRY = [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "MaxAttempts": 3}]
WORKFLOW = {
    "StartAt": "Read",
    "States": {
        "Read": call("read", ResultPath="$.text", Next="Fork"),
        "Fork": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Pause", "States": {
                    "Pause": {"Type": "Wait", "Seconds": 1, "Next": "Note"},
                    "Note": call("note", End=True)}},
                {"StartAt": "Flaky", "States": {"Flaky": call("flaky", Retry=RETRY, End=True)}},
                {"StartAt": "Each", "States": {"Each": {
                    "Type": "Map", "ItemsPath": "$.numbers", "MaxConcurrency": 2,
                    "ItemProcessor": {"StartAt": "Double", "States": {
                        "Double": call("double", End=True)}},
                    "End": True}}},
                {"StartAt": "Spread", "States": {"Spread": {
                    "Type": "Map", "ItemsPath": "$.numbers", "MaxConcurrency": 2, "Label": "Spread",
                    "ItemSelector": {"name.$": "$.name", "number.$": "$$.Map.Item.Value"},
                    "ItemProcessor": {
                        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                        "StartAt": "Halve", "States": {"Halve": call("halve", End=True)}},
                    "End": True}}},
            ],
            "ResultPath": "$.forked",
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}  # fmt: skip
TRIGGER = {
    "Source": {"Type": "filesystem", "Path": "inbox", "StableSeconds": 0, "ScanSeconds": 0.2},
    "Target": {
        "StateMachine": "work",
        "InputTransformer": {
            "InputPathsMap": {"name": "$.detail.name"},
            "InputTemplate": '{"name": <name>, "numbers": [1, 2, 3]}',
        },
    },
}
HANDLERS = """
import os
from pathlib import Path

from eventmill import HandlerError, handler

PROJECT = Path(__file__).parents[1]


def effect(context):
    with (PROJECT / "effects").open("a") as file:
        file.write(f"{context.idempotency_key}\\n")


@handler
async def read(event, context):
    effect(context)
    return (PROJECT / "inbox" / event["name"]).read_text()


@handler
async def note(event, context):
    effect(context)
    return "noted"


@handler
async def flaky(event, context):
    effect(context)
    if context.attempt == 1:
        raise HandlerError("Flaky", "the first attempt never works")
    return context.attempt


@handler
async def double(event, context):
    effect(context)
    return event * 2


@handler
async def halve(event, context):
    effect(context)
    return event["number"] / 2
"""


def make_project(folder: Path, isolation: str = "inline") -> Path:
    for name in ("workflows", "triggers", "handlers", "inbox"):
        (folder / name).mkdir(parents=True)
    (folder / "workflows/work.asl.json").write_text(json.dumps(WORKFLOW))
    (folder / "triggers/files.json").write_text(json.dumps(TRIGGER))
    (folder / "handlers/work.py").write_text(HANDLERS)
    (folder / "eventmill.toml").write_text(f'[handlers]\nisolation = "{isolation}"\nworkers = 1\n')
    for name, text in FILES.items():
        (folder / "inbox" / name).write_text(text)
    return folder


def serve(project: Path, *point: str) -> int:
    command = [sys.executable, str(SERVER), str(project), str(len(FILES)), *point]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


async def read_log(project: Path) -> list[tuple[ExecutionRow, Sequence[StepRow]]]:
    async with SqliteEventLog.open(project / ".eventmill/log.db", read_only=True) as log:
        parents = await log.executions()
        runs = [run for row in parents for run in await log.map_runs(row.id)]
        assert {run.status for run in runs} == {"SUCCEEDED"}
        keys = [(run.execution, run.map_run) for run in runs]
        children = [row for key in keys for row in await log.executions(map_run=key)]
        rows = [*parents, *children]
        for row in rows:
            definition = await log.definition(row.definition)
            assert definition is not None
            steps = await log.read(row.id)
            identity = Identity.of(row.arn, row.state_machine_arn)
            assert verify(identity, reopen(definition), steps) == len(steps)
        return [(row, await log.read(row.id)) for row in rows]


def story(steps: Sequence[StepRow]) -> Counter[str]:
    """A history without what may differ: times, ids, and which branch was faster.

    Each event stands for itself with the chain of events it points back to; what joins branches
    points to the last of them, so there the chain is cut.
    """
    told: dict[int, str] = {0: ""}
    lines = []
    for step in steps:
        for event in decode_step(step.body).events:
            if not event.id:
                continue
            shown = aws_event(event)
            details = {k: v for k, v in shown.items() if k.endswith("Details")}
            details.pop("mapRunStartedEventDetails", None)  # its ARN is new each time
            joins = event.type.startswith(
                ("ParallelState", "MapState", "MapIteration", "MapRunSucceeded")
            )
            before = "" if joins and "Started" not in event.type else told[event.previous_id]
            text = f"{event.type} {json.dumps(details, sort_keys=True)}"
            lines.append(f"{before} > {text}")
            told[event.id] = "" if joins else f"{before} > {event.type}"
    return Counter(lines)


def outcome(project: Path) -> Any:
    """What must be the same after every crash."""
    stories = {}
    for row, steps in asyncio.run(read_log(project)):
        assert row.status == "SUCCEEDED"
        (input_,) = {e.payload("input").text for s in steps[:1] for e in decode_step(s.body).events
                     if e.type == "ExecutionStarted"}  # fmt: skip
        given = json.loads(input_)
        stories[f"{given['name']} {given.get('number', '')}".strip()] = story(steps)
    audit = audit_database(project / ".eventmill/log.db")
    assert audit.problem is None, audit
    keys = (project / "effects").read_text().split()
    return stories, len(set(keys))


@cache
def undisturbed() -> Any:
    with TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project")
        assert serve(project) == 0
        return outcome(project)


def test_the_undisturbed_run_is_what_it_should_be() -> None:
    stories, keys = undisturbed()
    children = [f"{name} {number}" for name in FILES for number in (1, 2, 3)]
    assert sorted(stories) == sorted([*FILES, *children])
    assert keys == 18  # read, note, flaky and three times double and halve, for each of two files


@pytest.mark.timeout(120)
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_no_trace(point: str, times: int, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    killed = serve(project, point, str(times)) == -signal.SIGKILL
    assert killed or times > 2, f"the work does not pass {point} {times} times"
    assert serve(project) == 0
    assert outcome(project) == undisturbed()


@pytest.mark.timeout(120)
def test_kills_in_a_row_leave_no_trace(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    for point in ("after-commit", "before-dispatch", "before-answer", "inside-commit"):
        serve(project, point, "3")
    assert serve(project) == 0
    assert outcome(project) == undisturbed()


@pytest.mark.timeout(120)
def test_a_kill_with_worker_processes_leaves_no_trace(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", isolation="workers")
    assert serve(project, "before-answer", "4") == -signal.SIGKILL
    assert serve(project) == 0
    assert outcome(project) == undisturbed()
