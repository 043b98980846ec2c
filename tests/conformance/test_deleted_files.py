"""Files that are gone, told where the source asks for it."""

import shutil
from pathlib import Path

import pytest

from eventmill.errors import LogUnavailable
from tests.conformance.watched_folder import FOREVER_MS, Log, watching


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


async def test_deleted_files_are_told_once_where_that_is_asked_for(inbox: Path) -> None:
    log = Log()
    async with watching(inbox, log=log, deletion_events=True) as watch:
        file = watch.write("a.csv")
        version = f"1-{file.stat().st_mtime_ns}-{file.stat().st_ino}"
        await log.told()
        file.unlink()
        await log.until(lambda: len(log.deliveries) == 2)

        (told, deleted) = log.deliveries
        assert deleted.event.id != told.event.id
        assert deleted.event.detail_type == "File Deleted"
        assert deleted.event.detail == {
            "path": f"{inbox}/a.csv",
            "name": "a.csv",
            "folder": str(inbox),
            "relative-path": "a.csv",
            "version": version,
        }
        assert log.state == {}
        await watch.nothing_is_new()
        await watch.scanned()

    async with watching(inbox, log=log, deletion_events=True):
        assert len(log.deliveries) == 3


async def test_a_file_that_is_gone_and_back_within_the_window_was_not_deleted(
    inbox: Path,
) -> None:
    away = inbox.parent / "a.csv"
    async with watching(inbox, deletion_events=True, stable_seconds=2.0) as watch:
        file = watch.write("a.csv", "1")
        await watch.settled(2_000)
        await watch.log.told()
        for text in ("1", "22"):
            file.rename(away)
            await watch.clock.somebody_sleeps_until(watch.clock.now_ms() + 2_000)
            if text != "1":
                away.write_text(text)
            away.rename(file)
            await watch.scanned()
        watch.clock.hurry_until(FOREVER_MS)
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)

    told = [each.event.detail_type for each in watch.log.deliveries]
    assert told == ["File Created", "File Changed"]


async def test_files_deleted_while_nobody_watched_are_told(inbox: Path) -> None:
    log = Log()
    async with watching(inbox, log=log, deletion_events=True) as watch:
        for path in ("kept.csv", "in/a.csv", "in/deep/b.csv", "moved/c.csv"):
            watch.write(path)
        watch.clock.hurry_until(FOREVER_MS)
        await log.until(lambda: len(log.deliveries) == 4)
    shutil.rmtree(inbox / "in")
    (inbox / "moved").rename(inbox.parent / "away")
    log.deliveries.clear()

    async with watching(inbox, log=log, deletion_events=True, polling=False):
        await log.until(lambda: len(log.deliveries) == 3)

    assert log.all_told() == {
        ("File Deleted", path) for path in ("in/a.csv", "in/deep/b.csv", "moved/c.csv")
    }
    assert log.state.keys() == {"kept.csv"}


async def test_scans_alone_find_what_was_deleted(inbox: Path) -> None:
    async with watching(inbox, polling=True, deletion_events=True) as watch:
        watch.write("a.csv")
        watch.write("b.csv")
        await watch.scanned()
        await watch.settled(1_000)
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)
        (inbox / "a.csv").unlink()
        await watch.scanned()
        await watch.log.until(lambda: len(watch.log.deliveries) == 3)

    assert watch.log.state.keys() == {"b.csv"}


async def test_files_of_a_folder_that_may_be_unmounted_are_not_told_as_deleted(
    inbox: Path,
) -> None:
    log = Log()
    async with watching(inbox, log=log, deletion_events=True) as watch:
        watch.write("mounted/a.csv")
        watch.clock.hurry_until(FOREVER_MS)
        await log.told()
    (inbox / "mounted/a.csv").unlink()

    async with watching(inbox, log=log, deletion_events=True) as watch:
        await watch.scanned()
        await watch.nothing_is_new()

    assert "mounted/a.csv" in log.state


async def test_a_file_moved_out_of_a_folder_that_is_empty_then_waits(inbox: Path) -> None:
    (inbox / "in").mkdir()
    async with watching(inbox, deletion_events=True, stable_seconds=2.0) as watch:
        file = watch.write("in/a.csv")
        await watch.settled(2_000)
        await watch.log.told()
        file.rename(inbox.parent / "a.csv")
        await watch.settled(2_000)
        await watch.scanned()
        assert len(watch.log.deliveries) == 1
        watch.write("in/b.csv")
        watch.clock.hurry_until(FOREVER_MS)
        await watch.log.until(lambda: len(watch.log.deliveries) == 3)

    assert ("File Deleted", "in/a.csv") in watch.log.all_told()


async def test_a_file_that_is_gone_is_remembered_until_that_is_told(inbox: Path) -> None:
    async with watching(inbox, deletion_events=True, stable_seconds=2.0) as watch:
        file = watch.write("a.csv")
        await watch.settled(2_000)
        await watch.log.told()
        watch.write("b.csv")
        told_ms = watch.clock.now_ms() + 2_000
        await watch.clock.somebody_sleeps_until(told_ms)
        watch.clock.move_to(told_ms - 1_000)
        file.unlink()
        (inbox / "c.csv").touch()
        await watch.clock.somebody_sleeps_until(told_ms)
        watch.clock.move_to(told_ms)
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)
        assert watch.log.state.keys() == {"a.csv", "b.csv"}
        watch.clock.hurry_until(FOREVER_MS)
        await watch.log.until(lambda: len(watch.log.deliveries) == 4)

    assert ("File Deleted", "a.csv") in watch.log.all_told()
    assert watch.log.state.keys() == {"b.csv", "c.csv"}


async def test_a_deletion_that_was_not_stored_is_told_again(inbox: Path) -> None:
    log = Log()
    async with watching(inbox, log=log, deletion_events=True) as watch:
        watch.write("a.csv")
        watch.write("kept.csv")
        await log.until(lambda: len(log.deliveries) == 2)
        log.fails = True
        (inbox / "a.csv").unlink()
        assert isinstance(await watch.failure, LogUnavailable)
    log.fails = False
    log.deliveries.clear()

    async with watching(inbox, log=log, deletion_events=True):
        assert await log.told() == {("File Deleted", "a.csv")}


async def test_a_file_deleted_while_it_is_told_is_told_as_deleted_after_that(inbox: Path) -> None:
    log = Log()
    log.open.clear()
    async with watching(inbox, log=log, deletion_events=True) as watch:
        file = watch.write("a.csv")
        await log.until(lambda: log.in_flight == 1)
        file.unlink()
        watch.write("b.csv")
        await log.until(lambda: log.in_flight == 2)
        log.open.set()
        await log.until(lambda: len(log.deliveries) == 3)

    told = [each.event.detail_type for each in log.deliveries]
    assert told == ["File Created", "File Created", "File Deleted"]
