"""Turns files that appear or change in a folder into trigger events.

The truth is a scan of the folder, compared with what was published before; that is remembered in
the same commit as each event. Hints of the operating system only tell where to look at once. So a
version of a file is published exactly once, whatever was missed, restarted or killed in between.

A file is published when it was seen twice in the same version, `stable_seconds` apart. A file
that its writer closed or moved into place is trusted without a second look when those are 0; one
that a scan came across is watched for `UNCLOSED_STABLE_SECONDS_MIN` at least, since somebody may
be writing it.

A file that is gone is told of where the source asks for it, in the commit that forgets it: when it
has been gone for `stable_seconds`, and the system said that it was deleted or its folder is in use.

A moved file is a new file at its new path. Two versions that agree in size, time of modification
and inode number cannot be told apart; that takes a write of the same length within one tick of
the kernel's clock.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from eventmill.arn import Home
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.ports import Clock, Delivery, Publish, Pulse, Remember
from eventmill.sensors.afterwards import Afterwards, Processing, Rules, split
from eventmill.sensors.globs import IGNORE_FILE, Selection
from eventmill.sensors.hints import HINTS_MAX, Hint, Hints, Kind
from eventmill.sensors.ledger import Ledger, Settling
from eventmill.sensors.snapshot import Folder, Problem, Sighting
from eventmill.triggers.filesystem import Disposal, FilesystemSource

_log: Final = logging.getLogger(__name__)

SOURCE: Final = "eventmill.filesystem"
FILE_CREATED: Final = "File Created"
FILE_CHANGED: Final = "File Changed"
FILE_DELETED: Final = "File Deleted"

UNCLOSED_STABLE_SECONDS_MIN: Final = 1.0
DELIVERIES_MAX: Final = 64
SLICE_FILES_MAX: Final = 500
FORGOTTEN_PER_DELIVERY_MAX: Final = 1_000
# A scan may take at most this share of the time, however many files there are.
SCAN_SHARE_MAX: Final = 0.1

PROBLEMS_MAX: Final = 1_000

_GONE: Final = b""  # in the place of a version

# The first and the last millisecond that RFC 3339 can express.
_MODIFIED_MS_MIN: Final = -62_135_596_800_000
_MODIFIED_MS_MAX: Final = 253_402_300_799_999


class FilesystemSensor:
    """The `Sensor` of a folder."""

    def __init__(
        self,
        source: FilesystemSource,
        *,
        project: Path,
        home: Home,
        clock: Clock,
        remember: Remember | None = None,
        processing: Processing | None = None,
        hints_max: int = HINTS_MAX,
    ) -> None:
        """Watch what `source` says; its paths are relative to `project` or absolute.

        Where it moves or deletes what was processed, it needs `remember`, which makes durable what
        goes with no event, and `processing`.
        """
        self.source = source
        self._project = project
        self._afterwards: Afterwards | None = None
        self._rules: Rules | None = None
        if source.disposes:
            assert remember is not None
            assert processing is not None
            self._rules = Rules(
                source=SOURCE,
                success=self._disposal(source.after_success),
                failure=self._disposal(source.after_failure),
                processing=processing,
                remember=remember,
            )
            processing.hear(SOURCE, self._ended)
        self._folder = os.path.abspath(project / source.path)
        self._home = home
        self._hints_max = hints_max
        self.clock = clock
        self.pulse = Pulse()

    @property
    def name(self) -> str:
        """What is watched; two triggers with equal sources share it."""
        return self.source.name

    async def run(self, publish: Publish, state: Mapping[str, bytes]) -> None:
        """Watch until cancelled; `state` maps paths to the versions published before.

        What `publish` raises ends the run: nothing of that event is remembered, so the next run
        finds the file again.

        Raises:
            SensorError: There is no such folder, it vanished, or another one took its place.
        """
        source = self.source
        self.pulse.until(self.clock.steady_ms())
        folder = await asyncio.to_thread(
            Folder,
            self._folder,
            await asyncio.to_thread(self._selection),
            inodes=not source.polling,
        )
        hints = Hints(folder.path, hints_max=self._hints_max)
        told, waiting = split(state)
        watch = _Watch(self, folder, hints, publish, Ledger(told))
        if self._rules is not None:
            self._afterwards = Afterwards(self._rules, folder, waiting, self.event_id, watch)
            watch.afterwards = self._afterwards
        try:
            if not source.polling:
                # Listening begins before the first scan, so that nothing falls between the two.
                await asyncio.to_thread(hints.start, recursive=source.recursive)
            await watch.run()
        except ExceptionGroup as group:
            # The tasks fail together; the first reason is the one to tell.
            raise group.exceptions[0] from None
        finally:
            self._afterwards = None
            await asyncio.to_thread(hints.stop)

    def _selection(self) -> Selection:
        """What counts: not what was moved away, though it may lie in the folder."""
        source, folder = self.source, os.path.realpath(self._folder)
        moved = [os.path.realpath(self._project / each) for each in source.folders_to]
        return Selection(
            include=source.include,
            exclude=source.exclude,
            recursive=source.recursive,
            without=[each[len(folder) + 1 :] for each in moved if each.startswith(f"{folder}/")],
        )

    def _disposal(self, disposal: Disposal | None) -> Disposal | None:
        if disposal is None or disposal.to is None:
            return disposal
        return Disposal(to=os.path.abspath(self._project / disposal.to))

    def _ended(self, event_id: str) -> None:
        if self._afterwards is not None:
            self._afterwards.hear(event_id)

    def event_id(self, path: str, version: bytes) -> str:
        """The id of the event that tells of this version."""
        return str(uuid5(NAMESPACE_URL, f"{self.name}\n{path}\n{version.decode()}"))

    def event(self, sighting: Sighting, detail_type: str) -> TriggerEvent:
        """The trigger event that tells of a file; its id follows from path and version."""
        modified_ms = sighting.modified_ns // 1_000_000
        modified_ms = max(_MODIFIED_MS_MIN, min(modified_ms, _MODIFIED_MS_MAX))
        seen: dict[str, Json] = {"size": sighting.size, "modified": format_instant(modified_ms)}
        event_id = self.event_id(sighting.path, sighting.version)
        return self._event(event_id, sighting.path, sighting.version, detail_type, seen)

    def deletion(self, path: str, version: bytes) -> TriggerEvent:
        """The trigger event that tells that a file is gone which was told in this version."""
        event_id = self.event_id(path, version + f"\n{FILE_DELETED}".encode())
        return self._event(event_id, path, version, FILE_DELETED, {})

    def _event(
        self,
        event_id: str,
        relative_path: str,
        version: bytes,
        detail_type: str,
        seen: Mapping[str, Json],
    ) -> TriggerEvent:
        path = f"{self._folder}/{relative_path}"
        return TriggerEvent(
            id=event_id,
            source=SOURCE,
            detail_type=detail_type,
            at_ms=self.clock.now_ms(),
            account=self._home.account,
            region=self._home.region,
            resources=(f"file://{quote(path)}",),
            detail={
                "path": path,
                "name": relative_path.rpartition("/")[2],
                "folder": self._folder,
                "relative-path": relative_path,
                **seen,
                "version": version.decode(),
            },
        )


class _Watch:
    """One run of a sensor."""

    def __init__(
        self,
        sensor: FilesystemSensor,
        folder: Folder,
        hints: Hints,
        publish: Publish,
        ledger: Ledger,
    ) -> None:
        stable_ms = round(sensor.source.stable_seconds * 1000)
        unclosed_ms = max(stable_ms, round(UNCLOSED_STABLE_SECONDS_MIN * 1000))
        self._sensor = sensor
        self._clock = sensor.clock
        self._folder = folder
        self._hints = hints
        self._publish = publish
        self._ledger = ledger
        self._settling = Settling(stable_ms=stable_ms, unclosed_ms=unclosed_ms)
        self._settling_changed = asyncio.Event()
        self._scan_now = asyncio.Event()
        self._deliveries = asyncio.Semaphore(DELIVERIES_MAX)
        self._delivering: dict[str, bytes] = {}  # path -> version
        self._looks: list[set[str]] = []  # what was disposed of during each look
        self._look_again: dict[str, bool] = {}  # path -> whether its writer completed it
        self._problems: dict[str, str] = {}
        self.afterwards: Afterwards | None = None
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        if self.afterwards is not None:
            # What is moved already is gone for no other reason, so this comes before any look.
            await self.afterwards.catch_up()
        async with self._group as group:
            if self.afterwards is not None:
                group.create_task(self.afterwards.run())
            group.create_task(self._scan_forever())
            group.create_task(self._follow_hints())
            group.create_task(self._settle_forever())

    async def _scan_forever(self) -> None:
        pause_ms_min = round(self._sensor.source.scan_seconds * 1000)
        while True:
            began_ms = self._clock.steady_ms()
            self._sensor.pulse.until(began_ms)
            await asyncio.to_thread(self._folder.check)
            seen = await self._scan("")
            if self._ledger.lacks(seen):
                await self._find_missing()
            if self.afterwards is not None:
                self.afterwards.try_again()
            now_ms = self._clock.steady_ms()
            pause_ms = max(pause_ms_min, round((now_ms - began_ms) / SCAN_SHARE_MAX))
            self._sensor.pulse.until(now_ms + pause_ms)
            await self._until(now_ms + pause_ms, self._scan_now)

    async def _scan(self, start: str) -> int:
        """Look for news in the folder `start`; returns how many files were not new."""
        scan = self._folder.scan(start, self._ledger)
        is_last = False
        while not is_last:
            news, is_last = await asyncio.to_thread(scan.slice, SLICE_FILES_MAX)
            if not start:  # the one that goes on for ever; after others nobody promises anything
                self._sensor.pulse.until(self._clock.steady_ms())
            for found in news:
                if isinstance(found, Problem):
                    self.report(found)
                elif self._is_unpublished(found, complete=False):
                    # What it says is not acted on: whatever is published is looked at first.
                    self._settle(found, complete=False)
            self._settling_changed.set()
        return scan.seen

    async def _find_missing(self) -> None:
        versions = self._ledger.versions()
        missing = await asyncio.to_thread(lambda: list(self._folder.missing(versions)))
        for path, version, certain in missing:
            # Meanwhile it may have come back and been published.
            if self._ledger.holds(path, version) and path not in self._delivering:
                self._ledger.gone(path, forget=certain)
                if certain:
                    await self._miss(path)

    async def _follow_hints(self) -> None:
        while True:
            hints, lost = await self._hints.take()
            if lost:
                self._scan_now.set()
            paths: dict[str, bool] = {}
            folders = {path for kind, path in hints if kind is Kind.FOLDER}
            for kind, path in hints:
                if kind is Kind.DELETED:
                    self._ledger.gone(path, forget=True)
                    paths.setdefault(path, False)
                elif kind is not Kind.FOLDER:
                    paths[path] = paths.get(path, False) or kind is Kind.COMPLETE
            if IGNORE_FILE in paths:
                self._scan_now.set()  # which heeds the new rules
            await self._look(paths)
            for folder in folders:
                if self._folder.selection.enters(folder) and not _lies_in_one_of(folder, folders):
                    await self._scan(folder)

    async def _settle_forever(self) -> None:
        while True:
            await self._until(self._settling.next_due_ms(), self._settling_changed)
            while due := self._settling.take_due(self._clock.steady_ms(), SLICE_FILES_MAX):
                await self._look(dict.fromkeys(due, False))

    async def _look(self, paths: Mapping[str, bool]) -> None:
        """Look at files, given with whether their writer completed them, and publish the ready."""
        disposed: set[str] = set()
        self._looks.append(disposed)
        try:
            await self._look_at(paths, disposed)
        finally:
            # The same one, not an equal one of another look.
            self._looks = [each for each in self._looks if each is not disposed]

    async def _look_at(self, paths: Mapping[str, bool], disposed: Collection[str]) -> None:
        found = await asyncio.to_thread(lambda: list(self._folder.look(paths)))
        for path, each in zip(paths, found, strict=True):
            if path in disposed:
                continue  # What was seen was moved or deleted here since.
            if isinstance(each, Problem):
                self._settling.drop(path)
                self.report(each)
                continue
            self._problems.pop(path, None)
            if isinstance(each, str):
                await self._miss(path)
            elif self._is_unpublished(each, complete=paths[path]) and self._settle(
                each, complete=paths[path]
            ):
                await self._deliver(path, each.version, partial(self._tell, each))

    async def _miss(self, path: str) -> None:
        """Take note that a file is not there; tell it when that has been so for long enough."""
        self._ledger.gone(path, forget=False)
        version = self._ledger.version(path)
        if path in self._delivering:
            self._look_again.setdefault(path, False)
        elif version is None or not self._sensor.source.deletion_events:
            self._settling.drop(path)
        elif self._settle(Sighting(path, _GONE, 0, 0), complete=True):
            self._settling.drop(path)
            surely = await self._is_surely_gone(path, version)
            # Meanwhile it may have come back, or be moved away here.
            if surely and self._ledger.holds(path, version) and path not in self._delivering:
                await self._deliver(path, _GONE, partial(self._tell_deleted, path, version))

    async def _is_surely_gone(self, path: str, version: bytes) -> bool:
        if self._ledger.is_surely_gone(path):
            return True
        missing = await asyncio.to_thread(lambda: list(self._folder.missing({path: version})))
        return any(certain for _, _, certain in missing)

    def _is_unpublished(self, sighting: Sighting, *, complete: bool) -> bool:
        """Whether there is something to do about a file; if it is being published, then later."""
        path, version = sighting.path, sighting.version
        if path in self._delivering:
            if self._delivering[path] != version:
                self._look_again[path] = self._look_again.get(path, False) or complete
            return False
        if self._ledger.holds(path, version):
            self._settling.drop(path)
            self._ledger.back(path)
            return False
        return True

    def _settle(self, sighting: Sighting, *, complete: bool) -> bool:
        ready = self._settling.see(
            sighting.path, sighting.version, complete=complete, now_ms=self._clock.steady_ms()
        )
        if not ready:
            self._settling_changed.set()
        return ready

    async def _deliver(
        self, path: str, version: bytes, tell: Callable[[], Awaitable[None]]
    ) -> None:
        """Publish in a task of its own, once one of the slots is free."""
        self._settling.drop(path)
        self._delivering[path] = version
        await self._deliveries.acquire()
        self._group.create_task(self._deliver_now(path, tell))

    async def _tell(self, sighting: Sighting) -> None:
        path, version = sighting.path, sighting.version
        if self._sensor.source.deletion_events:
            # What is gone is forgotten when that is told, and not before.
            forgotten, is_change = [], path in self._ledger
        else:
            forgotten = self._ledger.forgettable(FORGOTTEN_PER_DELIVERY_MAX)
            is_change = self._ledger.is_there(path)
        detail_type = FILE_CHANGED if is_change else FILE_CREATED
        state = {**dict.fromkeys(forgotten), path: version}
        if self.afterwards is not None:
            state |= self.afterwards.expect(path, version)
        event = self._sensor.event(sighting, detail_type)
        await self._publish([Delivery(event=event, state=state)])
        self._ledger.published(path, version, forgotten)

    async def _tell_deleted(self, path: str, version: bytes) -> None:
        event, state = self._sensor.deletion(path, version), dict[str, bytes | None]({path: None})
        if self.afterwards is not None:
            state |= self.afterwards.forget(path)
        await self._publish([Delivery(event=event, state=state)])
        self._ledger.forgotten(path)
        if self.afterwards is not None:
            self.afterwards.forgotten(path)

    async def _deliver_now(self, path: str, tell: Callable[[], Awaitable[None]]) -> None:
        try:
            await tell()
            point("after-acknowledge")
        finally:
            self._deliveries.release()
            self.let_go(path)
        if self.afterwards is not None:
            # It may have started nothing, or something that has ended since.
            self.afterwards.look_after(path)

    def hold(self, path: str, version: bytes) -> bool:
        """See `Holder.hold`."""
        if path in self._delivering:
            return False
        self._delivering[path] = version
        return True

    def let_go(self, path: str) -> None:
        """See `Holder.let_go`."""
        del self._delivering[path]
        if path in self._look_again:
            complete = self._look_again.pop(path)
            self._hints.add(Hint(Kind.COMPLETE if complete else Kind.TOUCHED, path))

    def disposed(self, path: str) -> None:
        """See `Holder.disposed`."""
        self._settling.drop(path)
        self._ledger.forgotten(path)
        for each in self._looks:
            each.add(path)

    def report(self, problem: Problem) -> None:
        """Say once what keeps a file or folder from being looked at."""
        if self._problems.get(problem.path) == problem.reason:
            return
        if len(self._problems) >= PROBLEMS_MAX:
            self._problems.clear()
        self._problems[problem.path] = problem.reason
        _log.warning("%s/%s is passed over: %s", self._folder.path, problem.path, problem.reason)

    async def _until(self, at_ms: int | None, event: asyncio.Event) -> None:
        """Wait for the event, and no longer than to `at_ms` by steady time."""
        waits: list[asyncio.Task[object]] = [asyncio.create_task(event.wait())]
        if at_ms is not None:
            left_ms = max(0, at_ms - self._clock.steady_ms())
            waits.append(asyncio.create_task(self._clock.pause(left_ms)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        event.clear()


def _lies_in_one_of(path: str, folders: set[str]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)
