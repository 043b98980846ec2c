"""A server that dies in the middle of a sweep leaves a log that the next sweep goes on with."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from eventmill.log.retention import Limits, sweep
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Transaction
from tests.unit.log.logs import ended, ids, large, started, step, step_with
from tests.unit.log.test_retention import NOW, commit, kept, whole

# One interpreter for all kills: it forks for each line, and says how that process ended.
SWEEP_AND_DIE = """
import asyncio, os, signal, sys
from eventmill import faults
from eventmill.log.retention import Limits, sweep
from eventmill.log.sqlite import SqliteEventLog

left = 0

def die(point):
    global left
    left -= point == sys.argv[1]
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

async def main(path):
    async with SqliteEventLog.open(path) as log:
        faults.set_hook(die)
        await sweep(log, Limits(executions_ms=1, events_ms=1), 10**12)

def live(path):
    try:
        asyncio.run(main(path))
        os._exit(0)
    finally:
        os._exit(1)

for line in sys.stdin:
    time, path = line.rstrip().split(" ", 1)
    left = int(time)
    child = os.fork() or live(path)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def sweep_and_die(point: str) -> Iterator[Callable[[int, Path], int]]:
    """Sweeps a log and is killed when it passes the point for the n-th time; gives how it ended."""
    with subprocess.Popen(
        [sys.executable, "-c", SWEEP_AND_DIE, point],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:

        def run(time: int, path: Path) -> int:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{time} {path}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run


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
    tmp_path: Path, sweep_and_die: Callable[[int, Path], int]
) -> None:
    path = tmp_path / "log.db"
    await long_ended(path)
    kills = 0
    for time in count(1):
        copy = tmp_path / f"{time}.db"
        shutil.copyfile(path, copy)
        code = await asyncio.to_thread(sweep_and_die, time, copy)
        gone = 120 - whole(copy).executions
        async with SqliteEventLog.open(copy) as log:
            swept = await sweep(log, Limits(executions_ms=1, events_ms=1), NOW)
            assert gone + swept.removed.executions == 108
            assert ids(copy) == list(range(10, 121, 10))
            assert [len(await log.read(id)) for id in (9, 10, 11)] == [0, 11, 0]
        assert len(kept(copy)) == 13
        assert whole(copy).events == 12
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills > 5
