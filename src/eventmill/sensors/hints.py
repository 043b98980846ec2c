"""Hints of the operating system that something changed, for sensors that look for themselves.

Hints may come late, twice, or not at all. Nothing is believed because of a hint, except that a
file was complete when its writer closed it or moved it into place.
"""

import asyncio
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final, NamedTuple

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

if sys.platform == "linux":
    from watchdog.observers.inotify import InotifyObserver

_log: Final = logging.getLogger(__name__)

HINTS_MAX: Final = 10_000


class Kind(Enum):
    """What a hint says about its path."""

    COMPLETE = "a writer closed the file or moved it into place"
    TOUCHED = "something happened to the file"
    DELETED = "the file was deleted, whatever is there now"
    FOLDER = "a folder appeared, perhaps with files in it"


class Hint(NamedTuple):
    """A hint about a path, relative to the watched folder."""

    kind: Kind
    path: str


class Hints:
    """Gathers hints from watchdog's threads for the event loop.

    It holds `hints_max` at most. When more come, it forgets those that came too late and says so:
    then everything must be looked at.
    """

    def __init__(self, folder: str, *, hints_max: int = HINTS_MAX) -> None:
        """Prepare to watch `folder`, which must be absolute and no link. Call it in the loop."""
        self._folder = folder
        self._hints_max = hints_max
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._lock = threading.Lock()
        self._waiting: dict[Hint, None] = {}
        self._overflowed = False
        self._observers: list[BaseObserver] = []
        self._lifetime = threading.Lock()
        self._stopped = False

    def start(self, *, recursive: bool) -> None:
        """Begin to listen. This blocks: it visits every folder below.

        When the system has no watches left, there are no hints, and the log says so.
        """
        _quieten_watchdog()
        with self._lifetime:
            try:
                for ear in () if self._stopped else _ears():
                    self._observers.append(ear.observer)
                    ear.observer.schedule(
                        Listener(self, self._folder, prompt=ear.prompt),
                        self._folder,
                        recursive=recursive,
                        event_filter=ear.events,
                    )
                    ear.observer.start()
            except OSError as error:
                _log.warning(
                    "%s: changes are found by scanning only: %s", self._folder, error.strerror
                )
                self._stop()

    def stop(self) -> None:
        """Stop listening for good, and wait until the threads have ended."""
        with self._lifetime:
            self._stopped = True
            self._stop()

    def _stop(self) -> None:
        for observer in self._observers:
            observer.stop()
        for observer in self._observers:
            if observer.is_alive():
                observer.join()
        self._observers.clear()

    async def take(self) -> tuple[list[Hint], bool]:
        """Wait for hints; return those there are, oldest first, and whether others were lost."""
        await self._arrived.wait()
        with self._lock:
            self._arrived.clear()
            hints, overflowed = list(self._waiting), self._overflowed
            self._waiting.clear()
            self._overflowed = False
        return hints, overflowed

    def add(self, hint: Hint) -> None:
        """Add a hint, from any thread."""
        with self._lock:
            first = not self._waiting and not self._overflowed
            if len(self._waiting) < self._hints_max:
                # What comes again counts from its last time.
                self._waiting.pop(hint, None)
                self._waiting[hint] = None
            else:
                self._overflowed = True
        if first:
            self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:
            return  # The loop is closed, so nobody waits for hints any more.


class Listener(FileSystemEventHandler):
    """Translates what watchdog says; watchdog calls it in a thread of its own.

    `prompt` says whether it hears of closed files at once. What comes late does not tell that a
    file is complete: another writer may have opened it since.
    """

    def __init__(self, hints: Hints, folder: str, *, prompt: bool) -> None:
        self._hints = hints
        self._prefix = f"{folder}/"
        self._prompt = prompt

    def dispatch(self, event: FileSystemEvent) -> None:
        """Turn one event of watchdog into hints."""
        for kind, path in self._meaning(event):
            full = os.fsdecode(path)
            if full.startswith(self._prefix):
                self._hints.add(Hint(kind, full[len(self._prefix) :]))

    def _meaning(self, event: FileSystemEvent) -> Iterable[tuple[Kind, bytes | str]]:
        if isinstance(event, FileClosedEvent):
            yield Kind.COMPLETE if self._prompt else Kind.TOUCHED, event.src_path
        elif isinstance(event, FileMovedEvent):
            yield Kind.TOUCHED, event.src_path
            yield Kind.COMPLETE, event.dest_path
        elif isinstance(event, FileDeletedEvent):
            yield Kind.DELETED, event.src_path
        elif isinstance(event, DirMovedEvent):
            yield Kind.FOLDER, event.dest_path
        elif isinstance(event, DirCreatedEvent):
            yield Kind.FOLDER, event.src_path
        elif isinstance(event, FileCreatedEvent | FileModifiedEvent):
            yield Kind.TOUCHED, event.src_path


def _quieten_watchdog() -> None:
    """Keep to itself what watchdog says of its own affairs: that it was stopped while reading, that
    it added a watch for a new folder twice, that hints were lost. A scan finds what it misses.
    """
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)


class _Ear(NamedTuple):
    observer: BaseObserver
    events: list[type[FileSystemEvent]]
    prompt: bool


def _ears() -> Iterator[_Ear]:
    """What to listen with. Each observer holds a thread from its making on, so make one at a time.

    Raises:
        OSError: The system has no more inotify instances.
    """
    moves: list[type[FileSystemEvent]] = [FileMovedEvent, DirMovedEvent, DirCreatedEvent]
    if sys.platform != "linux":
        # Nothing says here that a file was closed.
        touches: list[type[FileSystemEvent]] = [FileCreatedEvent, FileModifiedEvent]
        yield _Ear(Observer(), [*touches, *moves, FileDeletedEvent], prompt=False)
        return
    # When a file leaves the folder by a move, watchdog holds everything back for half a second, in
    # case it turns up elsewhere in it. Handlers that archive what they have read would slow every
    # other file down, so one observer listens for files that are closed, and for no moves. It does
    # not learn of folders that are moved into the folder, so the other one listens there.
    yield _Ear(InotifyObserver(), [FileClosedEvent, FileDeletedEvent], prompt=True)
    yield _Ear(InotifyObserver(generate_full_events=True), [FileClosedEvent, *moves], prompt=False)
