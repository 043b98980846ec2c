"""A copy has all of one instant, is whole, and never takes the place of another file."""

import asyncio
import shutil
from pathlib import Path

import pytest

from eventmill.errors import LogDamaged, LogUnavailable
from eventmill.log.audit import audit_database
from eventmill.log.backup import back_up, new_file
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Transaction
from tests.unit.log.logs import ended, started, step, tamper


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    async with SqliteEventLog.open(path) as log:
        for id in range(1, 30):
            await log.commit(started(id, size=4_000))
        await log.commit(ended(1))
        await log.checkpoint(7)
    return path


def test_a_copy_is_one_file_that_verifies(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    audit = back_up(path, folder / "copy.db")
    assert audit == audit_database(path)
    assert (audit.position, audit.checkpoints) == (88, 1)
    assert [each.name for each in folder.iterdir()] == ["copy.db"]


async def test_a_server_runs_on_a_copy(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "copy.db")
    async with SqliteEventLog.open(tmp_path / "copy.db") as log:
        await log.commit(ended(2))
    assert audit_database(tmp_path / "copy.db").position == 89


async def test_a_copy_under_load_is_one_instant_and_does_not_begin_again(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventmill.log.backup._PAGES_PER_STEP", 2)
    loop = asyncio.get_running_loop()
    seen: list[int] = []
    async with SqliteEventLog.open(path) as log:

        def commit(done: int, _total: int) -> None:
            seen.append(done)
            each = Transaction(steps=[step(2, 1 + len(seen))])
            handed = asyncio.run_coroutine_threadsafe(_committed(log, each), loop)
            handed.result(10)

        audit = await asyncio.to_thread(back_up, path, tmp_path / "copy.db", commit)
    assert seen == sorted(seen)
    assert len(seen) > 10
    assert audit.position == 88


async def _committed(log: SqliteEventLog, transaction: Transaction) -> None:
    await log.commit(transaction)


def test_another_file_is_never_overwritten(path: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("mine")
    with pytest.raises(FileExistsError, match=r"there\.db"):
        back_up(path, there)
    assert there.read_text() == "mine"


def test_a_file_that_comes_meanwhile_is_not_overwritten_either(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with pytest.raises(FileExistsError, match=r"copy\.db"):
        back_up(path, copy, lambda done, total: copy.touch())
    assert copy.read_bytes() == b""
    assert not (tmp_path / "copy.db.partial").exists()


def test_a_damaged_log_leaves_no_copy(path: Path, tmp_path: Path) -> None:
    tamper(path, "UPDATE steps SET body = x'00' WHERE position = 9")
    with pytest.raises(
        LogDamaged, match=r"log\.db is broken at position 9 \(execution 3, step 1\)"
    ):
        back_up(path, tmp_path / "copy.db")
    assert list(tmp_path.glob("copy*")) == []


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="there is no log"):
        back_up(tmp_path / "none.db", tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_backup_has_left_is_no_hindrance(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "copy.db.partial")
    (tmp_path / "copy.db.partial-journal").write_text("half")
    assert back_up(path, tmp_path / "copy.db").position == 88


def test_a_new_file_that_fails_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "x") as partial:
        partial.write_text(str(1 / 0))
    assert list(tmp_path.iterdir()) == []
