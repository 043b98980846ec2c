import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from eventmill.errors import LogDamaged, LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.log.audit import Audit, audit_database
from eventmill.log.chain import Problem
from eventmill.log.connection import driver
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Transaction
from eventmill.rows import ExecutionRow, StepRow
from tests.unit.log.logs import large, row, step_with

CHANGED = "its execution, step or body was changed"


def started(id: int) -> Transaction:
    event = TriggerEvent(
        id=f"file-{id}",
        source="files",
        detail_type="Created",
        at_ms=1_700_000_000_000,
        account="000000000000",
        region="local",
        detail={"name": f"file {id}"},
    )
    row = ExecutionRow(
        id=id,
        arn=f"arn:aws:states:local:000000000000:execution:orders:run-{id}",
        state_machine_arn="arn:aws:states:local:000000000000:stateMachine:orders",
        name=f"run-{id}",
        definition="sha256:0123",
        status="RUNNING",
        start_ms=1_700_000_000_000,
        event=(event.source, event.id),
        trigger="on-file",
    )
    return Transaction(events=[event], received_ms=5, created=[row], steps=[step(id, 1)])


def step(execution: int, number: int) -> StepRow:
    body = f"execution {execution}, step {number}".encode()
    return StepRow(execution=execution, step=number, body=body)


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """Twelve rows: 1 event, 2 execution 21, 3 step; 4 event, 5 execution 22, 6 step; 7-12 steps."""
    path = tmp_path / "eventmill.db"
    async with SqliteEventLog.open(path) as log:
        for id in (21, 22):
            await log.commit(started(id))
        for number in (2, 3, 4):
            await log.commit(Transaction(steps=[step(21, number), step(22, number)]))
        await log.commit(Transaction(finished={21: ("SUCCEEDED", 9)}, timers={22: 7}))
    return path


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(driver.connect(path)) as connection:
        yield connection
        connection.commit()


def tamper(path: Path, statement: str) -> None:
    with tampering(path) as connection:
        assert connection.execute(statement).rowcount > 0


def test_an_untouched_log_has_no_problem(database: Path) -> None:
    audit = audit_database(database)
    assert audit == Audit(
        events=2,
        executions=2,
        steps=8,
        purged=0,
        position=12,
        hash=audit.hash,
        problem=None,
    )
    assert len(audit.hash) == 32


async def test_a_new_log_has_nothing_to_find(tmp_path: Path) -> None:
    async with SqliteEventLog.open(tmp_path / "log.db"):
        pass
    assert audit_database(tmp_path / "log.db") == Audit(
        events=0, executions=0, steps=0, purged=0, position=0, hash=bytes(32), problem=None
    )


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE steps SET body = CAST('forged' AS BLOB) WHERE position = 7",
            Problem(position=7, execution=21, step=2, what=CHANGED),
        ),
        (
            "UPDATE steps SET body = CAST(body || ' ' AS BLOB) WHERE position = 7",
            Problem(position=7, execution=21, step=2, what=CHANGED),
        ),
        (
            "UPDATE steps SET step = 9 WHERE position = 7",
            Problem(position=7, execution=21, step=9, what=CHANGED),
        ),
        (
            "UPDATE steps SET execution = 23 WHERE position = 7",
            Problem(position=7, execution=23, step=2, what=CHANGED),
        ),
        (
            "UPDATE steps SET body = NULL WHERE position = 7",
            Problem(position=7, execution=21, step=2, what=CHANGED),
        ),
        (
            "UPDATE steps SET hash = zeroblob(32) WHERE position = 7",
            Problem(position=7, execution=21, step=2, what="its hash was changed"),
        ),
        (
            "UPDATE inbox SET body = CAST(replace(CAST(body AS TEXT), 'file 22', 'file 23') "
            "AS BLOB) WHERE position = 4",
            Problem(position=4, execution=0, step=0, what=CHANGED),
        ),
        (
            "UPDATE inbox SET body = x'00' WHERE position = 4",
            Problem(position=4, execution=0, step=0, what=CHANGED),
        ),
        (
            "UPDATE inbox SET event_id = 'another' WHERE position = 4",
            Problem(
                position=4,
                execution=0,
                step=0,
                what="its source, id or time of receipt is not that of its body",
            ),
        ),
        (
            "UPDATE inbox SET received_ms = 6 WHERE position = 4",
            Problem(
                position=4,
                execution=0,
                step=0,
                what="its source, id or time of receipt is not that of its body",
            ),
        ),
        (
            "UPDATE executions SET arn = arn || 'x' WHERE id = 22",
            Problem(position=5, execution=22, step=0, what=CHANGED),
        ),
        (
            "UPDATE executions SET definition = 'sha256:4567' WHERE id = 22",
            Problem(position=5, execution=22, step=0, what=CHANGED),
        ),
        (
            "UPDATE executions SET start_ms = start_ms - 1 WHERE id = 22",
            Problem(position=5, execution=22, step=0, what=CHANGED),
        ),
        (
            "UPDATE executions SET event_id = NULL WHERE id = 22",
            Problem(position=5, execution=22, step=0, what=CHANGED),
        ),
        (
            "UPDATE executions SET trigger = 'mine' WHERE id = 22",
            Problem(position=5, execution=22, step=0, what=CHANGED),
        ),
        (
            "UPDATE executions SET id = -22 WHERE id = 22",
            Problem(position=5, execution=-22, step=0, what=CHANGED),
        ),
        (
            "DELETE FROM steps WHERE position = 7",
            Problem(position=7, execution=None, step=None, what="the row is missing"),
        ),
        (
            "DELETE FROM steps WHERE execution = 21",
            Problem(position=3, execution=None, step=None, what="the row is missing"),
        ),
        (
            "DELETE FROM steps WHERE position IN (8, 9, 10)",
            Problem(position=8, execution=None, step=None, what="the rows up to 10 are missing"),
        ),
        (
            "DELETE FROM inbox WHERE position = 1",
            Problem(position=1, execution=None, step=None, what="the row is missing"),
        ),
        (
            "DELETE FROM executions WHERE id = 22",
            Problem(position=5, execution=None, step=None, what="the row is missing"),
        ),
        (
            "UPDATE steps SET body = CAST('forged' AS BLOB) WHERE position = 12",
            Problem(
                position=12,
                execution=22,
                step=4,
                what="its execution, step, body or hash was changed",
            ),
        ),
    ],
)
def test_names_the_first_row_that_was_tampered_with(
    database: Path, statement: str, problem: Problem
) -> None:
    tamper(database, statement)
    assert audit_database(database).problem == problem


@pytest.mark.parametrize("other", [8, 11])
def test_names_the_first_of_two_steps_that_were_swapped(database: Path, other: int) -> None:
    tamper(database, "UPDATE steps SET position = -1 WHERE position = 7")
    tamper(database, f"UPDATE steps SET position = 7 WHERE position = {other}")
    tamper(database, f"UPDATE steps SET position = {other} WHERE position = -1")
    found = audit_database(database).problem
    assert found is not None
    assert found.position == 7
    assert found.what.startswith("it does not follow from the row before it")


def test_names_the_first_of_two_steps_whose_bodies_were_swapped(database: Path) -> None:
    tamper(
        database,
        "UPDATE steps SET body = other.body FROM steps AS other "
        "WHERE steps.position IN (7, 9) AND other.position = 16 - steps.position",
    )
    expected = Problem(position=7, execution=21, step=2, what=CHANGED)
    assert audit_database(database).problem == expected


def test_the_first_problem_is_named_whatever_kind_the_later_ones_are(database: Path) -> None:
    tamper(database, "UPDATE inbox SET event_id = 'another' WHERE position = 4")
    tamper(database, "UPDATE steps SET step = 9 WHERE position = 3")
    assert audit_database(database).problem == Problem(
        position=3, execution=21, step=9, what=CHANGED
    )


def test_rows_removed_at_the_end_show_only_in_the_last_position_and_hash(database: Path) -> None:
    before = audit_database(database)
    tamper(database, "DELETE FROM steps WHERE position > 10")
    after = audit_database(database)
    assert after.problem is None
    assert (before.position, after.position) == (12, 10)
    assert before.hash != after.hash


def test_a_purged_body_leaves_the_chain_whole(database: Path) -> None:
    with tampering(database) as connection:
        for table in ("inbox", "steps"):
            bodies = connection.execute(f"SELECT position, body FROM {table}").fetchall()
            connection.executemany(
                f"UPDATE {table} SET body = NULL, digest = ? WHERE position = ?",
                [(sha256(body).digest(), position) for position, body in bodies],
            )
    audit = audit_database(database)
    assert audit.problem is None
    assert audit.purged == 10


async def test_the_text_of_a_definition_that_was_changed_is_found(database: Path) -> None:
    text = '{"StartAt":"A"}'
    digest = sha256(text.encode()).hexdigest()
    transaction = started(23)
    row = replace(transaction.created[0], definition=digest)
    async with SqliteEventLog.open(database) as log:
        await log.commit(replace(transaction, created=[row], definitions={digest: text}))
    assert audit_database(database).problem is None
    tamper(database, "UPDATE definitions SET text = replace(text, 'A', 'B')")
    expected = Problem(
        position=14, execution=23, step=0, what="the text of its definition was changed"
    )
    assert audit_database(database).problem == expected


def test_status_and_timers_change_without_breaking_the_chain(database: Path) -> None:
    tamper(database, "UPDATE executions SET status = 'FAILED', stop_ms = 1 WHERE id = 22")
    tamper(database, "DELETE FROM timers")
    assert audit_database(database).problem is None


def test_finds_a_bit_flipped_in_the_file_itself(database: Path) -> None:
    content = database.read_bytes()
    body = b"execution 22, step 3"
    assert content.count(body) == 1
    database.write_bytes(content.replace(body, b"execution 22, step 2"))
    expected = Problem(position=10, execution=22, step=3, what=CHANGED)
    assert audit_database(database).problem == expected


def test_a_file_damaged_beyond_reading_is_an_error(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    database.write_bytes(content)
    with pytest.raises(LogDamaged, match=r"eventmill\.db"):
        audit_database(database)


def test_a_file_that_is_missing_is_an_error_and_stays_missing(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="there is no log at"):
        audit_database(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_an_audit_leaves_the_file_as_it_is(database: Path) -> None:
    before = database.read_bytes()
    audit_database(database)
    assert database.read_bytes() == before


async def test_audits_the_log_of_a_server_at_work_and_a_copy_of_its_files(
    tmp_path: Path,
) -> None:
    path, copy = tmp_path / "eventmill.db", tmp_path / "copy"
    copy.mkdir()
    async with SqliteEventLog.open(path) as log:
        await log.commit(started(21))
        live = audit_database(path)
        for file in (path, tmp_path / "eventmill.db-wal"):
            shutil.copy(file, copy)
        await log.commit(Transaction(steps=[step(21, 2)]))
        later = audit_database(path)
    assert (live.position, live.problem) == (3, None)
    assert (later.position, later.problem) == (4, None)
    assert audit_database(copy / "eventmill.db") == live


async def test_audits_more_rows_than_one_page(tmp_path: Path) -> None:
    path = tmp_path / "eventmill.db"
    async with SqliteEventLog.open(path) as log:
        await log.commit(started(21))
        await log.commit(Transaction(steps=[step(21, number) for number in range(2, 2_502)]))
    audit = audit_database(path)
    assert (audit.steps, audit.position, audit.problem) == (2_501, 2_503, None)


@pytest.fixture
async def with_payloads(tmp_path: Path) -> Path:
    """Six rows: 1 execution 31, 2-4 its steps, 5 execution 32, 6 its step; 4 and 6 share b."""
    path = tmp_path / "payloads.db"
    async with SqliteEventLog.open(path) as log:
        steps = [
            step_with(31, 1, large("a")),
            step(31, 2),
            step_with(31, 3, large("a"), large("b")),
        ]
        await log.commit(Transaction(created=[row(31)], steps=steps))
        created = [row(32)]
        await log.commit(Transaction(created=created, steps=[step_with(32, 1, large("b"))]))
    assert audit_database(path).problem is None
    return path


@pytest.mark.parametrize(
    ("statement", "mark", "problem"),
    [
        (
            "UPDATE payloads SET body = CAST(body || ' ' AS BLOB) WHERE digest = ?",
            "b",
            Problem(
                position=4, execution=31, step=3, what="a payload that it refers to was changed"
            ),
        ),
        (
            "UPDATE payloads SET body = x'' WHERE digest = ?",
            "a",
            Problem(
                position=2, execution=31, step=1, what="a payload that it refers to was changed"
            ),
        ),
        (
            "UPDATE payloads SET digest = 'other' WHERE digest = ?",
            "b",
            Problem(
                position=4, execution=31, step=3, what="a payload that it refers to is missing"
            ),
        ),
        (
            "DELETE FROM payloads WHERE digest = ?",
            "a",
            Problem(
                position=2, execution=31, step=1, what="a payload that it refers to is missing"
            ),
        ),
        (
            "DELETE FROM payload_uses WHERE digest = ? AND execution = 32",
            "b",
            Problem(
                position=6,
                execution=32,
                step=1,
                what="nothing says that it uses a payload that it refers to",
            ),
        ),
    ],
)
def test_names_the_first_step_whose_payload_was_tampered_with(
    with_payloads: Path, statement: str, mark: str, problem: Problem
) -> None:
    with tampering(with_payloads) as connection:
        assert connection.execute(statement, (large(mark).digest,)).rowcount == 1
    assert audit_database(with_payloads).problem == problem


def test_payloads_cannot_be_exchanged(with_payloads: Path) -> None:
    a, b = large("a").digest, large("b").digest
    tamper(
        with_payloads,
        f"UPDATE payloads SET body = (SELECT body FROM payloads WHERE digest = '{a}') "
        f"WHERE digest = '{b}'",
    )
    found = audit_database(with_payloads).problem
    assert found is not None
    assert found.position == 4


def test_another_reference_is_another_step(with_payloads: Path) -> None:
    a, b = large("a").digest, large("b").digest
    tamper(
        with_payloads,
        f"UPDATE steps SET body = CAST(replace(CAST(body AS TEXT), '{b}', '{a}') AS BLOB) "
        "WHERE position = 4",
    )
    found = audit_database(with_payloads).problem
    assert found == Problem(position=4, execution=31, step=3, what=CHANGED)


async def test_a_log_that_lacks_a_payload_cannot_be_read(with_payloads: Path) -> None:
    tamper(with_payloads, "DELETE FROM payloads")
    async with SqliteEventLog.open(with_payloads, read_only=True) as log:
        with pytest.raises(LogDamaged, match=f"lacks the payload {large('a').digest}"):
            await log.read(31)
