"""SIGKILL at every named point, then a restart: the same final histories, whatever died between.

`python -m tests.crash` kills at every passing of every point; here are the first ones.
"""

import asyncio
from pathlib import Path

import pytest

from eventmill.asl.parser import reopen
from eventmill.faults import POINTS
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.execution import Identity
from eventmill.runtime.replay import snapshot_holds
from tests.crash.kills import kill_and_restart
from tests.crash.servers import KILLED, Ended, servers, undisturbed
from tests.crash.workload import FILES, KEYS_OF_ONE, expected_names, make_project, outcome

TIMES = (1, 4)
# What every server passes once at most.
ONCE = {"before-recovery", "after-recovery"}


def test_the_undisturbed_run_is_what_it_should_be() -> None:
    stories, keys, results = undisturbed()
    assert sorted(stories) == expected_names()
    assert keys == KEYS_OF_ONE * (len(FILES) + 1)
    assert results == [["0.5", "1.0", "1.5"]] * (len(FILES) + 1)


@pytest.mark.parametrize(
    ("point", "times"),
    [(point, times) for point in POINTS for times in TIMES if times == 1 or point not in ONCE],
)
def test_a_kill_leaves_no_trace(point: str, times: int, tmp_path: Path) -> None:
    killed = kill_and_restart(tmp_path, point, times)
    assert killed or times > 2, f"the work does not pass {point} {times} times"


async def snapshots_that_hold(project: Path) -> list[bool]:
    """Of each execution that runs and has a snapshot, whether its steps come to that."""
    async with SqliteEventLog.open(project / ".eventmill/log.db", read_only=True) as log:
        holds = []
        for id in await log.unfinished():
            row, stored = await log.execution_by_id(id), await log.snapshot(id)
            if row is not None and stored is not None:
                machine = reopen(await log.definition(row.definition) or "")
                identity = Identity.of(row.arn, row.state_machine_arn)
                holds.append(snapshot_holds(identity, machine, await log.read(id), stored))
        return holds


def test_a_kill_leaves_snapshots_that_the_next_server_goes_on_from(tmp_path: Path) -> None:
    # How much is durable by an answer depends on how busy the computer is.
    for times in range(8, 26, 3):
        project = make_project(tmp_path / f"killed at {times}")
        assert servers().run(project, "before-answer", times).code == KILLED
        found = asyncio.run(snapshots_that_hold(project))
        assert found == [True] * len(found)
        if len(found) > 1:
            break
    assert len(found) > 1
    assert servers().run(project) == Ended(0, "")  # and warns of nothing
    assert outcome(project) == undisturbed()


def test_kills_in_a_row_leave_no_trace(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    for point in ("after-commit", "before-dispatch", "before-answer", "inside-commit"):
        assert servers().run(project, point, 3).code == KILLED
    assert servers().run(project) == Ended(0, "")
    assert outcome(project) == undisturbed()


def test_a_kill_with_worker_processes_leaves_no_trace(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", isolation="workers")
    assert servers().run(project, "before-answer", 4).code == KILLED
    assert servers().run(project) == Ended(0, "")
    assert outcome(project) == undisturbed()
