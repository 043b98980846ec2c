import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest

from eventmill.codec import encode_step
from eventmill.errors import LogDamaged, LogFromTheFuture, LogUnavailable
from eventmill.log import migrations
from eventmill.log.connection import driver
from eventmill.log.database import open_for_reading, open_for_writing
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.facts import StopExecution
from eventmill.machine.history import HistoryEvent
from eventmill.model import Payload
from eventmill.ports import ExecutionRow, StepRow, Transaction

Open: TypeAlias = Callable[[Path, int], sqlite3.Connection]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(driver.connect(path, isolation_level=None)) as connection:
        yield connection


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [number for number, _ in migrations.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_new_file_gets_the_newest_layout_and_our_mark(path: Path) -> None:
    with closing(open_for_writing(path, 100)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (
            migrations.migrations()[-1][0],
        )
        assert connection.execute("PRAGMA application_id").fetchone() == (0x45564D4C,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_an_empty_file_counts_as_new(path: Path) -> None:
    path.touch()
    open_for_writing(path, 100).close()
    open_for_reading(path, 100).close()


def test_opening_again_migrates_nothing(path: Path) -> None:
    open_for_writing(path, 100).close()
    before = path.read_bytes()
    open_for_writing(path, 100).close()
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing(raw: sqlite3.Connection) -> None:
    with pytest.raises(driver.Error, match="nowhere"):
        migrations.apply(raw, 1, "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1);")
    assert raw.execute("SELECT * FROM sqlite_schema").fetchall() == []
    assert raw.execute("PRAGMA user_version").fetchone() == (0,)
    assert raw.execute("PRAGMA application_id").fetchone() == (0,)
    assert not raw.in_transaction


@pytest.mark.parametrize("open_", [open_for_writing, open_for_reading])
def test_refuses_a_log_from_the_future(path: Path, open_: Open) -> None:
    open_for_writing(path, 100).close()
    with closing(driver.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA user_version = 99")
    newest = migrations.migrations()[-1][0]
    with pytest.raises(
        LogFromTheFuture,
        match=rf"log\.db has version 99, this Eventmill knows versions up to {newest}: start the",
    ):
        open_(path, 100)


@pytest.mark.parametrize("open_", [open_for_writing, open_for_reading])
def test_refuses_a_database_of_another_program_and_leaves_it_alone(
    path: Path, raw: sqlite3.Connection, open_: Open
) -> None:
    raw.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(LogDamaged, match=r"log\.db is a database of another program"):
        open_(path, 100)
    assert path.read_bytes() == before


@pytest.mark.parametrize("open_", [open_for_writing, open_for_reading])
def test_refuses_a_file_that_is_no_database(path: Path, open_: Open) -> None:
    path.write_bytes(b"id;name\n1;x\n" * 500)
    with pytest.raises(LogDamaged, match="file is not a database"):
        open_(path, 100)


def test_a_reader_does_not_migrate(path: Path) -> None:
    open_for_writing(path, 100).close()
    with closing(driver.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA user_version = 0")
    with pytest.raises(LogUnavailable, match="has version 0, this Eventmill reads version"):
        open_for_reading(path, 100)


def test_a_reader_creates_nothing(path: Path) -> None:
    with pytest.raises(LogUnavailable, match="there is no log at"):
        open_for_reading(path, 100)
    assert not path.exists()


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="unable to open database file"):
        open_for_writing(tmp_path, 100)


async def test_the_view_shows_each_event_of_a_history(path: Path) -> None:
    events = [
        HistoryEvent(4, 3, "PassStateEntered", 7, 0, {"name": "A", "input": Payload(b'{"x":1}')}),
        HistoryEvent(5, 4, "ExecutionAborted", 7, 0, {"error": "E"}, {"seed": 9}),
    ]
    body = encode_step(7, StopExecution(error="E", cause=None), events)
    row = ExecutionRow(
        id=1,
        arn="arn:1",
        state_machine_arn="arn:m",
        name="1",
        definition="d",
        status="RUNNING",
        start_ms=1,
    )
    async with SqliteEventLog.open(path) as log:
        await log.commit(
            Transaction(created=[row], steps=[StepRow(execution=1, step=1, body=body)])
        )
    with closing(driver.connect(path)) as raw:
        found = raw.execute("SELECT * FROM history_events").fetchall()
    assert found == [
        ("arn:1", 1, 7, 4, 3, "PassStateEntered", 0, '{"name":"A","input":{"x":1}}', None),
        ("arn:1", 1, 7, 5, 4, "ExecutionAborted", 0, '{"error":"E"}', '{"seed":9}'),
    ]
