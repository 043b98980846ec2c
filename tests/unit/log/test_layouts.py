"""Logs of every earlier layout: today's code migrates them and ends what was under way."""

import gzip
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from eventmill.errors import LogUnavailable
from eventmill.log import migrations
from eventmill.log.audit import audit_database
from eventmill.log.database import open_for_reading, open_for_writing
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.facts import TaskSucceeded
from eventmill.model import Json, Payload
from eventmill.rows import ExecutionRow
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

LAYOUTS: Final = Path(__file__).parent / "layouts"
NUMBERS: Final = sorted(int(file.name[:4]) for file in LAYOUTS.glob("*.db.gz"))
NEWEST: Final = migrations.migrations()[-1][0]
HOUR_MS: Final = 3_600_000
STARTED: Final = {"done", "failed", "waiting", "retrying", "under-way", "callback"}
DIES: Final = """
import os, signal, sys
from pathlib import Path
from eventmill.faults import set_hook
from eventmill.log.database import open_for_writing
passed = []
def hook(name):
    passed.append(name)
    if passed.count(sys.argv[2]) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
set_hook(hook)
open_for_writing(Path(sys.argv[1]), 100)
"""


def unpacked(number: int, folder: Path) -> Path:
    path = folder / "log.db"
    path.write_bytes(gzip.decompress((LAYOUTS / f"{number:04}.db.gz").read_bytes()))
    return path


async def work(event: Json, context: Any) -> Json:
    return event


def test_there_is_a_log_of_every_layout_before_the_newest() -> None:
    missing = set(range(1, NEWEST)) - set(NUMBERS)
    assert not missing, f"make them as {LAYOUTS / 'README.md'} says: {sorted(missing)}"


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_log_of_an_earlier_layout_is_migrated_recovered_and_finished(
    number: int, tmp_path: Path
) -> None:
    path = unpacked(number, tmp_path)
    if number < NEWEST:
        with pytest.raises(LogUnavailable, match=f"version {number}"):
            open_for_reading(path, 100)
    handlers = {"work": work, "refuse": work, "hang": work}
    clock = VirtualClock()
    async with (
        SqliteEventLog.open(path) as log,
        World(log, clock, handlers, {}) as world,
    ):
        rows = {row.name: row for row in await log.executions()}
        expected = STARTED | ({"spread"} if number > 1 else set())
        assert {name for name, row in rows.items() if row.event is None} == expected
        await settled()
        callback = rows["callback"]
        tasks = [each for each in await world.events(callback.id) if each.type == "TaskScheduled"]
        told = TaskSucceeded(task=tasks[0].id, output=Payload.of("at last"))
        assert await world.engine.told(callback.id, told)
        for _ in range(3):  # an hour for each who waits, and for a retry
            clock.advance(HOUR_MS)
            await settled()
        ended = {row.name: await world.engine.ended(row.id) for row in rows.values()}
        assert {name: row.status for name, row in ended.items() if row.status != "SUCCEEDED"} == {
            "failed": "FAILED"
        }
        await _prove(world, list(ended.values()))
        (arrived,) = await log.inbox()
        assert list(arrived.executions) == ["intake"]
        await _check_map_run(number, world)
    found = audit_database(path)
    assert found.problem is None
    assert found.executions == len(rows) + (0 if number == 1 else 3)


async def _prove(world: World, rows: list[ExecutionRow]) -> None:
    """Decide every step again, whichever version has stored it."""
    for row in rows:
        assert await world.proven(row) == row.steps


async def _check_map_run(number: int, world: World) -> None:
    if number == 1:
        return
    spread = await world.log.execution("arn:aws:states:local:000000000000:execution:spread:spread")
    assert spread is not None
    events = await world.events(spread.id)
    assert events[-1].payload("output").value == [1, 2, 3]
    (run,) = await world.log.map_runs(spread.id)
    assert run.status == "SUCCEEDED"
    children = await world.log.executions(map_run=(run.execution, run.map_run))
    assert {child.status for child in children} == {"SUCCEEDED"}
    await _prove(world, list(children))


@pytest.mark.parametrize("point", ["before-migration", "after-migration"])
@pytest.mark.parametrize(
    ("number", "times"),
    [(number, times) for number in range(1, NEWEST) for times in range(1, NEWEST - number + 1)],
)
def test_a_kill_during_migration_leaves_a_file_that_opens(
    number: int, times: int, point: str, tmp_path: Path
) -> None:
    path = unpacked(number, tmp_path)
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(path), point, str(times)], timeout=30, check=False
    )
    assert died.returncode == -signal.SIGKILL
    with closing(open_for_writing(path, 100)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert audit_database(path).problem is None


def test_what_was_migrated_is_laid_out_as_what_is_new(tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    expected = _schema(new)
    for number in NUMBERS:
        (folder := tmp_path / str(number)).mkdir()
        assert _schema(unpacked(number, folder)) == expected, f"layout {number}"


def _schema(path: Path) -> list[tuple[str, str]]:
    with closing(open_for_writing(path, 100)) as connection:
        asked = "SELECT name, sql FROM sqlite_schema ORDER BY name"
        return [(name, sql) for name, sql in connection.execute(asked)]
