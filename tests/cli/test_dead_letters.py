"""`eventmill dead-letters list`."""

import asyncio
import json
from pathlib import Path

import pytest

from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import DeliveryRow, Transaction
from tests.cli.conftest import Run
from tests.cli.projects import PASS, write_project


def dead(id: str, trigger: str, status: str = "DEAD") -> DeliveryRow:
    return DeliveryRow(
        event=("test", id),
        trigger=trigger,
        status=status,
        reason="no input\x1b can be made",
        since_ms=1_000,
        attempts=2,
        decided_ms=2_000,
    )


async def store(path: Path, *rows: DeliveryRow) -> None:
    async with SqliteEventLog.open(path) as log:
        await log.commit(Transaction(deliveries=rows))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = write_project(tmp_path, workflows={"plain": PASS})
    (project / ".eventmill").mkdir()
    return project


def test_lists_dead_letters_newest_first(run: Run, project: Path) -> None:
    rows = dead("1", "intake"), dead("2", "other"), dead("3", "intake", "SKIPPED")
    asyncio.run(store(project / ".eventmill/log.db", *rows))

    everything = run("dead-letters", "list", "--project", project)
    assert (everything.exit_code, everything.stderr) == (0, "")
    head, first, second = everything.stdout.splitlines()
    assert head.split()[-1] == "REASON"
    assert first.split()[1:4] == ["other", "test", "2"]
    assert second.split()[1:4] == ["intake", "test", "1"]
    assert "\x1b" not in everything.stdout

    narrowed = run("dead-letters", "list", "--trigger", "intake", "--json", "--project", project)
    assert json.loads(narrowed.stdout) == {
        "deadLetters": [
            {
                "trigger": "intake",
                "eventSource": "test",
                "eventId": "1",
                "reason": "no input\x1b can be made",
                "attempts": 2,
                "since": "1970-01-01T00:00:02.000Z",
            }
        ]
    }


def test_says_that_there_are_none(run: Run, project: Path) -> None:
    asyncio.run(store(project / ".eventmill/log.db", dead("1", "intake", "STARTED")))
    result = run("dead-letters", "list", "--project", project)
    assert result.stdout == "There are no dead letters.\n"
