"""The filesystem sensor on real folders, with the real watchdog and a clock that tests move."""

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventmill.errors import LogUnavailable, SensorError
from tests.conformance.watched_folder import FOREVER_MS, NOW_MS, SCAN_MS, Log, watching


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


async def test_tells_all_there_is_to_know_of_a_file(inbox: Path) -> None:
    file = inbox / "day 1/é.csv"
    file.parent.mkdir()
    file.write_text("1,2\n")
    os.utime(file, ns=(0, 1_700_000_000_123_456_789))

    async with watching(inbox) as watch:
        await watch.settled(1_000)
        await watch.log.told()

    (delivery,) = watch.log.deliveries
    version = f"4-1700000000123456789-{file.stat().st_ino}"
    assert delivery.event.envelope() == {
        "version": "0",
        "id": delivery.event.id,
        "detail-type": "File Created",
        "source": "eventmill.filesystem",
        "account": "000000000000",
        "time": "2023-11-14T22:13:21Z",
        "region": "local",
        "resources": [f"file://{inbox}/day%201/%C3%A9.csv"],
        "detail": {
            "path": f"{inbox}/day 1/é.csv",
            "name": "é.csv",
            "folder": str(inbox),
            "relative-path": "day 1/é.csv",
            "size": 4,
            "modified": "2023-11-14T22:13:20.123Z",
            "version": version,
        },
    }
    assert delivery.state == {"day 1/é.csv": version.encode()}


async def test_a_closed_file_is_told_at_once(inbox: Path) -> None:
    async with watching(inbox) as watch:
        watch.write("a.csv")

        assert await watch.log.told() == {("File Created", "a.csv")}
        assert watch.clock.now_ms() == NOW_MS


async def test_a_file_is_told_again_when_it_changes_and_anew_when_it_was_deleted(
    inbox: Path,
) -> None:
    async with watching(inbox) as watch:
        watch.write("a.csv", "1")
        await watch.log.told()
        watch.write("a.csv", "22")
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)
        (inbox / "a.csv").unlink()
        watch.write("a.csv", "333")
        await watch.log.until(lambda: len(watch.log.deliveries) == 3)

    assert [each.event.detail_type for each in watch.log.deliveries] == [
        "File Created",
        "File Changed",
        "File Created",
    ]
    assert len({each.event.id for each in watch.log.deliveries}) == 3


async def test_an_open_file_waits_until_it_has_not_changed_for_the_window(inbox: Path) -> None:
    async with watching(inbox, stable_seconds=2.0) as watch:
        with (inbox / "a.csv").open("w") as file:
            file.write("1")
            file.flush()
            await watch.scanned()
            file.write("2")
            file.flush()
            await watch.settled(2_000)
            await watch.clock.somebody_sleeps_until(watch.clock.now_ms() + 2_000)
            assert watch.log.deliveries == []
        await watch.settled(2_000)

        await watch.log.told()
        assert [each.event.detail["size"] for each in watch.log.deliveries] == [2]


async def test_a_closed_file_waits_for_its_window_and_no_longer(inbox: Path) -> None:
    async with watching(inbox, stable_seconds=2.0) as watch:
        watch.write("a.csv")
        await watch.clock.somebody_sleeps_until(NOW_MS + 2_000)
        watch.clock.move_to(NOW_MS + 1_999)
        await watch.clock.somebody_sleeps_until(NOW_MS + 2_000)
        assert watch.log.deliveries == []
        watch.clock.move_to(NOW_MS + 2_000)

        assert await watch.log.told() == {("File Created", "a.csv")}


async def test_files_that_came_and_changed_while_nobody_watched_are_found(inbox: Path) -> None:
    log = Log()
    async with watching(inbox, log=log) as watch:
        watch.write("same.csv")
        watch.write("changed.csv")
        await log.until(lambda: len(log.deliveries) == 2)
    (inbox / "changed.csv").write_text("longer")
    (inbox / "new.csv").write_text("x")
    log.deliveries.clear()

    async with watching(inbox, log=log) as watch:
        await watch.settled(1_000)
        await log.until(lambda: len(log.deliveries) == 2)
        assert log.all_told() == {("File Changed", "changed.csv"), ("File Created", "new.csv")}
        await watch.nothing_is_new()


async def test_what_was_not_stored_is_told_again(inbox: Path) -> None:
    log = Log()
    log.fails = True
    async with watching(inbox, log=log) as watch:
        watch.write("a.csv")
        assert isinstance(await watch.failure, LogUnavailable)
    assert log.state == {}

    log.fails = False
    async with watching(inbox, log=log) as watch:
        await watch.settled(1_000)
        assert await log.told() == {("File Created", "a.csv")}


async def test_a_file_moved_into_the_folder_or_within_it_is_new_there(inbox: Path) -> None:
    (inbox.parent / "outside.csv").write_text("x")

    async with watching(inbox) as watch:
        (inbox.parent / "outside.csv").rename(inbox / "a.csv")
        await watch.log.told()
        (inbox / "a.csv").rename(inbox / "b.csv")
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)

    assert watch.log.all_told() == {("File Created", "a.csv"), ("File Created", "b.csv")}


async def test_a_folder_moved_into_the_folder_is_searched(inbox: Path) -> None:
    deep = inbox.parent / "outside/deep"
    deep.mkdir(parents=True)
    (deep / "a.csv").write_text("x")

    async with watching(inbox) as watch:
        watch.clock.hurry_until(NOW_MS + SCAN_MS - 1)
        (inbox.parent / "outside").rename(inbox / "in")
        assert await watch.log.told() == {("File Created", "in/deep/a.csv")}
        watch.log.deliveries.clear()
        (inbox / "in/deep/b.csv").write_text("x")
        assert await watch.log.told() == {("File Created", "in/deep/b.csv")}


async def test_files_in_folders_made_a_moment_before_are_found(inbox: Path) -> None:
    async with watching(inbox) as watch:
        for number in range(50):
            watch.write(f"{number}/a/b/c.csv")
        watch.clock.hurry_until(FOREVER_MS)
        await watch.log.until(lambda: len(watch.log.state) == 50)

    assert watch.log.all_told() == {("File Created", f"{n}/a/b/c.csv") for n in range(50)}


async def test_without_recursion_only_the_folder_itself_counts(inbox: Path) -> None:
    (inbox / "sub").mkdir()
    (inbox / "sub/a.csv").write_text("x")

    async with watching(inbox, recursive=False) as watch:
        watch.write("sub/b.csv")
        await watch.nothing_is_new()


async def test_only_selected_files_are_told(inbox: Path) -> None:
    async with watching(inbox, include=("*.csv", "last"), exclude=(".*", "tmp")) as watch:
        for path in ("a.txt", ".a.csv", "tmp/a.csv", ".git/a.csv"):
            watch.write(path)
        await watch.nothing_is_new()


async def test_links_are_not_followed_and_only_plain_files_count(inbox: Path) -> None:
    (inbox.parent / "secret").mkdir()
    (inbox.parent / "secret/a.csv").write_text("x")
    (inbox / "file").symlink_to(inbox.parent / "secret/a.csv")
    (inbox / "folder").symlink_to(inbox.parent / "secret")
    (inbox / "loop").symlink_to(inbox)
    os.mkfifo(inbox / "pipe")

    (inbox.parent / "link").symlink_to(inbox.parent / "secret/a.csv")
    (inbox.parent / "file").write_text("x")

    async with watching(inbox) as watch:
        (inbox.parent / "link").rename(inbox / "late link")
        (inbox.parent / "file").rename(inbox / "late file")
        assert await watch.log.told() == {("File Created", "late file")}
        watch.clock.hurry_until(NOW_MS + 3 * SCAN_MS)
        await watch.clock.passes(NOW_MS + 3 * SCAN_MS)
        await watch.nothing_is_new()
        assert watch.log.all_told() == {("File Created", "late file"), ("File Created", "last")}


async def test_a_folder_that_is_itself_a_link_is_watched(inbox: Path) -> None:
    link = inbox.parent / "link"
    link.symlink_to(inbox)

    async with watching(link) as watch:
        (inbox / "a.csv").write_text("x")
        await watch.log.told()

    assert watch.log.deliveries[0].event.detail["path"] == f"{link}/a.csv"


@pytest.fixture
def strangers_inbox() -> Iterator[Path]:
    """A folder of an ordinary user, who runs the test: root may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder) / "inbox"
        inbox.mkdir()
        if os.geteuid() != 0:
            yield inbox
            return
        for path in (Path(folder), inbox):
            os.chown(path, 65534, 65534)
        os.seteuid(65534)
        try:
            yield inbox
        finally:
            os.seteuid(0)


async def test_what_cannot_be_read_is_said_once_and_keeps_nobody_else_waiting(
    strangers_inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = strangers_inbox
    (inbox / "closed").mkdir(mode=0o000)
    (inbox / "secret.csv").touch(mode=0o000)

    async with watching(inbox) as watch:
        watch.clock.hurry_until(FOREVER_MS)
        watch.write("a.csv")
        assert await watch.log.told() == {("File Created", "a.csv")}
        await watch.clock.passes(NOW_MS + 10 * SCAN_MS)
        assert sorted(caplog.messages) == [
            f"{inbox}/closed is passed over: Permission denied",
            f"{inbox}/secret.csv is passed over: this user may not read it",
        ]
        (inbox / "secret.csv").chmod(0o600)
        (inbox / "closed").chmod(0o700)
        await watch.log.until(lambda: ("File Created", "secret.csv") in watch.log.all_told())


async def test_a_name_that_no_event_can_tell_is_reported(
    inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (inbox / os.fsdecode(b"caf\xe9.csv")).write_text("x")

    async with watching(inbox) as watch:
        await watch.nothing_is_new()

    assert caplog.messages == [
        f"{inbox}/caf\\udce9.csv is passed over: the name is not UTF-8, so no event can tell it"
    ]


async def test_a_time_beyond_the_calendar_is_cut(inbox: Path) -> None:
    async with watching(inbox) as watch:
        file = watch.write("a.csv")
        await watch.log.told()
        os.utime(file, ns=(0, 9_000_000_000_000_000_000))
        watch.clock.hurry_until(FOREVER_MS)
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)

    told = str(watch.log.deliveries[1].event.detail["modified"])
    assert told in ("2255-03-14T16:00:00.000Z", "2446-05-10T22:38:55.000Z")


async def test_a_file_put_in_the_place_of_another_is_a_change_even_with_its_times(
    inbox: Path,
) -> None:
    async with watching(inbox) as watch:
        old = watch.write("a.csv", "1")
        await watch.log.told()
        new = inbox.parent / "new.csv"
        new.write_text("2")
        os.utime(new, ns=(0, old.stat().st_mtime_ns))
        new.rename(old)
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)

    assert watch.log.deliveries[1].event.detail_type == "File Changed"


async def test_permissions_are_no_change(inbox: Path) -> None:
    async with watching(inbox) as watch:
        file = watch.write("a.csv")
        await watch.log.told()
        file.chmod(0o600)
        os.link(file, inbox.parent / "link.csv")
        await watch.scanned()
        await watch.nothing_is_new()


async def test_hints_that_are_lost_are_made_up_for_by_a_scan(inbox: Path) -> None:
    async with watching(inbox, hints_max=1) as watch:
        for number in range(200):
            watch.write(f"{number}.csv")
        # The scan comes at once: time stops before the next one would be due.
        watch.clock.hurry_until(NOW_MS + SCAN_MS - 1)
        await watch.log.until(lambda: len(watch.log.state) == 200)


async def test_without_any_hints_scans_find_everything(inbox: Path) -> None:
    async with watching(inbox, polling=True) as watch:
        watch.write("a.csv")
        await watch.scanned()
        await watch.settled(1_000)

        assert await watch.log.told() == {("File Created", "a.csv")}
        assert str(watch.log.deliveries[0].event.detail["version"]).count("-") == 1


async def test_a_deleted_file_is_forgotten_along_with_the_next_event(inbox: Path) -> None:
    async with watching(inbox, polling=True) as watch:
        watch.write("a.csv")
        await watch.scanned()
        await watch.settled(1_000)
        await watch.log.told()
        (inbox / "a.csv").unlink()
        watch.write("b.csv")
        await watch.scanned()
        await watch.settled(1_000)
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)

    assert watch.log.deliveries[1].state.keys() == {"a.csv", "b.csv"}
    assert watch.log.state.keys() == {"b.csv"}


async def test_an_empty_folder_may_be_one_that_is_not_mounted(inbox: Path) -> None:
    log = Log()
    async with watching(inbox, log=log) as watch:
        watch.write("a.csv")
        await log.told()
    (inbox / "a.csv").rename(inbox.parent / "a.csv")

    async with watching(inbox, log=log) as watch:
        await watch.scanned()
        (inbox.parent / "a.csv").rename(inbox / "a.csv")
        await watch.nothing_is_new()

    assert log.state.keys() == {"a.csv", "last"}


async def test_files_of_an_empty_folder_are_not_forgotten(inbox: Path) -> None:
    log = Log()
    async with watching(inbox, log=log) as watch:
        for path in ("mounted/a.csv", "used/a.csv", "removed/a.csv"):
            watch.write(path)
        watch.clock.hurry_until(FOREVER_MS)
        await log.until(lambda: len(log.deliveries) == 3)
    for path in ("mounted/a.csv", "used/a.csv", "removed/a.csv"):
        (inbox / path).unlink()
    (inbox / "removed").rmdir()
    (inbox / "used/b.txt").write_text("x")

    async with watching(inbox, log=log, include=("*.csv", "last")) as watch:
        await watch.nothing_is_new()

    assert log.state.keys() == {"mounted/a.csv", "last"}


async def test_a_folder_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(SensorError, match=rf"^the folder {tmp_path}/none does not exist$"):
        async with watching(tmp_path / "none"):
            pass
    with pytest.raises(SensorError, match=rf"^{tmp_path}/file is not a folder$"):
        async with watching(tmp_path / "file"):
            pass


async def test_a_folder_that_vanishes_is_an_error_and_nothing_is_forgotten(inbox: Path) -> None:
    log = Log()
    async with watching(inbox, log=log) as watch:
        watch.write("a.csv")
        await log.told()
        os.rename(inbox, inbox.parent / "away")
        watch.clock.move_to(NOW_MS + SCAN_MS)
        error = await watch.failure
        assert (type(error), str(error)) == (SensorError, f"the folder {inbox} does not exist")
    (inbox.parent / "away").rename(inbox)
    (inbox / "b.csv").write_text("x")
    log.deliveries.clear()

    async with watching(inbox, log=log) as watch:
        await watch.settled(1_000)
        assert await log.told() == {("File Created", "b.csv")}
        await watch.nothing_is_new()
    assert log.state.keys() == {"a.csv", "b.csv", "last"}


async def test_another_folder_in_its_place_is_an_error(inbox: Path) -> None:
    async with watching(inbox) as watch:
        os.rename(inbox, inbox.parent / "away")
        os.mkdir(inbox)
        watch.clock.move_to(NOW_MS + SCAN_MS)
        error = await watch.failure
        assert (type(error), str(error)) == (
            SensorError,
            f"another folder stands where {inbox} was",
        )


async def test_a_slow_log_holds_the_sensor_back(inbox: Path) -> None:
    for number in range(100):
        (inbox / f"{number}.csv").write_text("x")
    log = Log()
    log.open.clear()

    async with watching(inbox, log=log) as watch:
        await watch.settled(1_000)
        await log.until(lambda: log.in_flight == 64)
        await watch.scanned()
        assert log.in_flight == 64
        log.open.set()
        await log.until(lambda: len(log.deliveries) == 100)

    assert len(log.all_told()) == 100


async def test_versions_of_one_file_are_told_one_after_the_other(inbox: Path) -> None:
    log = Log()
    log.open.clear()

    async with watching(inbox, log=log) as watch:
        watch.write("a.csv", "1")
        await log.until(lambda: log.in_flight == 1)
        watch.write("a.csv", "22")
        watch.write("b.csv", "x")
        await log.until(lambda: log.in_flight == 2)
        log.open.set()
        await log.until(lambda: len(log.deliveries) == 3)

    sizes = [
        each.event.detail["size"] for each in log.deliveries if each.event.detail["name"] == "a.csv"
    ]
    assert sizes == [1, 2]


async def test_leaves_no_thread_behind(inbox: Path) -> None:
    def watchers() -> list[str]:
        names = (type(thread).__name__ for thread in threading.enumerate())
        return [name for name in names if name.startswith("Inotify")]

    async with watching(inbox):
        assert watchers()

    assert watchers() == []
