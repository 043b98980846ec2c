"""Payloads of 16 MiB from the API through handlers, a Map and the log, and back."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from eventmill.api.server import serving
from eventmill.asl.parser import reopen
from eventmill.cli.client import Client, OperationFailed
from eventmill.log.audit import audit_database
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.execution import Identity
from eventmill.runtime.project import load_project
from eventmill.runtime.replay import verify
from eventmill.runtime.settings import load_settings
from eventmill.runtime.system import running

MIB_16 = 16 * 1_048_576
EXECUTION = "arn:aws:states:local:000000000000:execution:only:"
MACHINE = "arn:aws:states:local:000000000000:stateMachine:only"
FUNCTION = "arn:aws:lambda:local:000000000000:function:echo"

ECHO = """
from eventmill import handler

@handler
async def echo(event, context):
    return event
"""
WORKFLOW = {
    "StartAt": "Direct",
    "States": {
        "Direct": {"Type": "Task", "Resource": FUNCTION, "Next": "Enveloped"},
        "Enveloped": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "echo", "Payload.$": "$"},
            "OutputPath": "$.Payload",
            "Next": "Each",
        },
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.rows",
            "ResultPath": "$.rows",
            "ItemProcessor": {
                "StartAt": "Row",
                "States": {"Row": {"Type": "Task", "Resource": FUNCTION, "End": True}},
            },
            "End": True,
        },
    },
}


def make_project(folder: Path, isolation: str) -> Path:
    for name in ("workflows", "handlers"):
        (folder / name).mkdir(parents=True)
    (folder / "workflows/only.asl.json").write_text(json.dumps(WORKFLOW))
    (folder / "handlers/echo.py").write_text(ECHO)
    (folder / "eventmill.toml").write_text(
        f'[handlers]\nisolation = "{isolation}"\nworkers = 1\n'
        f"[quotas]\npayload_bytes_max = {MIB_16}\n"
    )
    return folder


def text_of(size: int) -> str:
    """An object of two rows with so many bytes, many of which are escaped in a request."""
    half = '{"ü\\\\": "' + '\\"é' * 1_000_000
    whole = f'{{"rows":[{half}"}},{{"text":"'
    return f'{whole}{"x" * (size - len(whole.encode()) - 4)}"}}]}}'


async def history(client: Client, arn: str) -> tuple[list[dict[str, Any]], int]:
    """All events, and the number of pages they came in."""
    events: list[Any] = []
    pages = 0
    request: dict[str, Any] = {"executionArn": arn, "maxResults": 1_000}
    while True:
        page: dict[str, Any] = await asyncio.to_thread(
            client.call, "GetExecutionHistory", dict(request)
        )
        assert page["events"]
        events += page["events"]
        pages += 1
        if "nextToken" not in page:
            return events, pages
        request["nextToken"] = page["nextToken"]


@pytest.mark.parametrize("isolation", ["inline", "workers"])
async def test_payloads_of_16_mib_go_all_the_way(isolation: str, tmp_path: Path) -> None:
    settings = load_settings(make_project(tmp_path / "project", isolation))
    text = text_of(MIB_16 - 1_000)  # room for what stands around it in the parameters
    value = json.loads(text)
    async with (
        running(settings, load_project(settings)) as system,
        serving(system, "127.0.0.1", 0) as address,
    ):
        client = Client(address.url)
        await asyncio.to_thread(
            client.call, "StartExecution", {"stateMachineArn": MACHINE, "name": "a", "input": text}
        )
        row = await system.log.execution(f"{EXECUTION}a")
        assert row is not None
        ended = await system.engine.ended(row.id)
        assert ended.status == "SUCCEEDED"

        described: dict[str, Any] = await asyncio.to_thread(
            client.call, "DescribeExecution", {"executionArn": ended.arn}
        )
        assert described["input"] == text
        assert json.loads(described["output"]) == value
        events, pages = await history(client, ended.arn)
        assert pages > 3
        assert [event["id"] for event in events] == list(range(1, len(events) + 1))
        exited = {
            details["name"]: json.loads(details["output"])
            for event in events
            if (details := event.get("stateExitedEventDetails")) is not None
        }
        assert exited["Direct"] == exited["Enveloped"] == exited["Each"] == value

        too_much = text_of(MIB_16 + 1)
        with pytest.raises(OperationFailed, match="less than or equal to 16777216"):
            await asyncio.to_thread(
                client.call, "StartExecution", {"stateMachineArn": MACHINE, "input": too_much}
            )

    # The input as it came, as handlers return it, and its rows: nothing of it is there twice.
    log = settings.data / "log.db"
    assert log.stat().st_size < 6 * MIB_16
    assert audit_database(log).problem is None
    async with SqliteEventLog.open(log, read_only=True) as opened:
        rows = await opened.read(row.id)
        assert len(rows) == ended.steps
        identity = Identity.of(row.arn, row.state_machine_arn)
        assert verify(identity, reopen(json.dumps(WORKFLOW)), rows) == ended.steps
