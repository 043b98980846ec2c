"""The project that the crash and disk tests run, and what must have come of it in the end.

The work has a sensor, a start by a caller, a Map, a Map Run with children and written results, a
Parallel, retries, Waits in memory and in the log, and a task that a caller answers. Each end of it
starts another execution by way of the bus, and so does an event that a caller sends. A disturbed
run must end like one that was not: nothing of the sensor or the callers lost or run twice, no
transition doubled, every handler run under the same idempotency keys, the chain intact, every step
proven.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from eventmill.asl.parser import reopen
from eventmill.codec import aws_event, decode_step
from eventmill.log.audit import audit_database
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.execution import Identity
from eventmill.rows import ExecutionRow, StepRow
from eventmill.runtime.outbox import BUS
from eventmill.runtime.replay import verify

FILES: Final = ("one.txt", "two.txt")
BY_EVENT: Final = "an order"  # what a caller sends to the bus
BY_CALL: Final = "three.txt"  # lies where no sensor looks
# Of one execution: read, note, flaky and ask, and three times double and halve.
KEYS_OF_ONE: Final = 10
# So much that the log keeps the payloads with it apart from the steps.
NOTES: Final = "notes " * 1_000
LOG: Final = ".eventmill/log.db"

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def call(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:lambda:local:000000000000:function:{name}",
        **fields,
    }


RETRY = [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "MaxAttempts": 3}]
BRANCHES = {
    "Pause": [("Pause", {"Type": "Wait", "Seconds": 1, "Next": "Note"}),
              ("Note", call("note", End=True))],
    "Flaky": [("Flaky", call("flaky", Retry=RETRY, End=True))],
    "Ask": [("Ask", {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "ask",
                       "Payload": {"name.$": "$.name", "token.$": "$$.Task.Token"}},
        "End": True})],
    "Each": [("Each", {
        "Type": "Map", "ItemsPath": "$.numbers", "MaxConcurrency": 2,
        "ItemProcessor": {"StartAt": "Double", "States": {"Double": call("double", End=True)}},
        "End": True})],
    "Spread": [("Spread", {
        "Type": "Map", "ItemsPath": "$.numbers", "MaxConcurrency": 2, "Label": "Spread",
        "ItemSelector": {"name.$": "$.name", "number.$": "$$.Map.Item.Value"},
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Halve", "States": {"Halve": call("halve", End=True)}},
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject",
                         "Parameters": {"Bucket": "results", "Prefix": "spread"}},
        "End": True})],
}  # fmt: skip
WORKFLOW = {
    "StartAt": "Read",
    "States": {
        "Read": call("read", ResultPath="$.text", Next="Fork"),
        "Fork": {
            "Type": "Parallel",
            "Branches": [{"StartAt": n, "States": dict(states)} for n, states in BRANCHES.items()],
            "ResultPath": "$.forked",
            "Next": "Sleep",
        },
        "Sleep": {"Type": "Wait", "Seconds": 3, "Next": "Done"},
        "Done": {"Type": "Succeed"},
    },
}
TRIGGER = {
    "Source": {"Type": "filesystem", "Path": "inbox", "StableSeconds": 0, "ScanSeconds": 2},
    "Target": {
        "StateMachine": "work",
        "InputTransformer": {
            "InputPathsMap": {"name": "$.detail.name"},
            "InputTemplate": '{"folder": "inbox", "name": <name>, "numbers": [1, 2, 3], '
            f'"notes": "{NOTES}"}}',
        },
    },
}
AFTER = {"StartAt": "After", "States": {"After": {"Type": "Pass", "End": True}}}
ON_ENDS = {
    "EventPattern": {
        "source": ["aws.states"],
        "detail": {"stateMachineArn": [{"suffix": ":work"}], "status": ["SUCCEEDED"]},
    },
    "Target": {
        "StateMachine": "after",
        "Input": {"name": "{% $parse($states.input.detail.input).name & ' after' %}"},
    },
}
ON_ORDERS = {
    "EventPattern": {"source": ["my.shop"]},
    "Target": {"StateMachine": "after", "InputPath": "$.detail"},
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
    return (PROJECT / event["folder"] / event["name"]).read_text()


@handler
async def note(event, context):
    effect(context)
    return "noted"


@handler
async def ask(event, context):
    effect(context)
    draft = PROJECT / f"draft-{os.getpid()}"
    draft.write_text(event["token"])
    draft.rename(PROJECT / "tokens" / event["name"])


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


def make_project(folder: Path, isolation: str = "inline", files: Sequence[str] = FILES) -> Path:
    for name in ("workflows", "triggers", "handlers", "inbox", "archive", "tokens"):
        (folder / name).mkdir(parents=True)
    (folder / "buckets/results").mkdir(parents=True)
    (folder / "workflows/work.asl.json").write_text(json.dumps(WORKFLOW))
    (folder / "workflows/after.asl.json").write_text(json.dumps(AFTER))
    for name, trigger in (("files", TRIGGER), ("ends", ON_ENDS), ("orders", ON_ORDERS)):
        (folder / f"triggers/{name}.json").write_text(json.dumps(trigger))
    (folder / "handlers/work.py").write_text(HANDLERS)
    (folder / "eventmill.toml").write_text(f'[handlers]\nisolation = "{isolation}"\nworkers = 1\n')
    for place in (*(f"inbox/{name}" for name in files), f"archive/{BY_CALL}"):
        (folder / place).write_text(place)
    return folder


def expected_names(files: Sequence[str] = FILES) -> list[str]:
    """The names of the stories that `outcome` tells."""
    names = [*files, BY_CALL]
    parts = (1, 2, 3, "after")
    return sorted([BY_EVENT, *names, *(f"{name} {part}" for name in names for part in parts)])


def expected_executions(project: Path) -> int:
    """How many there will be, but for the children of Map Runs."""
    return 2 * len([*(project / "inbox").iterdir(), BY_CALL]) + len([BY_EVENT])


async def read_log(project: Path) -> list[tuple[ExecutionRow, Sequence[StepRow]]]:
    """Every execution with its history, each step of which was decided again."""
    async with SqliteEventLog.open(project / LOG, read_only=True) as log:
        parents = await log.executions()
        runs = [run for row in parents for run in await log.map_runs(row.id)]
        assert {run.status for run in runs} == {"SUCCEEDED"}
        assert len(runs) == sum(row.state_machine_arn.endswith(":work") for row in parents)
        assert await log.sensor_state(BUS) == {}, "something was not put on the bus"
        keys = [(run.execution, run.map_run) for run in runs]
        children = [row for key in keys for row in await log.executions(map_run=key)]
        assert await log.next_due_ms() is None, "a timer was left over"
        told = []
        for row in (*parents, *children):
            definition = await log.definition(row.definition)
            assert definition is not None
            steps = await log.read(row.id)
            identity = Identity.of(row.arn, row.state_machine_arn)
            assert verify(identity, reopen(definition), steps) == len(steps)
            told.append((row, steps))
        return told


def story(steps: Sequence[StepRow]) -> Counter[str]:
    """A history without what may differ: times, ids, and which branch was faster.

    Each event stands for itself with the chain of events it points back to; what joins branches
    points to the last of them, so there the chain is cut. That a task waits for its caller is
    passed over, since the caller may be faster than the handler's own answer.
    """
    told: dict[int, str] = {0: ""}
    lines = []
    for step in steps:
        for event in decode_step(step.body, step.payloads).events:
            if not event.id:
                continue
            if event.type == "TaskSubmitted":
                told[event.id] = told[event.previous_id]
                continue
            shown = aws_event(event)
            details = {k: v for k, v in shown.items() if k.endswith("Details")}
            joins = event.type.startswith(
                ("ParallelState", "MapState", "MapIteration", "MapRunSucceeded")
            )
            before = "" if joins and "Started" not in event.type else told[event.previous_id]
            text = _UUID.sub("(id)", f"{event.type} {json.dumps(details, sort_keys=True)}")
            lines.append(f"{before} > {text.replace(_token(details), '(token)')}")
            told[event.id] = "" if joins else f"{before} > {event.type}"
    return Counter(lines)


def _token(details: dict[str, Any]) -> str:
    """The task token among the details of an event, else a text that occurs nowhere."""
    found = json.loads(details.get("taskScheduledEventDetails", {}).get("parameters", "{}"))
    return str(found.get("Payload", {}).get("token", "\0"))


def results(project: Path) -> list[Any]:
    """What the Map Runs wrote: the outputs of the children, for each of them."""
    written = sorted((project / "buckets").rglob("SUCCEEDED_0.json"))
    assert len(written) == len(list((project / "buckets").rglob("manifest.json")))
    return [sorted(each["Output"] for each in json.loads(path.read_text())) for path in written]


def outcome(project: Path) -> Any:
    """What must be the same after every disturbance."""
    stories: dict[str, Counter[str]] = {}
    for row, steps in asyncio.run(read_log(project)):
        assert row.status == "SUCCEEDED", row
        given = json.loads(
            decode_step(steps[0].body, steps[0].payloads).events[0].payload("input").text
        )
        name = f"{given['name']} {given.get('number', '')}".strip()
        assert name not in stories, f"{name} ran twice"
        stories[name] = story(steps)
    audit = audit_database(project / LOG)
    assert audit.problem is None, audit
    keys = (project / "effects").read_text().split()
    return stories, len(set(keys)), results(project)
