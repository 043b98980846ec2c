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
from collections.abc import Iterable
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


class Hints(FileSystemEventHandler):
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
                for observer, events in () if self._stopped else _observers():
                    self._observers.append(observer)
                    observer.schedule(self, self._folder, recursive=recursive, event_filter=events)
                    observer.start()
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

    def dispatch(self, event: FileSystemEvent) -> None:
        """Translate one event of watchdog; it calls this in a thread of its own."""
        for kind, path in _meaning(event):
            full = os.fsdecode(path)
            if full.startswith(f"{self._folder}/"):
                self.add(Hint(kind, full[len(self._folder) + 1 :]))


def _quieten_watchdog() -> None:
    """Keep to itself what watchdog says of its own affairs: that it was stopped while reading, that
    it added a watch for a new folder twice, that hints were lost. A scan finds what it misses.
    """
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)


def _meaning(event: FileSystemEvent) -> Iterable[tuple[Kind, bytes | str]]:
    if isinstance(event, FileClosedEvent):
        yield Kind.COMPLETE, event.src_path
    elif isinstance(event, FileMovedEvent):
        # This may come half a second late, when another file is there already.
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


_Events = list[type[FileSystemEvent]]


def _observers() -> list[tuple[BaseObserver, _Events]]:
    if sys.platform != "linux":
        # Nothing says here that a file was closed.
        return [
            (
                Observer(),
                [
                    FileCreatedEvent,
                    FileModifiedEvent,
                    FileMovedEvent,
                    FileDeletedEvent,
                    DirCreatedEvent,
                    DirMovedEvent,
                ],
            )
        ]
    # When a file leaves the folder by a move, watchdog holds everything back for half a second, in
    # case it turns up elsewhere in it. Handlers that archive what they have read would slow every
    # other file down, so a second observer listens for files that are closed, and for no moves.
    return [
        (InotifyObserver(), [FileClosedEvent, FileDeletedEvent]),
        (
            InotifyObserver(generate_full_events=True),
            [FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent],
        ),
    ]
