"""No list of executions that anybody may ask for reads or sorts more than it returns."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eventmill.log import queries
from eventmill.log.database import open_for_writing

MACHINES = (None, "arn:aws:states:local:000000000000:stateMachine:orders")
STATUSES = (None, "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
MAP_RUNS = (None, (1, 2))
BEFORE = (None, 5)


class Asked:
    """A connection that keeps what it was asked last."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        self.last = sql, values
        return self._connection.execute(sql, values)

    def plan(self) -> list[str]:
        sql, values = self.last
        steps = self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        return [step[3] for step in steps]


@pytest.mark.parametrize(
    ("machine", "status", "map_run", "before"),
    # The API takes a state machine or a Map Run, not both.
    [each for each in itertools.product(MACHINES, STATUSES, MAP_RUNS, BEFORE)
     if each[0] is None or each[2] is None],
)  # fmt: skip
def test_no_list_of_executions_scans_or_sorts(
    tmp_path: Path,
    machine: str | None,
    status: str | None,
    map_run: tuple[int, int] | None,
    before: int | None,
) -> None:
    with closing(open_for_writing(tmp_path / "log.db", 0)) as connection:
        asked: Any = Asked(connection)
        queries.executions(asked, machine, status, map_run, before, 10)
        plan = asked.plan()

    assert not [step for step in plan if "TEMP B-TREE" in step]
    # The newest of all are the end of an index that holds nothing else.
    ordered = "SCAN executions USING INDEX executions_without_parent"
    assert not [step for step in plan if step.startswith("SCAN") and step != ordered]
    if machine is not None:
        wanted = "state_machine_arn=?" if status is None else "state_machine_arn=? AND status=?"
        assert wanted in plan[0]
    assert ("rowid<?" in plan[0] or "id<?" in plan[0] or "child_index<?" in plan[0]) == (
        before is not None
    )


def test_no_list_of_map_runs_or_events_scans_or_sorts(tmp_path: Path) -> None:
    with closing(open_for_writing(tmp_path / "log.db", 0)) as connection:
        asked: Any = Asked(connection)
        plans = []
        queries.map_runs(asked, 1)
        plans.append(asked.plan())
        for before in BEFORE:
            queries.inbox(asked, before, 10)
            plans.append(asked.plan())

    assert [plan[0].split(" USING")[0] for plan in plans] == [
        "SEARCH map_runs",
        "SCAN inbox",  # from its end, in the order of its rows
        "SEARCH inbox",
    ]
    assert not [plan for plan in plans if len(plan) > 1]
