"""Checkpoints show what a chain alone cannot: a cut end, another log, a history written anew."""

from dataclasses import replace
from pathlib import Path

import pytest

from eventmill.errors import LogDamaged, LogUnavailable
from eventmill.log.audit import audit_database, noted_checkpoints, noted_database
from eventmill.log.checkpoints import (
    Checkpoint,
    append_checkpoints,
    decode_checkpoint,
    encode_checkpoint,
    read_checkpoints,
)
from eventmill.log.retention import Limits, sweep
from eventmill.log.signing import KeyFileError, SigningKey, VerifyingKey, make_key
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Transaction
from tests.unit.log.logs import ended, event, started, tamper, tampering

NOW = 1_700_000_000_123


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


async def write(path: Path, ids: range, size: int = 0) -> None:
    async with SqliteEventLog.open(path) as log:
        for id in ids:
            await log.commit(started(id, size=size))


async def test_a_checkpoint_has_what_an_audit_finds(path: Path) -> None:
    await write(path, range(1, 4))
    async with SqliteEventLog.open(path) as log:
        first = await log.checkpoint(NOW)
        await log.commit(ended(1))
        await log.commit(Transaction(events=[event("alone")]))
        second = await log.checkpoint(NOW + 5)
    audit = audit_database(path)
    assert first is not None
    assert first == Checkpoint(
        position=9, hash=first.hash, at_ms=NOW, events=3, executions=3, steps=3
    )
    assert second == Checkpoint(
        position=11, hash=audit.hash, at_ms=NOW + 5, events=4, executions=3, steps=4
    )
    assert (audit.events, audit.executions, audit.steps) == (4, 3, 4)
    assert (audit.checkpoints, audit.problem) == (2, None)
    assert noted_checkpoints(path) == [first, second]
    assert noted_database(path, NOW + 5) == second


async def test_a_checkpoint_is_made_only_when_enough_rows_came(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        assert await log.checkpoint(NOW) is None
        await log.commit(started(1))
        assert await log.checkpoint(NOW, rows_min=4) is None
        made = await log.checkpoint(NOW, rows_min=3)
        assert made is not None
        assert await log.checkpoint(NOW) is None
    async with SqliteEventLog.open(path, read_only=True) as log:
        with pytest.raises(LogUnavailable, match="open for reading only"):
            await log.checkpoint(NOW)


async def test_a_truncated_end_is_found_by_the_checkpoints_in_the_log(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        for id in (1, 2, 3):
            await log.commit(started(id))
            await log.checkpoint(NOW)
    tamper(path, "DELETE FROM steps WHERE position > 8")
    assert str(audit_database(path).problem) == (
        "position 9: the row is missing: the checkpoint of 2023-11-14T22:13:20.123Z "
        "at position 9 has it"
    )


async def noted(path: Path) -> list[Checkpoint]:
    """Three executions with a checkpoint after each, kept outside of the log."""
    found = []
    for id in (1, 2, 3):
        await write(path, range(id, id + 1))
        found.append(noted_database(path, NOW + id))
    assert audit_database(path, found).checkpoints == 3
    return found


async def test_a_truncated_end_is_found_by_checkpoints_from_elsewhere(path: Path) -> None:
    given = await noted(path)
    with tampering(path) as connection:
        for table in ("inbox", "executions", "steps"):
            connection.execute(f"DELETE FROM {table} WHERE position > 5")
    assert str(audit_database(path, given).problem) == (
        "position 6: the rows up to 9 are missing: the checkpoint of 2023-11-14T22:13:20.126Z "
        "at position 9 has them"
    )
    assert audit_database(path).problem is None


async def test_a_log_that_was_emptied_is_found(path: Path, tmp_path: Path) -> None:
    given = await noted(path)
    await write(tmp_path / "new.db", range(0))
    assert str(audit_database(tmp_path / "new.db", given).problem).startswith(
        "position 1: the rows up to 9 are missing: the checkpoint of"
    )


async def test_another_log_is_found(path: Path, tmp_path: Path) -> None:
    given = await noted(path)
    other = tmp_path / "other.db"
    await write(other, range(1, 9), size=3)
    assert audit_database(other).problem is None
    assert str(audit_database(other, given).problem) == (
        "position 1: a row from here to 3 is another than when the checkpoint of "
        "2023-11-14T22:13:20.124Z at position 3 was made: "
        "this is another log, or its history was written anew"
    )


async def test_another_log_that_is_shorter_is_found(path: Path, tmp_path: Path) -> None:
    given = await noted(path)
    await write(tmp_path / "other.db", range(1, 2), size=3)
    found = str(audit_database(tmp_path / "other.db", given[1:]).problem)
    assert found.startswith("position 4: the rows up to 9 are missing")
    assert found.endswith("No checkpoint agrees with this log; it may be another one")


async def test_a_history_that_was_written_anew_is_found(path: Path, tmp_path: Path) -> None:
    given = await noted(path)
    forged = tmp_path / "forged.db"
    await write(forged, range(1, 2))
    await write(forged, range(2, 3), size=3)
    await write(forged, range(3, 9))
    assert audit_database(forged).problem is None
    assert str(audit_database(forged, given).problem) == (
        "position 4: a row from here to 6 is another than when the checkpoint of "
        "2023-11-14T22:13:20.125Z at position 6 was made: the history was written anew after "
        "the checkpoint of 2023-11-14T22:13:20.124Z at position 3"
    )


async def test_a_changed_row_is_named_before_the_checkpoints_that_follow(path: Path) -> None:
    given = await noted(path)
    tamper(path, "UPDATE steps SET body = x'00' WHERE position = 3")
    found = audit_database(path, given).problem
    assert found is not None
    assert (found.position, found.what) == (3, "its execution, step or body was changed")


async def test_checkpoints_of_removed_rows_cannot_be_compared_but_for_that_of_the_last(
    path: Path,
) -> None:
    async with SqliteEventLog.open(path) as log:
        await log.commit(started(1))
        await log.commit(ended(1))
        inside = noted_database(path, NOW)
        await log.commit(started(2))
        await log.commit(ended(2))
        at_the_end = noted_database(path, NOW)
        await log.commit(started(3))
        await sweep(log, Limits(executions_ms=1, events_ms=1), NOW)
    given = [inside, at_the_end]
    audit = audit_database(path, given)
    assert (audit.problem, audit.removed, audit.unreachable) == (None, 8, 1)
    assert audit.checkpoints == 2  # the one of `given`, and the one that the sweep made

    forged = replace(at_the_end, hash=bytes(32))
    found = audit_database(path, [forged]).problem
    assert found is not None
    assert found.position == 1


def checkpoint(position: int = 3) -> Checkpoint:
    return Checkpoint(
        position=position, hash=bytes(range(32)), at_ms=NOW, events=1, executions=1, steps=1
    )


@pytest.mark.parametrize("made", [checkpoint(), replace(checkpoint(), key="k", signature=b"\xff")])
def test_a_line_says_all_of_a_checkpoint(made: Checkpoint) -> None:
    assert decode_checkpoint(encode_checkpoint(made)) == made


def test_files_of_checkpoints_grow_and_are_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints"
    append_checkpoints(file, [checkpoint(9)])
    append_checkpoints(file, [checkpoint(3), checkpoint(5)])
    assert [each.position for each in read_checkpoints(file)] == [3, 5, 9]


@pytest.mark.parametrize(
    "line",
    [
        "nothing",
        "{}",
        '{"position":1,"hash":"00","time":"2023-11-14T22:13:20.123Z","events":0,"executions":0,'
        '"steps":1}',
        encode_checkpoint(checkpoint()).decode().replace("2023", "soon"),
        encode_checkpoint(checkpoint()).decode().replace('"steps"', '"step"'),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "checkpoints"
    file.write_bytes(encode_checkpoint(checkpoint()) + b"\n\n" + line.encode() + b"\n")
    with pytest.raises(LogDamaged, match=r"checkpoints:3: this is no checkpoint"):
        read_checkpoints(file)


async def test_a_signature_holds_until_anything_is_changed(path: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    signing = SigningKey.read(tmp_path / "key")
    verifying = VerifyingKey.read(tmp_path / "key.pub")
    async with SqliteEventLog.open(path) as log:
        await log.commit(started(1))
        made = await log.checkpoint(NOW, signing.sign)
    assert made is not None
    assert made.key == verifying.name == signing.name
    assert verifying.problem(made) is None
    assert verifying.problem(noted_checkpoints(path)[0]) is None
    for change in (
        {"position": 4},
        {"hash": bytes(32)},
        {"at_ms": 1},
        {"events": 2},
        {"executions": 2},
        {"steps": 2},
        {"signature": bytes(64)},
    ):
        assert "its signature does not fit" in str(verifying.problem(replace(made, **change)))


def test_the_key_of_somebody_else_and_no_key_are_told(tmp_path: Path) -> None:
    mine, other = make_key(tmp_path / "mine"), make_key(tmp_path / "other")
    signed = SigningKey.read(tmp_path / "other").sign(checkpoint().statement())
    theirs = replace(checkpoint(), key=signed[0], signature=signed[1])
    assert mine.problem(theirs) == f"it is signed by the key {other.name}, not by {mine.name}"
    assert mine.problem(replace(theirs, key=mine.name)) is not None
    assert mine.problem(checkpoint()) == "it is not signed"


def test_a_private_key_is_for_its_owner_and_not_overwritten(tmp_path: Path) -> None:
    made = make_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert VerifyingKey.read(tmp_path / "key").name == made.name
    with pytest.raises(FileExistsError):
        make_key(tmp_path / "key")
    (tmp_path / "key").unlink()
    with pytest.raises(FileExistsError):
        make_key(tmp_path / "key")
    assert not (tmp_path / "key").exists()


def test_a_file_without_a_key_is_told(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    (tmp_path / "none").write_text("no key")
    with pytest.raises(KeyFileError, match="none holds no Ed25519 key"):
        SigningKey.read(tmp_path / "none")
    with pytest.raises(KeyFileError, match="none holds no Ed25519 key"):
        VerifyingKey.read(tmp_path / "none")
    with pytest.raises(KeyFileError, match=r"key\.pub holds no Ed25519 key"):
        SigningKey.read(tmp_path / "key.pub")
