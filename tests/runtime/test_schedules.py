"""Schedules in the whole system: a project on disk, the real clock, the real log."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from eventmill.instant import format_instant
from eventmill.rows import ExecutionRow
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.overlap import skipped
from eventmill.runtime.project import inspect_project, load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.system import System, running

ECHO = {"StartAt": "Only", "States": {"Only": {"Type": "Pass", "End": True}}}


def write_project(folder: Path, triggers: dict[str, dict[str, Any]]) -> Path:
    """A project of one state machine, `echo`, and triggers with these sources and more fields."""
    for name in ("workflows", "triggers"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "workflows/echo.asl.json").write_text(json.dumps(ECHO))
    for name, fields in triggers.items():
        source = {"Type": "schedule", **fields.pop("Source")}
        target = {"StateMachine": "echo", **fields.pop("Target", {})}
        text = json.dumps({"Source": source, "Target": target, **fields})
        (folder / f"triggers/{name}.json").write_text(text)
    return folder


async def started(system: System, count: int) -> list[ExecutionRow]:
    """The executions, oldest first, once there are so many."""
    while True:
        rows = await system.log.executions()
        if len(rows) >= count:
            return list(reversed(rows))
        await asyncio.sleep(0.01)


async def remembered(system: System) -> None:
    """Wait until the only sensor has made durable since when it watches."""
    (watch,) = system.watches
    while True:
        if await system.log.sensor_state(watch.sensor.name):
            return
        await asyncio.sleep(0.01)


async def test_a_schedule_starts_its_execution_once_over_restarts(tmp_path: Path) -> None:
    source = {"ScheduleExpression": "rate(1 hour)", "Name": "hourly"}
    target = {"InputPath": "$.detail.scheduled-time"}
    project = write_project(tmp_path, {"each-hour": {"Source": source, "Target": target}})
    settings = load_settings(project)

    for _ in range(2):
        async with running(settings, load_project(settings)) as system:
            (row,) = await started(system, 1)
            await system.engine.ended(row.id)
            (event,) = await system.log.inbox()

    assert row.trigger == "each-hour"
    assert row.event == ("aws.events", event.event.id)
    assert event.event.resources == ("arn:aws:events:local:000000000000:rule/hourly",)
    assert event.executions == {"each-hour": row.arn}


async def test_a_time_that_came_while_the_server_was_down_is_made_good(tmp_path: Path) -> None:
    soon = format_instant(SystemClock().now_ms() // 1000 * 1000 + 2_000)
    source = {"ScheduleExpression": f"at({soon})"}
    project = write_project(tmp_path, {"once": {"Source": source}})
    settings = load_settings(project)

    async with running(settings, load_project(settings)) as system:
        await remembered(system)
    await SystemClock().sleep_until(SystemClock().now_ms() + 2_000)
    async with running(settings, load_project(settings)) as system:
        await asyncio.wait_for(started(system, 1), 5)
    async with running(settings, load_project(settings)) as system:
        assert len(await system.log.inbox()) == 1


async def test_a_schedule_whose_trigger_is_disabled_is_paused(tmp_path: Path) -> None:
    source = {"ScheduleExpression": "rate(1 hour)", "CatchUp": "all"}
    settings = load_settings(write_project(tmp_path, {"t": {"Source": source, "Enabled": False}}))

    async with running(settings, load_project(settings)) as system:
        await remembered(system)
        assert await system.log.inbox() == []

    write_project(tmp_path, {"t": {"Source": source}})
    async with running(settings, load_project(settings)) as system:
        (row,) = await asyncio.wait_for(started(system, 1), 5)
        assert row.trigger == "t"


def test_two_triggers_with_one_schedule_must_agree(tmp_path: Path) -> None:
    daily = {"ScheduleExpression": "@daily"}
    project = write_project(
        tmp_path,
        {
            "a": {"Source": daily},
            "b": {"Source": {**daily, "CatchUp": "all"}},
            "c": {"Source": {**daily, "CatchUp": "all", "Name": "own"}},
        },
    )

    _, findings = inspect_project(load_settings(project))

    assert [(each.path.name, each.code) for each in findings] == [("b.json", "SOURCES_AT_ODDS")]
    assert "EndDate, FlexibleTimeWindow or CatchUp" in findings[0].message


async def test_overlap_policies_hold_in_the_whole_system_and_over_a_restart(
    tmp_path: Path,
) -> None:
    project = write_project(tmp_path, {})
    rest = {"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    (project / "workflows/rest.asl.json").write_text(json.dumps(rest))
    source = {"Type": "filesystem", "Path": "inbox", "StableSeconds": 0, "ScanSeconds": 0.1}
    target = {"StateMachine": "rest", "Overlap": "skip"}
    (project / "triggers/files.json").write_text(json.dumps({"Source": source, "Target": target}))
    (project / "inbox").mkdir()
    settings = load_settings(project)

    for number in range(2):
        async with running(settings, load_project(settings)) as system:
            (project / f"inbox/{number}.csv").write_text("x")
            while True:
                if len(await system.log.inbox()) == number + 1:
                    break
                await asyncio.sleep(0.01)
            (row,) = await system.log.executions()
            (trigger,) = system.project.triggers
            passed_over = await skipped(system.log, trigger)

    assert [each.execution for each in passed_over] == [row.name]


@pytest.mark.parametrize("triggers", [2_000])
async def test_thousands_of_schedules_start_and_rest_in_one_project(
    tmp_path: Path, triggers: int
) -> None:
    """Each is a sensor of its own; bench tells what ten thousand cost."""
    project = write_project(
        tmp_path,
        {
            f"t{number}": {
                "Source": {"ScheduleExpression": "rate(1 day)", "Name": f"n{number}"},
                "Enabled": number % 100 == 0,
            }
            for number in range(triggers)
        },
    )
    settings = load_settings(project)
    async with running(settings, load_project(settings)) as system:
        rows = await asyncio.wait_for(started(system, triggers // 100), 20)

    assert len({row.trigger for row in rows}) == triggers // 100
