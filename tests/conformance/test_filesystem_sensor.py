"""The filesystem sensor on real folders, with the real watchdog and a clock that tests move."""

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eventmill.arn import Home
from eventmill.errors import LogUnavailable, SensorError
from eventmill.ports import Delivery
from eventmill.sensors.filesystem import FilesystemSensor
from eventmill.trigger import FilesystemSource

NOW_MS = 1_700_000_000_000
SCAN_MS = 5_000


class MovableClock:
    """A `Clock` that stands still until it is moved; in a hurry, it passes over every wait."""

    def __init__(self) -> None:
        self.hurries = False
        self._now_ms = NOW_MS
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep_until(self, at_ms: int) -> None:
        if self.hurries:
            self._now_ms = max(self._now_ms, at_ms)
        if at_ms <= self._now_ms:
            return
        sleeper = (at_ms, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        self._changed.set()
        try:
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    async def somebody_sleeps_until(self, at_ms: int) -> None:
        while all(at != at_ms for at, _ in self._sleepers):
            self._changed.clear()
            await self._changed.wait()

    def move_to(self, at_ms: int) -> None:
        self._now_ms = at_ms
        for due_ms, sleeper in self._sleepers:
            if due_ms <= at_ms and not sleeper.done():
                sleeper.set_result(None)


class Log:
    """Takes deliveries as the event log does: an event and its state at once, or neither."""

    def __init__(self, state: dict[str, bytes] | None = None) -> None:
        self.state = dict(state or {})
        self.deliveries: list[Delivery] = []
        self.in_flight = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False
        self._changed = asyncio.Event()

    async def publish(self, delivery: Delivery) -> None:
        self.in_flight += 1
        self._changed.set()
        await self.open.wait()
        self.in_flight -= 1
        if self.fails:
            raise LogUnavailable("the disk is full")
        self.deliveries.append(delivery)
        for path, version in delivery.state.items():
            if version is None:
                del self.state[path]
            else:
                self.state[path] = version
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    async def told(self) -> set[tuple[str, str]]:
        """What was told, once that is something."""
        await self.until(lambda: bool(self.deliveries))
        return self.all_told()

    def all_told(self) -> set[tuple[str, str]]:
        return {
            (each.event.detail_type, str(each.event.detail["relative-path"]))
            for each in self.deliveries
        }


class Watch:
    """A running sensor with its clock and its log."""

    def __init__(self, folder: Path, log: Log, clock: MovableClock) -> None:
        self.folder, self.log, self.clock = folder, log, clock
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def note_failure(self, running: "asyncio.Task[None]") -> None:
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self.failure.set_result(error)

    def hurry(self) -> None:
        """Let time pass as fast as it will from now on."""
        self.clock.hurries = True
        self.clock.move_to(self.clock.now_ms() + SCAN_MS)

    def write(self, path: str, text: str = "x") -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    async def scanned(self) -> None:
        """Let the next scan begin, and wait until it has ended."""
        now_ms = self.clock.now_ms() + SCAN_MS
        self.clock.move_to(now_ms)
        await self.clock.somebody_sleeps_until(now_ms + SCAN_MS)

    async def settled(self, ms: int) -> None:
        """Let the time of files pass that were first seen now."""
        due_ms = self.clock.now_ms() + ms
        await self.clock.somebody_sleeps_until(due_ms)
        self.clock.move_to(due_ms)

    async def nothing_is_new(self) -> None:
        """Write and wait for a last file, to see that nothing came before it."""
        before = len(self.log.deliveries)
        self.write("last")
        await self.log.until(lambda: len(self.log.deliveries) > before)
        told = self.log.deliveries[before:]
        assert [each.event.detail["relative-path"] for each in told] == ["last"]


@asynccontextmanager
async def watching(
    folder: Path, *, log: Log | None = None, hints_max: int = 10_000, **source: Any
) -> AsyncIterator[Watch]:
    """A sensor that has scanned its folder once and listens."""
    watch = Watch(folder, log or Log(), MovableClock())
    sensor = _sensor(folder, watch.clock, hints_max=hints_max, **source)
    async with asyncio.timeout(20):
        running = asyncio.create_task(sensor.run(watch.log.publish, dict(watch.log.state)))
        running.add_done_callback(watch.note_failure)
        ready = asyncio.create_task(watch.clock.somebody_sleeps_until(NOW_MS + SCAN_MS))
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if running.done():
                raise await watch.failure
            yield watch
        finally:
            ready.cancel()
            running.cancel()
            await asyncio.wait({running})


def _sensor(folder: Path, clock: MovableClock, **settings: Any) -> FilesystemSensor:
    hints_max = settings.pop("hints_max", 10_000)
    source = FilesystemSource(path=folder.name, **{"stable_seconds": 0.0, **settings})
    return FilesystemSensor(
        source, project=folder.parent, home=Home(), clock=clock, hints_max=hints_max
    )


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
    async with watching(inbox, stable_seconds=2.0, scan_seconds=5.0) as watch:
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
        (inbox.parent / "outside").rename(inbox / "in")
        await watch.settled(1_000)
        assert await watch.log.told() == {("File Created", "in/deep/a.csv")}
        watch.log.deliveries.clear()
        (inbox / "in/deep/b.csv").write_text("x")
        assert await watch.log.told() == {("File Created", "in/deep/b.csv")}


async def test_files_in_folders_made_a_moment_before_are_found(inbox: Path) -> None:
    async with watching(inbox) as watch:
        for number in range(50):
            watch.write(f"{number}/a/b/c.csv")
        watch.hurry()
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

    async with watching(inbox) as watch:
        (inbox / "late").symlink_to(inbox.parent / "secret/a.csv")
        await watch.nothing_is_new()
        await watch.scanned()
        assert watch.log.all_told() == {("File Created", "last")}


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
        await watch.settled(1_000)
        watch.write("a.csv")
        assert await watch.log.told() == {("File Created", "a.csv")}
        await watch.scanned()
        await watch.settled(1_000)
        await watch.nothing_is_new()
        assert sorted(caplog.messages) == [
            f"{inbox}/closed is passed over: Permission denied",
            f"{inbox}/secret.csv is passed over: this user may not read it",
        ]
        (inbox / "secret.csv").chmod(0o600)
        (inbox / "closed").chmod(0o700)
        await watch.scanned()
        await watch.settled(1_000)
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
        await watch.scanned()
        await watch.settled(1_000)
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
        await watch.settled(1_000)
        await watch.log.until(lambda: len(watch.log.state) == 200)

        # The scan came at once, not when it would have been due.
        assert watch.clock.now_ms() < NOW_MS + SCAN_MS


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
    def watchers() -> set[str]:
        return {type(thread).__name__ for thread in threading.enumerate()} & {
            "InotifyObserver",
            "InotifyEmitter",
            "InotifyFullEmitter",
            "InotifyFD",
        }

    async with watching(inbox):
        assert watchers()

    assert watchers() == set()
