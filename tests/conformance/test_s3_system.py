"""Objects of S3 in the whole system: a project on disk, the real clock, the real log."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventmill.rows import ExecutionRow
from eventmill.runtime.project import inspect_project, load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.system import System, running
from tests.conformance.notified_queue import BUCKET, QueueWorld, Wire, created, empties
from tests.conformance.object_stores import S3World

ECHO = {"StartAt": "Only", "States": {"Only": {"Type": "Pass", "End": True}}}

KILLED_AFTER_COMMIT = """
import asyncio, os, signal, sys
from pathlib import Path
from eventmill.faults import set_hook
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.system import running

def hook(name):
    if name == "before-acknowledge":
        os.kill(os.getpid(), signal.SIGKILL)

async def live():
    settings = load_settings(Path(sys.argv[1]))
    async with running(settings, load_project(settings)) as system:
        await system.broken

set_hook(hook)
asyncio.run(live())
"""


@pytest.fixture
def world(s3: S3World) -> Iterator[QueueWorld]:
    world = QueueWorld(s3.endpoint)
    yield world
    world.close()


def write_project(folder: Path, *sources: dict[str, Any]) -> Path:
    """A project of one state machine and triggers with these sources."""
    for name in ("workflows", "triggers"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "workflows/echo.asl.json").write_text(json.dumps(ECHO))
    for number, source in enumerate(sources):
        target = {"StateMachine": "echo", "InputPath": "$.detail.object.key"}
        text = json.dumps({"Source": {"Type": "s3", **source}, "Target": target})
        (folder / f"triggers/objects-{number}.json").write_text(text)
    return folder


async def started(system: System, count: int) -> list[ExecutionRow]:
    """The executions, oldest first, once there are so many."""
    while True:
        rows = await system.log.executions()
        if len(rows) >= count:
            return list(reversed(rows))
        await asyncio.sleep(0.01)


async def in_trouble(system: System) -> str:
    """What is wrong with the only sensor, once something is."""
    while True:
        if system.supervisor.problems:
            (problem,) = system.supervisor.problems.values()
            return problem
        await asyncio.sleep(0.01)


async def test_objects_start_executions_once_over_restarts(
    world: QueueWorld, tmp_path: Path
) -> None:
    world.notify()
    project = write_project(tmp_path, {"QueueUrl": world.url, "Region": "us-east-1"})
    settings = load_settings(project)
    for number in range(2):
        async with running(settings, load_project(settings)) as system:
            world.put(f"{number}.csv")
            rows = await started(system, number + 1)
            await empties(world)

    assert {row.trigger for row in rows} == {"objects-0"}
    assert len(rows) == 2


async def test_a_listed_bucket_starts_executions_once_over_restarts(
    world: QueueWorld, s3: S3World, tmp_path: Path
) -> None:
    source = {"Bucket": BUCKET, "Prefix": "in/", "EndpointUrl": s3.endpoint, "ScanSeconds": 1}
    settings = load_settings(write_project(tmp_path, source))
    world.put("out/0.csv")
    for number in range(2):
        world.put(f"in/{number}.csv")
        async with running(settings, load_project(settings)) as system:
            rows = await started(system, number + 1)

    assert len(rows) == len({row.event for row in rows}) == 2


async def test_an_outage_is_waited_for_and_loses_nothing(
    world: QueueWorld, s3: S3World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire(s3.endpoint)
    await wire.mend()
    await wire.cut()
    source = {"QueueUrl": world.url, "EndpointUrl": wire.endpoint, "VisibilityTimeout": 2}
    settings = load_settings(write_project(tmp_path, source))
    world.send(created("a.csv"))
    async with asyncio.timeout(30), running(settings, load_project(settings)) as system:
        assert await in_trouble(system) == (
            f'the queue {world.url}: Could not connect to the endpoint URL: "{wire.endpoint}/"'
        )
        await wire.mend()
        await started(system, 1)
        await empties(world)
        assert system.supervisor.problems == {}
        await wire.cut()
        assert (await in_trouble(system)).startswith(f"the queue {world.url}: ")
        world.send(created("b.csv"))
        await wire.mend()
        assert len(await started(system, 2)) == 2
        await empties(world)
        await wire.cut()

    assert sum(each.endswith("; trying again") for each in caplog.messages) >= 2


async def test_a_kill_between_commit_and_delete_starts_nothing_twice(
    world: QueueWorld, tmp_path: Path
) -> None:
    project = write_project(tmp_path, {"QueueUrl": world.url, "VisibilityTimeout": 2})
    world.send(created("a.csv"))
    script = [sys.executable, "-c", KILLED_AFTER_COMMIT, str(project)]
    killed = await asyncio.to_thread(subprocess.run, script, timeout=30, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert sum(world.counts()) == 1

    settings = load_settings(project)
    async with running(settings, load_project(settings)) as system:
        await empties(world)
        (row,) = await system.log.executions()
        (event,) = await system.log.inbox()

    assert event.executions == {"objects-0": row.arn}


def test_two_triggers_may_not_disagree_about_one_source(tmp_path: Path) -> None:
    queue = {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/1/q"}
    bucket = {"Bucket": "data"}
    project = write_project(
        tmp_path, queue, {**queue, "MaxReceiveCount": 3}, bucket, {**bucket, "ScanSeconds": 5}
    )
    _, findings = inspect_project(load_settings(project))
    first, third = (project / f"triggers/objects-{number}.json" for number in (0, 2))

    assert [(each.code, each.message) for each in findings] == [
        (
            "SOURCES_AT_ODDS",
            f"reads the same queue as {first} with another Region, VisibilityTimeout or "
            "MaxReceiveCount; give both the same",
        ),
        (
            "SOURCES_AT_ODDS",
            f"lists the same objects as {third} with another Region, ScanSeconds, ExistingObjects "
            "or DeletionEvents; give both the same",
        ),
    ]
