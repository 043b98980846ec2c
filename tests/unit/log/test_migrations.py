import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import pytest

from eventmill.codec import decode_step, encode_step, spell_out
from eventmill.errors import LogDamaged, LogFromTheFuture, LogUnavailable
from eventmill.log import migrations, records
from eventmill.log.audit import audit_database
from eventmill.log.chain import GENESIS, link
from eventmill.log.connection import driver
from eventmill.log.database import open_for_reading, open_for_writing
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.facts import StopExecution, TimeReached
from eventmill.machine.history import Details, HistoryEvent
from eventmill.model import LARGE_BYTES_MIN, Enveloped, Payload
from eventmill.ports import Transaction
from eventmill.rows import ExecutionRow, StepRow
from tests.conformance.event_logs import execution

Open: TypeAlias = Callable[[Path, int], sqlite3.Connection]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(driver.connect(path, isolation_level=None)) as connection:
        yield connection


def test_migrations_are_numbered() -> None:
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
    body, _ = encode_step(7, StopExecution(error="E", cause=None), events)
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


async def test_the_view_fills_in_payloads_that_are_kept_apart(path: Path) -> None:
    large = Payload.of({"text": "ü" * LARGE_BYTES_MIN, "null": None, "list": [1, True]})
    around = Enveloped(b'{"a":', large, b',"b":null}', "a")
    details: list[Details] = [
        {"name": "A", "output": large, "assignedVariables": around, "n": 1.5, "yes": True},
        {"name": "B", "input": Payload(b'{"x":[1]}'), "none": None, "in": {"x": ["y"]}},
    ]
    events = [
        *(HistoryEvent(id, 0, "PassStateExited", 7, 0, each) for id, each in enumerate(details, 4)),
        HistoryEvent(6, 5, "ExecutionAborted", 7, 0, None, {"seed": 9}),
    ]
    body, payloads = encode_step(7, TimeReached(), events)
    created = replace(execution(1), arn="arn:1")
    async with SqliteEventLog.open(path) as log:
        row = StepRow(execution=1, step=1, body=body, payloads=payloads)
        await log.commit(Transaction(created=[created], steps=[row]))
    with closing(driver.connect(path)) as raw:
        found = raw.execute("SELECT id, details, internal FROM history_events").fetchall()
    assert [(id, shown and json.loads(shown), internal) for id, shown, internal in found] == [
        (
            4,
            {
                "name": "A",
                "output": large.value,
                "assignedVariables": around.value,
                "n": 1.5,
                "yes": True,
            },
            None,
        ),
        (5, {"name": "B", "input": {"x": [1]}, "none": None, "in": {"x": ["y"]}}, None),
        (6, None, '{"seed":9}'),
    ]


async def test_a_log_from_before_payloads_were_kept_apart_goes_on(path: Path) -> None:
    text = Payload.of(["x" * LARGE_BYTES_MIN])
    events = [HistoryEvent(1, 0, "PassStateEntered", 7, 0, {"name": "A", "input": text})]
    old = spell_out(7, TimeReached(), events)
    with closing(driver.connect(path, isolation_level=None)) as raw:
        for number, script in migrations.migrations()[:3]:
            migrations.apply(raw, number, script)
        record = records.encode_execution(execution(1))
        first = link(GENESIS, 1, 0, sha256(record).digest())
        raw.execute(
            "INSERT INTO executions (position, id, arn, state_machine_arn, name, definition, "
            "status, start_ms, hash) VALUES (1, 1, ?, ?, 'run-1', 'sha256:0123', 'RUNNING', ?, ?)",
            (execution(1).arn, execution(1).state_machine_arn, execution(1).start_ms, first),
        )
        second = link(first, 1, 1, sha256(old).digest())
        raw.execute("INSERT INTO steps VALUES (2, 1, 1, ?, NULL, ?)", (old, second))
    body, payloads = encode_step(8, TimeReached(), events)
    new = StepRow(execution=1, step=2, body=body, payloads=payloads)
    async with SqliteEventLog.open(path) as log:
        await log.commit(Transaction(steps=[new]))
        rows = await log.read(1)
    assert list(rows) == [StepRow(execution=1, step=1, body=old), new]
    for row in rows:
        assert decode_step(row.body, row.payloads).events[0].payload("input") == text
    assert audit_database(path).problem is None
    with closing(driver.connect(path)) as raw:
        details = raw.execute("SELECT details FROM history_events ORDER BY step").fetchall()
    assert details[0] == details[1]
