import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventmill.errors import AppendConflict, LogDamaged, LogUnavailable
from eventmill.log.audit import audit_database
from eventmill.log.connection import driver
from eventmill.log.database import open_for_writing
from eventmill.log.migrations import migrations
from eventmill.log.writer import Writer
from eventmill.ports import Transaction
from eventmill.rows import ExecutionRow, StepRow


def started(id: int) -> Transaction:
    row = ExecutionRow(
        id=id,
        arn=f"arn:{id}",
        state_machine_arn="arn:m",
        name=str(id),
        definition="d",
        status="RUNNING",
        start_ms=1,
    )
    return Transaction(created=[row], steps=[StepRow(execution=id, step=1, body=b"{}")])


def step(execution: int, number: int, body: bytes = b"{}") -> Transaction:
    return Transaction(steps=[StepRow(execution=execution, step=number, body=body)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_for_writing(path, 50)) as opened:
        yield opened


@pytest.fixture
def writer(connection: sqlite3.Connection, path: Path) -> Writer:
    return Writer(connection, path)


def histories(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    return connection.execute("SELECT execution, step FROM steps ORDER BY position").fetchall()


@pytest.mark.parametrize("size", [1, 2, 3, 511, 512, 513, 1_025])
def test_a_batch_of_any_size_is_written_whole(
    writer: Writer, connection: sqlite3.Connection, path: Path, size: int
) -> None:
    assert writer.commit([started(id) for id in range(1, size + 1)]) == [None] * size
    ended = Transaction(
        finished={id: ("SUCCEEDED", id) for id in range(1, size + 1)},
        timers={id: id * 10 for id in range(1, size + 1)},
        sensor_state={("s", str(id)): b"%d" % id for id in range(1, size + 1)},
        definitions={str(id): f"text {id}" for id in range(1, size + 1)},
    )
    assert writer.commit([ended]) == [None]
    ids = list(range(1, size + 1))

    def rows(query: str) -> list[tuple[object, ...]]:
        return connection.execute(query).fetchall()

    assert histories(connection) == [(id, 1) for id in ids]
    assert rows("SELECT id, status, stop_ms FROM executions ORDER BY id") == [
        (id, "SUCCEEDED", id) for id in ids
    ]
    assert rows("SELECT execution, due_ms FROM timers ORDER BY execution") == [
        (id, id * 10) for id in ids
    ]
    assert rows("SELECT value FROM sensor_state ORDER BY CAST(key AS INTEGER)") == [
        (b"%d" % id,) for id in ids
    ]
    assert rows("SELECT text FROM definitions ORDER BY CAST(digest AS INTEGER)") == [
        (f"text {id}",) for id in ids
    ]
    forgotten = Transaction(
        timers={id: None for id in ids if id != 2},
        sensor_state={("s", str(id)): None for id in ids if id != 2},
    )
    assert writer.commit([forgotten]) == [None]
    assert rows("SELECT execution FROM timers") == [(id,) for id in ids if id == 2]
    assert rows("SELECT key FROM sensor_state") == [(str(id),) for id in ids if id == 2]
    assert audit_database(path).problem is None


def test_sees_what_somebody_else_wrote(
    writer: Writer, connection: sqlite3.Connection, path: Path
) -> None:
    writer.commit([started(1)])
    with closing(open_for_writing(path, 50)) as elsewhere:
        intruder = Writer(elsewhere, path)
        assert intruder.commit([step(1, 2)]) == [None]
        (refused,) = writer.commit([step(1, 2)])
        assert isinstance(refused, AppendConflict)
        assert (refused.expected, refused.actual) == (1, 2)
        assert writer.commit([step(1, 3)]) == [None]
        assert intruder.commit([step(1, 4)]) == [None]
    assert writer.commit([step(1, 5)]) == [None]
    assert histories(connection) == [(1, number) for number in range(1, 6)]
    assert audit_database(path).problem is None


def test_the_chain_goes_on_after_a_batch_that_had_to_be_sorted_out(
    writer: Writer, connection: sqlite3.Connection, path: Path
) -> None:
    refusals = writer.commit([started(1), started(2), step(1, 3), step(2, 2), started(2)])
    assert [each is None for each in refusals] == [True, True, False, True, False]
    assert writer.commit([step(1, 2), step(2, 3)]) == [None, None]
    assert histories(connection) == [(1, 1), (2, 1), (2, 2), (1, 2), (2, 3)]
    audit = audit_database(path)
    assert (audit.position, audit.problem) == (7, None)


def test_a_full_disk_refuses_the_whole_batch_and_one_with_room_takes_it(
    writer: Writer, connection: sqlite3.Connection, path: Path
) -> None:
    writer.commit([started(1)])
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    batch = [step(1, 2), step(1, 3, b"x" * 100_000), started(2)]
    with pytest.raises(LogUnavailable, match=r"cannot write the log .*log\.db: database or disk"):
        writer.commit(batch)
    assert histories(connection) == [(1, 1)]
    connection.execute("PRAGMA max_page_count = 1000000")
    assert writer.commit(batch) == [None, None, None]
    assert histories(connection) == [(1, 1), (1, 2), (1, 3), (2, 1)]
    assert audit_database(path).problem is None


def test_a_disk_that_fills_while_a_batch_is_sorted_out_refuses_all_of_it(
    writer: Writer, connection: sqlite3.Connection, path: Path
) -> None:
    writer.commit([started(1)])
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LogUnavailable):
        writer.commit([step(1, 2), step(1, 9), step(1, 3, b"x" * 100_000)])
    connection.execute("PRAGMA max_page_count = 1000000")
    assert histories(connection) == [(1, 1)]
    assert writer.commit([step(1, 2)]) == [None]
    assert audit_database(path).problem is None


def test_a_file_that_turned_read_only_refuses(
    writer: Writer, connection: sqlite3.Connection
) -> None:
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(LogUnavailable, match="readonly"):
        writer.commit([started(1)])
    connection.execute("PRAGMA query_only = OFF")
    assert writer.commit([started(1)]) == [None]


def test_a_database_somebody_locked_refuses_until_it_is_free(
    writer: Writer, connection: sqlite3.Connection, path: Path
) -> None:
    with closing(driver.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match="database is locked"):
            writer.commit([started(1)])
    assert writer.commit([started(1)]) == [None]
    assert histories(connection) == [(1, 1)]


def test_a_damaged_file_is_told_apart_from_a_full_one(
    writer: Writer, connection: sqlite3.Connection, path: Path
) -> None:
    writer.commit([started(1)])
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA cache_size = 0")
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'steps'"
    ).fetchone()
    content = bytearray(path.read_bytes())
    content[4096 * (page - 1) : 4096 * page] = b"\xff" * 4096
    path.write_bytes(content)
    with closing(open_for_writing(path, 50)) as fresh, pytest.raises(LogDamaged):
        Writer(fresh, path).commit([step(1, 2)])


class FailingCommit:
    """A connection whose next COMMIT fails as on a disk that cannot be flushed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.fails = False
        self.executed: list[str] = []

    def execute(self, statement: str, cells: tuple[object, ...] = ()) -> sqlite3.Cursor:
        self.executed.append(statement)
        if statement == "COMMIT" and self.fails:
            self.fails = False
            raise driver.OperationalError("disk I/O error")
        return self.connection.execute(statement, cells)

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction


def test_a_commit_that_could_not_be_flushed_is_overwritten_at_once(
    connection: sqlite3.Connection, path: Path
) -> None:
    failing = FailingCommit(connection)
    writer = Writer(failing, path)  # type: ignore[arg-type]  # it has what the writer uses
    writer.commit([started(1)])
    failing.fails = True
    failing.executed.clear()
    wal = path.with_name("log.db-wal")
    size = wal.stat().st_size
    with pytest.raises(LogUnavailable, match="disk I/O error"):
        writer.commit([step(1, 2)])
    layout = f"PRAGMA user_version = {migrations()[-1][0]}"
    assert failing.executed[-3:] == ["ROLLBACK", "PRAGMA user_version", layout]
    assert wal.stat().st_size > size
    assert histories(connection) == [(1, 1)]
    assert writer.commit([step(1, 2)]) == [None]
    assert audit_database(path).problem is None


def test_a_mistake_of_ours_leaves_nothing_open(
    writer: Writer, connection: sqlite3.Connection
) -> None:
    with pytest.raises(AssertionError):
        writer.commit([started(1), started(0)])
    assert not connection.in_transaction
    assert writer.commit([started(1)]) == [None]
