"""Looking at files: what is there, and in which version. Everything here blocks."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from eventmill.errors import SensorError
from eventmill.sensors.globs import IGNORE_FILE, Selection
from eventmill.sensors.ledger import Ledger

_CAN_ASK_AS_ONESELF: Final = os.access in os.supports_effective_ids
_GONE: Final = (errno.ENOENT, errno.ENOTDIR)


class Sighting(NamedTuple):
    """A regular file that was seen, by its path relative to the folder."""

    path: str
    version: bytes
    size: int
    modified_ns: int


class Problem(NamedTuple):
    """A file or folder that was not looked at, and why."""

    path: str
    reason: str


class Folder:
    """A watched folder as it is on disk.

    A file's version is its size, modification time and inode number: what a writer changes, and
    what tells a file apart that was renamed over another one with the times of the old. The time
    of the last status change stays out, since permissions and links are no content; the device
    too, since its number may change with every boot. Without `inodes` the number stays out as
    well: many network file systems make new ones with every mount.
    """

    def __init__(self, path: str, selection: Selection, *, inodes: bool) -> None:
        """Hold `path`, which must be absolute.

        Raises:
            SensorError: There is no such folder, or it cannot be read.
        """
        self.path = os.path.realpath(path)
        self._shown = path
        self._inodes = inodes
        self._identity = self._identify()
        self._selected = selection
        self._ignored = ""
        self.selection = selection
        self._heed_ignored()

    def check(self) -> None:
        """Make sure that the folder is still there and still the same; heed its ignore rules.

        Raises:
            SensorError: It is gone, or something else was put or mounted in its place; or its
                ignore rules cannot be read.
        """
        if self._identify() != self._identity:
            raise SensorError(f"another folder stands where {self._shown} was")
        self._heed_ignored()

    def _heed_ignored(self) -> None:
        try:
            with open(f"{self.path}/{IGNORE_FILE}", "rb") as file:
                text = os.fsdecode(file.read())
        except FileNotFoundError:
            text = ""
        except OSError as error:
            # Without them, files might be told that must not be.
            raise SensorError(
                f"{self._shown}/{IGNORE_FILE} cannot be read: {error.strerror}"
            ) from None
        if text != self._ignored:
            self._ignored = text
            self.selection = self._selected.ignoring(text.removeprefix("\ufeff").splitlines())

    def look(self, paths: Iterable[str]) -> Iterator[Sighting | Problem | str]:
        """Look at single files; a path comes back bare when no selected file is there."""
        for path in paths:
            yield self.look_at(path) if self.selection.takes(path) else path

    def look_at(self, path: str) -> Sighting | Problem | str:
        """Look at a single file, selected or not."""
        try:
            status = os.lstat(f"{self.path}/{path}")
        except OSError as error:
            return path if error.errno in _GONE else Problem(path, error.strerror or str(error))
        if not stat.S_ISREG(status.st_mode):
            return path
        if self._is_unreadable(path):
            return Problem(path, "this user may not read it")
        return self._sight(path, status)

    def scan(self, start: str, ledger: Ledger) -> "Scan":
        """Begin to walk through the folder, or through the folder `start` in it."""
        return Scan(self._walk(start), ledger)

    def missing(self, known: Mapping[str, bytes]) -> Iterator[tuple[str, bytes, bool]]:
        """Known files that are gone, with the version they had and whether to believe it.

        An empty folder is not believed: it may be the place where something is mounted that is
        not mounted at present.
        """
        believed: dict[str, bool] = {}
        for path, version in known.items():
            try:
                os.lstat(f"{self.path}/{path}")
            except OSError as error:
                if error.errno in _GONE:
                    folder = path.rpartition("/")[0]
                    if folder not in believed:
                        believed[folder] = self._is_in_use(folder)
                    yield path, version, believed[folder]

    def _is_in_use(self, folder: str) -> bool:
        """Whether the folder, or the nearest one above it that exists, has anything in it."""
        while True:
            try:
                with os.scandir(f"{self.path}/{folder}") as entries:
                    return next(entries, None) is not None
            except OSError as error:
                if error.errno not in _GONE or not folder:
                    return False
            folder = folder.rpartition("/")[0]

    def _identify(self) -> tuple[int, int]:
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise self._unwatchable(error) from None
        if not stat.S_ISDIR(status.st_mode):
            raise SensorError(f"{self._shown} is not a folder")
        return status.st_dev, status.st_ino

    def _walk(self, start: str) -> Iterator[Sighting | Problem]:
        folders, takes_here = [start], self.selection.takes_here
        while folders:
            folder = folders.pop()
            prefix = f"{folder}/" if folder else ""
            try:
                with os.scandir(f"{self.path}/{folder}") as entries:
                    for entry in entries:
                        path = prefix + entry.name
                        # Links are not followed: what they lead to is either in this folder, and
                        # is seen there, or it is none of its files.
                        if entry.is_dir(follow_symlinks=False):
                            if self.selection.enters(path):
                                folders.append(path)
                        elif takes_here(path) and entry.is_file(follow_symlinks=False):
                            found = self._glance(path, entry)
                            if found is not None:
                                yield found
            except OSError as error:
                if not folder:
                    raise self._unwatchable(error) from None
                if error.errno not in _GONE:
                    yield Problem(folder, error.strerror or str(error))

    def _glance(self, path: str, entry: os.DirEntry[str]) -> Sighting | Problem | None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            gone = error.errno in _GONE
            return None if gone else Problem(path, error.strerror or str(error))
        return self._sight(path, status)

    def _unwatchable(self, error: OSError) -> SensorError:
        reason = "does not exist" if error.errno in _GONE else f"cannot be read: {error.strerror}"
        return SensorError(f"the folder {self._shown} {reason}")

    def _sight(self, path: str, status: os.stat_result) -> Sighting | Problem:
        if not path.isascii():
            try:
                path.encode()
            except UnicodeEncodeError:
                return Problem(ascii(path)[1:-1], "the name is not UTF-8, so no event can tell it")
        size, modified_ns = status.st_size, status.st_mtime_ns
        if self._inodes:
            version = b"%d-%d-%d" % (size, modified_ns, status.st_ino)
        else:
            version = b"%d-%d" % (size, modified_ns)
        return Sighting(path, version, size, modified_ns)

    def _is_unreadable(self, path: str) -> bool:
        """Whether the file is there, but not for this process to read."""
        full = f"{self.path}/{path}"
        readable = os.access(full, os.R_OK, effective_ids=_CAN_ASK_AS_ONESELF)
        return not readable and os.path.lexists(full)


class Scan:
    """One walk through a folder, taken in slices so that none takes long."""

    def __init__(self, found: Iterator[Sighting | Problem], ledger: Ledger) -> None:
        self._found = found
        self._ledger = ledger
        self.seen = 0  # files that are in the ledger, in whatever version

    def slice(self, files_max: int) -> tuple[list[Sighting | Problem], bool]:
        """What is news among the next `files_max` files, and whether those were the last.

        Raises:
            SensorError: The folder is gone.
        """
        ledger, count = self._ledger, 0
        news: list[Sighting | Problem] = []
        for found in islice(self._found, files_max):
            count += 1
            if isinstance(found, Problem):
                news.append(found)
                continue
            path = found.path
            self.seen += path in ledger
            if ledger.is_news(path, found.version):
                news.append(found)
        return news, count < files_max
