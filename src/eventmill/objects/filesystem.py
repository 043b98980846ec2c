"""An `ObjectStore` in a folder: the object `key` of `bucket` is the file `<root>/<bucket>/<key>`.

Every folder below the root is a bucket, whoever made it, so files can be put there and taken away
by hand. A folder inside a bucket that holds nothing is what S3 has as a folder marker: an object
of no size whose key ends in a slash. Symbolic links to files and of buckets are followed; linked
folders inside a bucket are not listed. Two keys of S3 cannot be kept side by side: `a` and `a/b`,
since a file is no folder.
"""

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from eventmill.errors import ObjectDoesNotExist, ObjectStoreError
from eventmill.objects import unfinished
from eventmill.ports import StoredObject

_PIECE_BYTES: Final = 64 * 1024
_OBJECTS_PER_LOOK: Final = 500
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


class FilesystemObjectStore:
    """Buckets in the folder `root`. The folder and the buckets are made by others."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def read(
        self, bucket: str, key: str, *, version: str | None = None
    ) -> AsyncIterator[bytes]:
        """See `ObjectStore.read`. A folder keeps no versions: there is only `null`, as in S3."""
        if version not in (None, "null"):
            raise ObjectDoesNotExist(
                f"The specified version does not exist: {version} of {bucket}/{key}; "
                "a folder keeps no versions"
            )
        file = await asyncio.to_thread(self._open, bucket, key)
        if file is None:
            return
        with file:
            while piece := await asyncio.to_thread(_read_piece, file, f"{bucket}/{key}"):
                yield piece

    async def list(self, bucket: str, prefix: str = "") -> AsyncIterator[StoredObject]:
        """See `ObjectStore.list`.

        `etag` is no digest of the content, which would have to be read for it: it is made of the
        size and the time of the last change, and changes with them.
        """
        found = self._found(bucket, prefix)
        while objects := await asyncio.to_thread(_take, found):
            for each in objects:
                yield each

    async def write(self, bucket: str, key: str, content: AsyncIterable[bytes]) -> int:
        """See `ObjectStore.write`. It is on disk when this returns."""
        folder = await asyncio.to_thread(self._bucket, bucket)
        target = folder / _path(bucket, key, ObjectStoreError)
        if key.endswith("/"):
            return await self._write_marker(target, key, content)
        try:
            file, path = await asyncio.to_thread(unfinished.create, folder)
            try:
                size = 0
                async for piece in content:
                    size += await asyncio.to_thread(_write_piece, file, piece)
                await asyncio.to_thread(_finish, file, path, target, folder)
            finally:
                path.unlink(missing_ok=True)
                file.close()
        except OSError as error:
            raise _refused(f"{bucket}/{key}", error) from error
        return size

    async def remove_abandoned(self) -> int:
        """Remove what killed writers have left in the buckets, and return how many files."""
        return await asyncio.to_thread(unfinished.remove_abandoned, self._root)

    async def _write_marker(self, target: Path, key: str, content: AsyncIterable[bytes]) -> int:
        async for piece in content:
            if piece:
                raise ObjectStoreError(f"{key} ends in a slash: a folder can have no content")
        try:
            await asyncio.to_thread(_make_folders, target)
        except OSError as error:
            raise _refused(str(target), error) from error
        return 0

    def _bucket(self, bucket: str) -> Path:
        folder = self._root / bucket
        if bucket in ("", ".", "..") or {"/", "\0"} & set(bucket) or not os.path.isdir(folder):
            raise ObjectDoesNotExist(
                f"The specified bucket does not exist: {bucket!r}; "
                f"a bucket is a folder in {self._root}"
            )
        return folder

    def _open(self, bucket: str, key: str) -> BinaryIO | None:
        """The file of an object; None for a folder, which has no content."""
        path = self._bucket(bucket) / _path(bucket, key, ObjectDoesNotExist)
        expected = stat.S_IFDIR if key.endswith("/") else stat.S_IFREG
        try:
            if stat.S_IFMT(path.stat().st_mode) != expected:
                raise FileNotFoundError(errno.ENOENT, "another kind of file")
            return None if key.endswith("/") else path.open("rb", buffering=0)
        except OSError as error:
            if error.errno in _ABSENT:
                raise ObjectDoesNotExist(
                    f"The specified key does not exist: {bucket}/{key}"
                ) from error
            raise _refused(f"{bucket}/{key}", error) from error

    def _found(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        path = self._bucket(bucket)
        folder, slash, beginning = prefix.rpartition("/")
        if slash:
            try:
                path = path / _path(bucket, folder + slash, ObjectDoesNotExist)
            except ObjectDoesNotExist:
                return  # No key begins like this.
        try:
            if slash and not beginning and os.path.isdir(path):
                yield from _seen(path, prefix)
            else:
                yield from _walk(path, folder + slash, beginning)
        except OSError as error:
            raise _refused(f"{bucket}/{prefix}", error) from error


def _path(bucket: str, key: str, error: type[ObjectStoreError]) -> Path:
    """Where an object is in the folder of its bucket: never outside of it.

    Raises:
        ObjectStoreError: The key is not the path of a file inside a folder; of type `error`.
    """
    parts = key.removesuffix("/").split("/")
    if {"", ".", ".."} & set(parts) or "\0" in key or parts[0].startswith(unfinished.PREFIX):
        raise error(
            f"The specified key does not exist: {bucket}/{key!r} is no path inside of a folder"
        )
    return Path(*parts)


def _walk(folder: Path, prefix: str, beginning: str = "") -> Iterator[StoredObject]:
    """The objects in a folder, in the order of their keys; one folder at a time is in memory."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                (os.fsencode(f"{each.name}/" if each.is_dir(follow_symlinks=False) else each.name))
                for each in entries
                if each.name.startswith(beginning) and not each.name.startswith(unfinished.PREFIX)
            )
    except OSError as error:
        if error.errno in _ABSENT:
            return  # Another one has taken it away.
        raise
    for name in names:
        try:
            text = name.decode()
        except UnicodeDecodeError:
            raise ObjectStoreError(
                f"{folder / os.fsdecode(name)!s:.500}: the name is not UTF-8, as keys are"
            ) from None
        yield from _seen(folder / text, prefix + text)


def _seen(path: Path, key: str) -> Iterator[StoredObject]:
    if key.endswith("/"):
        inside = _walk(path, key)
        first = next(inside, None)
        if first is not None:
            yield first
            yield from inside
            return
    try:
        status = path.stat()
    except OSError as error:
        if error.errno in (*_ABSENT, errno.ELOOP):
            return
        raise
    if stat.S_ISREG(status.st_mode) or key.endswith("/"):
        size = 0 if key.endswith("/") else status.st_size
        yield StoredObject(
            key=key,
            size=size,
            etag=_etag(size, status.st_mtime_ns),
            modified_ms=status.st_mtime_ns // 1_000_000,
        )


def _etag(size: int, modified_ns: int) -> str:
    digest = hashlib.md5(f"{size}:{modified_ns}".encode(), usedforsecurity=False)
    return f'"{digest.hexdigest()}"'


def _take(found: Iterator[StoredObject]) -> list[StoredObject]:
    return list(islice(found, _OBJECTS_PER_LOOK))


def _read_piece(file: BinaryIO, name: str) -> bytes:
    try:
        return file.read(_PIECE_BYTES)
    except OSError as error:
        raise _refused(name, error) from error


def _write_piece(file: BinaryIO, piece: bytes) -> int:
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]
    return len(piece)


def _finish(file: BinaryIO, path: Path, target: Path, bucket: Path) -> None:
    """Put the finished file in its place, so that a loss of power leaves the old or the new."""
    os.fsync(file.fileno())
    _make_folders(target.parent)
    path.replace(target)
    _sync_folder(target.parent)
    if bucket != target.parent:
        _sync_folder(bucket)


def _make_folders(folder: Path) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(name: str, error: OSError) -> ObjectStoreError:
    return ObjectStoreError(f"{name}: {error.strerror or error}")
