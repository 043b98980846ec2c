"""What is done with files once all executions that they started have ended.

The log remembers each file that was told under a second key, from the commit of its event to the
commit after it was moved or deleted. In between it is moved when its executions have ended. So a
crash leaves at worst a file that is moved already and remembered still: the next run takes note of
it before it looks for anything else.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final, Protocol

from eventmill.ports import Remember
from eventmill.record import record
from eventmill.sensors.disposal import move
from eventmill.sensors.snapshot import Folder, Problem, Sighting
from eventmill.triggers.filesystem import Disposal

FILES_PER_COMMIT_MAX: Final = 500
# No path relative to a folder begins so.
_MARK: Final = "/"


class Processed(Enum):
    """What became of the executions that one event started."""

    NOTHING = "it started none"
    RUNNING = "one of them runs, or is about to be started: its end will be told"
    HELD = "something waits, or runs for several events together: nobody will tell"
    SUCCEEDED = "all have succeeded"
    FAILED = "all have ended, and not all have succeeded"


class Processing(Protocol):
    """Lets a sensor know when what it told has been processed."""

    async def of(self, source: str, event_id: str) -> Processed:
        """What has become durable of the executions of an event, or is about to be started."""
        ...

    def hear(self, source: str, heard: Callable[[str], None]) -> None:
        """Call `heard` with the event's id whenever an execution has ended, durably.

        It must return at once and must not raise.
        """
        ...


@record
class Rules:
    """What is done after success and after failure, in folders that are absolute by now."""

    source: str  # of the events
    success: Disposal | None
    failure: Disposal | None
    processing: Processing
    remember: Remember


class Holder(Protocol):
    """Who looks at files: it leaves one alone as long as something is done with it here."""

    def hold(self, path: str, version: bytes) -> bool:
        """Keep a file to oneself; False when it is being told at present."""
        ...

    def let_go(self, path: str) -> None:
        """Let others have it."""
        ...

    def disposed(self, path: str) -> None:
        """The file is gone, and the log has forgotten it."""
        ...

    def report(self, problem: Problem) -> None:
        """Say what keeps a file from being moved or deleted."""
        ...


def split(state: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What was told, by path, and what of it was remembered here."""
    told, waiting = {}, {}
    for key, version in state.items():
        if key.startswith(_MARK):
            waiting[key.removeprefix(_MARK)] = version
        else:
            told[key] = version
    return told, waiting


@record
class _File:
    path: str
    version: bytes


class Afterwards:
    """The files of a folder that wait for the end of what they started."""

    def __init__(
        self,
        rules: Rules,
        folder: Folder,
        waiting: Mapping[str, bytes],
        event_id: Callable[[str, bytes], str],
        holder: Holder,
    ) -> None:
        self._rules = rules
        self._folder = folder
        self._event_id = event_id
        self._holder = holder
        self._ids: dict[str, str] = {}  # path -> id of the event
        self._files: dict[str, _File] = {}  # by the id of the event
        self._ended: dict[str, None] = {}  # ids of events to look after
        self._held: set[str] = set()  # ids of events that nobody tells of
        self._refused: dict[str, str] = {}  # ids of events whose file could not be moved, and why
        self._arrived = asyncio.Event()
        for path, version in waiting.items():
            self.expect(path, version)

    def expect(self, path: str, version: bytes) -> dict[str, bytes | None]:
        """Wait for what this version starts; returns what to remember in its commit."""
        self._drop(path)
        event_id = self._event_id(path, version)
        self._ids[path] = event_id
        self._files[event_id] = _File(path=path, version=version)
        return {_MARK + path: version}

    def forget(self, path: str) -> dict[str, bytes | None]:
        """Wait no longer, since the file is gone; returns what to remember in that commit."""
        return {_MARK + path: None} if path in self._ids else {}

    def forgotten(self, path: str) -> None:
        """Take note that this is durable."""
        self._drop(path)

    def hear(self, event_id: str) -> None:
        """Look after an event, of which something is durable or has ended."""
        if event_id in self._files:
            self._ended[event_id] = None
            self._arrived.set()

    def look_after(self, path: str) -> None:
        """Look after the event of a file, which is durable."""
        event_id = self._ids.get(path)
        if event_id is not None:
            self.hear(event_id)

    def try_again(self) -> None:
        """Look again after files that could not be moved, and those that nobody tells of."""
        for event_id in (*self._refused, *self._held):
            self.hear(event_id)

    async def catch_up(self) -> None:
        """Do what could have been done before."""
        for event_id in self._files:
            self.hear(event_id)
        await self._work_off()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._work_off()

    async def _work_off(self) -> None:
        while self._ended:
            ids = list(self._ended)[:FILES_PER_COMMIT_MAX]
            for event_id in ids:
                del self._ended[event_id]
            await self._look_after(ids)

    async def _look_after(self, ids: Iterable[str]) -> None:
        held: dict[_File, Processed] = {}
        try:
            for event_id in ids:
                came_to = await self._rules.processing.of(self._rules.source, event_id)
                file = self._files.get(event_id)
                self._held.discard(event_id)
                if came_to is Processed.HELD and file is not None:
                    self._held.add(event_id)
                # A file that is being told has another version by now, which is looked after then.
                if (
                    file is not None
                    and came_to not in (Processed.RUNNING, Processed.HELD)
                    and self._holder.hold(file.path, file.version)
                ):
                    held[file] = came_to
            await self._finish(held)
        finally:
            for file in held:
                self._holder.let_go(file.path)

    async def _finish(self, held: Mapping[_File, Processed]) -> None:
        state: dict[str, bytes | None] = {}
        gone: list[str] = []
        results = await asyncio.to_thread(
            lambda: [self._dispose(file, came_to) for file, came_to in held.items()]
        )
        for file, result in zip(held, results, strict=True):
            event_id = self._ids[file.path]
            if isinstance(result, Problem):
                if self._refused.get(event_id) != result.reason:
                    self._refused[event_id] = result.reason
                    self._holder.report(result)
                continue
            state[_MARK + file.path] = None
            if result:
                state[file.path] = None
                gone.append(file.path)
        if state:
            await self._rules.remember(state)
        for path in gone:
            self._holder.disposed(path)
        for key in state:
            if key.startswith(_MARK):
                self._drop(key.removeprefix(_MARK))

    def _dispose(self, file: _File, came_to: Processed) -> bool | Problem:
        """Do what is to be done; True when the file is gone."""
        disposal = None
        if came_to is Processed.SUCCEEDED:
            disposal = self._rules.success
        elif came_to is Processed.FAILED:
            disposal = self._rules.failure
        if disposal is None:
            return False
        seen = self._folder.look_at(file.path)
        if isinstance(seen, str):
            return True  # a run before has moved it, or somebody else was quicker
        if isinstance(seen, Sighting) and seen.version != file.version:
            return False  # the new version is told, and looked after then
        if isinstance(seen, Problem):
            return seen
        source = f"{self._folder.path}/{file.path}"
        try:
            if disposal.to is None:
                os.unlink(source)
            else:
                move(source, f"{disposal.to}/{file.path}")
        except OSError as error:
            return Problem(file.path, f"it cannot be put away: {error.strerror or error}")
        return True

    def _drop(self, path: str) -> None:
        event_id = self._ids.pop(path, None)
        if event_id is not None:
            del self._files[event_id]
            self._held.discard(event_id)
            self._refused.pop(event_id, None)
