"""A log in an Avro container and back: the same hashes, or a refusal that names the position."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pytest

from eventmill.errors import ExecutionDoesNotExist, LogDamaged, LogFromTheFuture, LogInUse
from eventmill.log.audit import audit_database
from eventmill.log.avro import TABLES, columns, schema
from eventmill.log.avro_export import Part, export_log
from eventmill.log.avro_import import import_log
from eventmill.log.migrations import migrations
from eventmill.log.retention import Limits, sweep
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Transaction
from eventmill.rows import Child, DeliveryRow, MapRunRow
from tests.unit.log.logs import (
    ARN,
    ended,
    large,
    row,
    started,
    step,
    step_with,
    tamper,
    tampering,
)

DAY = 86_400_000


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A log with a row in every table, and gaps; positions 1 to 30."""
    path = tmp_path / "log.db"
    run = MapRunRow(
        execution=1,
        map_run=7,
        arn="arn:map",
        max_concurrency=3,
        tolerated_count=0,
        tolerated_percentage=2.5,
        start_ms=5,
    )
    child = row(9, start_ms=90 * DAY, child=Child(execution=1, map_run=7, index=0, items=2))
    dead = DeliveryRow(
        event=("files", "file-1"), trigger="ü", status="DEAD", reason="why", since_ms=3
    )
    async with SqliteEventLog.open(path) as log:
        for id in range(1, 6):
            await log.commit(started(id, definition=f"d{id % 2}"))
        await log.commit(ended(2))
        await log.commit(ended(4))
        await log.commit(started(7, size=9_000))
        await log.commit(ended(7))
        await log.commit(
            Transaction(
                created=[child],
                steps=[step(9, 1)],
                map_runs=[run],
                timers={1: 777, 3: 778},
                sensor_state={("files", "a.csv"): b"\x00\xff", ("files", "ü"): b""},
                deliveries=[dead, replace(dead, trigger="late", status="WAITING", due_ms=9)],
            )
        )
        await log.commit(Transaction(steps=[step_with(9, 2, large("a"), large("b"), large("a"))]))
        await log.checkpoint(8, lambda statement: ("k", b"signature"))
        limits = Limits(executions_ms=DAY, events_ms=DAY, sensors_ms=DAY)
        await sweep(log, limits, 90 * DAY, sensors={"files"})
    tamper(path, "INSERT INTO removing (execution) VALUES (2)")
    assert audit_database(path).problem is None
    return path


def content(path: Path) -> dict[str, list[Any]]:
    with tampering(path) as connection:
        return {
            table.name: connection.execute(
                f"SELECT * FROM {table.name} ORDER BY {table.order}"
            ).fetchall()
            for table in TABLES
        }


def records(container: Path) -> list[tuple[str, dict[str, Any]]]:
    with container.open("rb") as file:
        found: Iterator[Any] = fastavro.reader(file, return_record_name=True)
        return [(name.rpartition(".")[2], values) for name, values in found]


def test_the_schema_is_the_published_one_and_has_every_column(
    path: Path, project_root: Path
) -> None:
    published = project_root / "schemas" / "eventmill-log.avsc"
    assert json.loads(published.read_text()) == schema()
    with tampering(path) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
        for table in TABLES:
            found = connection.execute(f"SELECT name FROM pragma_table_info('{table.name}')")
            assert sorted(columns(table.record)) == sorted(name for (name,) in found)
    # Snapshots are a cache: a server on an imported log makes its own.
    assert {name for (name,) in tables} == {table.name for table in TABLES} | {"snapshots"}


def test_an_import_has_every_row_with_its_hash(path: Path, tmp_path: Path) -> None:
    before = content(path)
    assert all(before.values())
    container, copy = tmp_path / "log.avro", tmp_path / "new" / "log.db"
    copy.parent.mkdir()

    exported = export_log(path, container)
    audit = import_log(container, copy)

    assert content(copy) == before
    assert audit == audit_database(path)
    assert (exported.position, exported.hash) == (audit.position, audit.hash)
    assert exported.records == sum(map(len, before.values())) == len(records(container)) - 1
    assert sorted(each.name for each in copy.parent.iterdir()) == ["log.db", "log.db.lock"]


async def test_a_server_goes_on_with_an_imported_log(path: Path, tmp_path: Path) -> None:
    export_log(path, tmp_path / "log.avro")
    import_log(tmp_path / "log.avro", tmp_path / "copy.db")
    async with SqliteEventLog.open(tmp_path / "copy.db") as log:
        assert await log.next_due_ms() == 777
        await log.commit(ended(3))
        await sweep(log, Limits(executions_ms=DAY, events_ms=DAY), 95 * DAY)
    assert audit_database(tmp_path / "copy.db").problem is None


async def test_an_empty_log_goes_through_too(tmp_path: Path) -> None:
    async with SqliteEventLog.open(tmp_path / "log.db"):
        pass
    export_log(tmp_path / "log.db", tmp_path / "log.avro")
    assert import_log(tmp_path / "log.avro", tmp_path / "copy.db").position == 0


async def test_what_is_committed_meanwhile_is_not_in_the_container(
    path: Path, tmp_path: Path
) -> None:
    async with SqliteEventLog.open(path) as log:
        before = audit_database(path)
        export_log(path, tmp_path / "log.avro")
        await log.commit(started(50))
    assert import_log(tmp_path / "log.avro", tmp_path / "copy.db") == before


def test_no_file_is_overwritten(path: Path, tmp_path: Path) -> None:
    container = tmp_path / "log.avro"
    export_log(path, container)
    before = container.read_bytes()
    with pytest.raises(FileExistsError, match=r"log\.avro"):
        export_log(path, container)
    assert container.read_bytes() == before
    with pytest.raises(FileExistsError, match=r"log\.db"):
        import_log(container, path)


async def test_a_data_folder_in_use_is_refused(path: Path, tmp_path: Path) -> None:
    export_log(path, tmp_path / "log.avro")
    async with SqliteEventLog.open(path):
        with pytest.raises(LogInUse):
            import_log(tmp_path / "log.avro", path)


def refused(container: Path, tmp_path: Path) -> str:
    """The message of the refusal; nothing is left of the log."""
    copy = tmp_path / "copy.db"
    with pytest.raises(LogDamaged) as raised:
        import_log(container, copy)
    assert not copy.exists()
    assert not list(tmp_path.glob("copy.db.partial*"))
    return str(raised.value)


def rewritten(path: Path, change: dict[str, Any], name: str, position: int) -> None:
    """A container whose record of this name and position has other values."""
    changed = [
        (f"eventmill.log.{each}", {**values, **change})
        if (each, values.get("position")) == (name, position)
        else (f"eventmill.log.{each}", values)
        for each, values in records(path)
    ]
    with path.open("rb") as file:
        header = fastavro.reader(file).metadata
    kept = {key: value for key, value in header.items() if key.startswith("eventmill")}
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(list(schema())), changed, metadata=kept)


@pytest.mark.parametrize(
    ("name", "position", "change", "message"),
    [
        ("Step", 3, {"body": b"other"}, "damaged at position 3 (execution 1, step 1): its"),
        ("Event", 1, {"hash": bytes(32)}, "damaged at position 1 (an event of the inbox): its"),
        ("Execution", 2, {"arn": "arn"}, "damaged at position 2 (the record of execution 1): its"),
        ("Step", 3, {"position": 4}, "damaged at position 3: the row is missing"),
        ("Execution", 8, {"status": "FAILED"}, "its records are not those that its end tells of"),
        ("Checkpoint", 24, {"at_ms": 7}, "its records are not those that its end tells of"),
    ],
)
def test_what_was_changed_is_found(
    path: Path, tmp_path: Path, name: str, position: int, change: dict[str, Any], message: str
) -> None:
    container = tmp_path / "log.avro"
    export_log(path, container)
    assert any(
        (each, values.get("position")) == (name, position) for each, values in records(container)
    )
    rewritten(container, change, name, position)
    assert message in refused(container, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE payloads SET body = CAST(body || ' ' AS BLOB)", "to was changed"),
        ("DELETE FROM payloads", "to is missing"),
    ],
)
def test_a_container_of_other_payloads_is_refused(
    path: Path, tmp_path: Path, change: str, message: str
) -> None:
    tamper(path, change)
    export_log(path, tmp_path / "log.avro")
    told = refused(tmp_path / "log.avro", tmp_path)
    assert "damaged at position 24 (execution 9, step 2): a payload that it refers " in told
    assert message in told


async def test_a_container_from_before_payloads_were_kept_apart(tmp_path: Path) -> None:
    path, container = tmp_path / "log.db", tmp_path / "log.avro"
    async with SqliteEventLog.open(path) as log:
        await log.commit(started(1))
    export_log(path, container)
    later = ("Payload", "PayloadUse", "Delivery")
    schema_then = [each for each in schema() if each["name"] not in later]
    rows = [(f"eventmill.log.{name}", values) for name, values in records(container)]
    header = {"eventmill.kind": "log", "eventmill.layout": "3"}
    with container.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema_then), rows, metadata=header)
    assert import_log(container, tmp_path / "copy.db") == audit_database(path)


async def test_a_truncated_container_is_refused_with_the_position(tmp_path: Path) -> None:
    path, container = tmp_path / "log.db", tmp_path / "log.avro"
    async with SqliteEventLog.open(path) as log:
        await log.commit(started(1))
        for first in range(2, 1_500, 100):
            numbers = range(first, min(first + 100, 1_500))
            await log.commit(Transaction(steps=[step(1, number, 1_000) for number in numbers]))
    export_log(path, container)
    whole = container.read_bytes()
    messages = set()
    for length in range(0, len(whole), len(whole) // 40):
        container.write_bytes(whole[:length])
        messages.add(refused(container, tmp_path))
    after = {
        int(each.split("after position ")[1].split(":")[0]) for each in messages if "after" in each
    }
    assert len(after) > 3
    assert max(after) <= 1_501


def test_a_container_without_its_end_is_refused(path: Path, tmp_path: Path) -> None:
    container = tmp_path / "log.avro"
    export_log(path, container)
    kept = [(f"eventmill.log.{name}", values) for name, values in records(container)][:-1]
    header = {"eventmill.kind": "log", "eventmill.layout": str(migrations()[-1][0])}
    with container.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(list(schema())), kept, metadata=header)
    assert "it was truncated: its end is missing" in refused(container, tmp_path)


def test_no_flipped_byte_gets_through(path: Path, tmp_path: Path) -> None:
    container = tmp_path / "log.avro"
    export_log(path, container)
    whole = container.read_bytes()
    before = content(path)
    start = whole.index(b"eventmill.layout")
    for at in range(start, len(whole), 53):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        container.write_bytes(flipped)
        copy = tmp_path / f"copy-{at}.db"
        try:
            import_log(container, copy)
        except (LogDamaged, LogFromTheFuture):
            assert not copy.exists()
        else:
            # What Avro does not look at, such as a checksum that zlib leaves to others.
            assert content(copy) == before


@pytest.mark.parametrize("bytes_", [b"", b"Obj\x01", b"no container at all", bytes(5_000)])
def test_a_file_that_is_no_container(tmp_path: Path, bytes_: bytes) -> None:
    container = tmp_path / "log.avro"
    container.write_bytes(bytes_)
    assert "log.avro is damaged at its beginning: it cannot be read" in refused(container, tmp_path)


def test_a_container_of_somebody_else(tmp_path: Path) -> None:
    container = tmp_path / "log.avro"
    with container.open("wb") as file:
        fastavro.writer(file, {"type": "string"}, ["a"])
    assert "is no log that was exported by Eventmill" in refused(container, tmp_path)


def test_a_container_from_the_future(path: Path, tmp_path: Path) -> None:
    container = tmp_path / "log.avro"
    with container.open("wb") as file:
        header = {"eventmill.kind": "log", "eventmill.layout": "99"}
        fastavro.writer(file, {"type": "string"}, ["a"], metadata=header)
    with pytest.raises(LogFromTheFuture, match="has version 99"):
        import_log(container, tmp_path / "copy.db")


def test_a_part_by_positions(path: Path, tmp_path: Path) -> None:
    container = tmp_path / "part.avro"
    export_log(path, container, Part(first=2, last=9))
    rows = [
        (name, values.get("position", values.get("last"))) for name, values in records(container)
    ]
    assert rows[:-2] == [
        ("Execution", 2),
        ("Step", 3),
        ("Gap", 6),
        ("Event", 7),
        ("Execution", 8),
        ("Step", 9),
    ]
    assert [name for name, _ in rows[-2:]] == ["Definition", "End"]
    with container.open("rb") as file:
        before = fastavro.reader(file).metadata["eventmill.before"]
    assert before == content(path)["inbox"][0][-1].hex()
    assert "is a part of a log" in refused(container, tmp_path)


def test_a_part_by_execution(path: Path, tmp_path: Path) -> None:
    container = tmp_path / "part.avro"
    export_log(path, container, Part(execution=f"{ARN}1"))
    assert [name for name, _ in records(container)] == [
        *("Event", "Execution", "Step", "Definition", "MapRun", "Timer", "End")
    ]
    assert "is a part of a log" in refused(container, tmp_path)
    with pytest.raises(ExecutionDoesNotExist, match="nobody"):
        export_log(path, tmp_path / "other.avro", Part(execution="nobody"))
    assert not (tmp_path / "other.avro").exists()


@pytest.mark.parametrize("part", [Part(first=24, last=24), Part(execution=f"{ARN}9")])
def test_a_part_has_the_payloads_that_it_refers_to(path: Path, tmp_path: Path, part: Part) -> None:
    container = tmp_path / "part.avro"
    export_log(path, container, part)
    kept = {values["digest"] for name, values in records(container) if name == "Payload"}
    assert kept == {large("a").digest, large("b").digest}


def test_progress_is_told_up_to_the_end(path: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    export_log(path, tmp_path / "log.avro", progress=lambda at, end: seen.append((at, end)))
    assert seen[-1][0] == seen[-1][1] == audit_database(path).position
