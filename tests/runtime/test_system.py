"""The whole system on a small project: what only shows when everything is wired."""

import json
from pathlib import Path
from typing import Any

import pytest

from eventmill.codec import decode_step
from eventmill.model import Payload
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.starting import Start
from eventmill.runtime.system import running

SLOW = """
import asyncio
from eventmill import handler

@handler
async def slow(event, context):
    for _ in range(5):
        await asyncio.sleep(0.4)
        if event["beats"]:
            context.heartbeat()
    return "done"
"""


def make_project(folder: Path, isolation: str, states: dict[str, Any]) -> Path:
    for name in ("workflows", "handlers"):
        (folder / name).mkdir(parents=True)
    definition = {"StartAt": next(iter(states)), "States": states}
    (folder / "workflows/only.asl.json").write_text(json.dumps(definition))
    (folder / "handlers/slow.py").write_text(SLOW)
    (folder / "eventmill.toml").write_text(f'[handlers]\nisolation = "{isolation}"\nworkers = 1\n')
    return folder


async def run(project: Path, data: Any) -> tuple[str, list[str]]:
    settings = load_settings(project)
    async with running(settings, load_project(settings)) as system:
        machine = system.catalog.machine("only")
        start = Start(machine=machine, name="run", input=Payload.of(data))
        (row,) = await system.engine.start([start])
        ended = await system.engine.ended(row.id)
        rows = await system.log.read(row.id)
        return ended.status, [e.type for r in rows for e in decode_step(r.body, r.payloads).events]


@pytest.mark.parametrize("isolation", ["inline", "workers"])
async def test_a_handler_that_beats_outlives_its_heartbeat_seconds(
    isolation: str, tmp_path: Path
) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:lambda:local:000000000000:function:slow",
        "HeartbeatSeconds": 1,
        "End": True,
    }
    project = make_project(tmp_path / "project", isolation, {"Slow": task})
    status, types = await run(project, {"beats": True})
    assert status == "SUCCEEDED"
    assert types.count("HeartbeatReceived") >= 3


async def test_a_handler_that_is_silent_does_not(tmp_path: Path) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:lambda:local:000000000000:function:slow",
        "HeartbeatSeconds": 1,
        "End": True,
    }
    project = make_project(tmp_path / "project", "workers", {"Slow": task})
    status, types = await run(project, {"beats": False})
    assert status == "FAILED"
    assert types[-2:] == ["LambdaFunctionTimedOut", "ExecutionFailed"]


LIMITED = """
import asyncio
from pathlib import Path
from eventmill import handler

@handler(concurrency=2)
async def slow(event, context):
    busy = Path("busy")
    busy.mkdir(exist_ok=True)
    mine = busy / context.execution_arn.rsplit(":", 1)[-1]
    mine.touch()
    at_once = len(list(busy.iterdir()))
    await asyncio.sleep(0.02)
    mine.unlink()
    return at_once
"""


@pytest.mark.parametrize(
    ("concurrency", "most"),
    [
        ("", 2),  # as the handler says
        ("handlers = { slow = 3 }", 3),
        ('handlers = { "slow.slow" = 1 }', 1),
        ("executions = { only = 1 }", 1),
    ],
)
async def test_limits_hold_over_all_workers(concurrency: str, most: int, tmp_path: Path) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:lambda:local:000000000000:function:slow",
        "End": True,
    }
    project = make_project(tmp_path / "project", "workers", {"Slow": task})
    (project / "handlers/slow.py").write_text(LIMITED)
    toml = (project / "eventmill.toml").read_text().replace("workers = 1", "workers = 2")
    (project / "eventmill.toml").write_text(f"{toml}\n[concurrency]\n{concurrency}\n")
    settings = load_settings(project)
    async with running(settings, load_project(settings)) as system:
        machine = system.catalog.machine("only")
        starts = [Start(machine=machine, name=f"run-{n}", input=Payload.of(n)) for n in range(20)]
        rows = [row for start in starts for row in await system.engine.start([start])]
        ended = [await system.engine.ended(row.id) for row in rows]
        assert {row.status for row in ended} == {"SUCCEEDED"}
        outputs: list[Any] = []
        for row in rows:
            (*_, last) = await system.log.read(row.id)
            outputs.append(decode_step(last.body, last.payloads).events[-1].payload("output").value)
        assert max(outputs) == most
