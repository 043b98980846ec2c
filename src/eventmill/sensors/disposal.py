"""Moving files to where nothing is overwritten. Everything here blocks."""

import errno
import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import PurePath
from typing import Final

# What systems say that know no second name of a file, or do not allow it for this one.
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def move(source: str, target: str) -> str:
    """Move a file to `target`, or beside it when that is taken; return where it is now.

    Folders are made as needed. Nothing is overwritten: `a.csv` becomes `a.1.csv` when there is an
    `a.csv`. Moving again what a crash left half moved ends in one file. On another disk the file is
    copied, and deleted once the copy is durable.

    Raises:
        OSError: It cannot be moved; it is where it was.
    """
    folder, name = os.path.split(target)
    part = f"{folder}/.{name}.eventmill-part"
    os.makedirs(folder, exist_ok=True)
    try:
        try:
            return _move(source, source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        _copy(source, part)
        return _move(source, part, target)
    finally:
        _unlink(part)  # perhaps of a copy that a crash broke off


def _move(source: str, content: str, target: str) -> str:
    """Give `content`, the source or a copy, a free name, and take the name of the source away."""
    name = next(name for name in _names(target) if _place(content, name) or _is_it(source, name))
    if content != source:
        _sync(os.path.dirname(target))
    _unlink(source)
    return name


def _names(target: str) -> Iterator[str]:
    yield target
    path = PurePath(target)
    for number in count(1):
        yield str(path.with_name(f"{path.stem}.{number}{path.suffix}"))


def _place(path: str, name: str) -> bool:
    """Give a file a new name unless that is taken; it may keep the old one, too."""
    try:
        os.link(path, name, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        os.replace(path, name)
    return True


def _is_it(source: str, name: str) -> bool:
    """Whether a file that was there already is the source: moved, but for its old name."""
    try:
        ours, theirs = os.lstat(source), os.lstat(name)
    except FileNotFoundError:
        return False
    if os.path.samestat(ours, theirs):
        return True
    # On another disk, a copy of it. The same bytes with the same times are no other file.
    return (
        ours.st_dev != theirs.st_dev
        and (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns)
        and filecmp.cmp(source, name, shallow=False)
    )


def _copy(source: str, part: str) -> None:
    shutil.copy2(source, part, follow_symlinks=False)
    _sync(part)


def _sync(path: str) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
