"""Files that are being written: whoever writes one holds a lock on it, so that others can tell.

The kernel releases the lock when the writer ends, however it ends. So a file that nobody has locked
is nobody's, on this machine or on another one that shares the folder. Where the file system knows
no locks, nothing is locked and nothing is removed.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

PREFIX: Final = ".eventmill-unfinished-"  # how their names begin; no object has such a name


def create(folder: Path) -> tuple[BinaryIO, Path]:
    """A new file in `folder`, locked as long as it is open.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        path = folder / f"{PREFIX}{secrets.token_hex(8)}"
        file = path.open("xb", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()  # before it was locked, somebody took it for one that is nobody's
            continue
        except OSError:
            return file, path  # there are no locks here
        if os.fstat(file.fileno()).st_nlink:
            return file, path
        file.close()  # likewise, and that one has removed it


def remove_abandoned(root: Path) -> int:
    """Remove what writers who were killed have left in the folders of `root`; how many files.

    What cannot be looked at or removed stays.
    """
    return sum(_removed(path) for path in _unfinished(root))


def _unfinished(root: Path) -> Iterator[Path]:
    for bucket in _entries(root):
        if bucket.is_dir():
            for entry in _entries(bucket):
                if entry.name.startswith(PREFIX) and entry.is_file(follow_symlinks=False):
                    yield Path(entry)


def _entries(folder: "Path | os.DirEntry[str]") -> "Iterator[os.DirEntry[str]]":
    with suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _removed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False
    return True
