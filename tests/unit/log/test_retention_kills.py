"""A server that dies in the middle of a sweep leaves a log that the next sweep goes on with."""

import asyncio
import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from eventmill.log.retention import Limits, sweep
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Transaction
from tests.unit.log.logs import ended, ids, large, started, step, step_with
from tests.unit.log.test_retention import NOW, commit, kept, whole

SWEEP_AND_DIE = """
import asyncio, os, signal, sys
from eventmill import faults
from eventmill.log.retention import Limits, sweep
from eventmill.log.sqlite import SqliteEventLog

left = int(sys.argv[3])

def die(point):
    global left
    left -= point == sys.argv[2]
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with SqliteEventLog.open(sys.argv[1]) as log:
        faults.set_hook(die)
        await sweep(log, Limits(executions_ms=1, events_ms=1), 10**12)

asyncio.run(main())
"""


async def long_ended(path: Path) -> None:
    """A log of 120 executions, all but 12 of which have ended."""
    async with SqliteEventLog.open(path) as log:
        for id in range(1, 121):
            await commit(log, started(id))
            await commit(log, Transaction(steps=[step(id, n) for n in range(2, 11)]))
            own, shared = large(f"{id}"), large("shared")
            await commit(log, Transaction(steps=[step_with(id, 11, own, shared)]))
            await commit(log, *([] if id % 10 == 0 else [ended(id, 12)]))


@pytest.mark.parametrize("point", ["inside-commit", "after-commit"])
async def test_a_kill_in_any_transaction_of_a_sweep_leaves_a_log_that_the_next_one_goes_on_with(
    tmp_path: Path, point: str
) -> None:
    path = tmp_path / "log.db"
    await long_ended(path)
    kills = 0
    for time in count(1):
        copy = tmp_path / f"{time}.db"
        shutil.copyfile(path, copy)
        command = [sys.executable, "-c", SWEEP_AND_DIE, str(copy), point, str(time)]
        killed = await asyncio.to_thread(subprocess.run, command, check=False)
        gone = 120 - whole(copy).executions
        async with SqliteEventLog.open(copy) as log:
            swept = await sweep(log, Limits(executions_ms=1, events_ms=1), NOW)
            assert gone + swept.removed.executions == 108
            assert ids(copy) == list(range(10, 121, 10))
            assert [len(await log.read(id)) for id in (9, 10, 11)] == [0, 11, 0]
        assert len(kept(copy)) == 13
        assert whole(copy).events == 12
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL
        kills += 1
    assert kills > 5
