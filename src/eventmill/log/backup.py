"""A consistent copy of a log in one file, made beside the server that writes it."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from errno import EEXIST
from pathlib import Path
from typing import Final

from eventmill.errors import LogDamaged
from eventmill.log.audit import Audit, audit_database
from eventmill.log.connection import Error, driver, refusal
from eventmill.log.database import open_for_reading

_PAGES_PER_STEP: Final = 2_048
_BUSY_TIMEOUT_MS: Final = 5_000


def back_up(
    log: Path, copy: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> Audit:
    """Copy the log to the new file `copy`, see that its chain is whole, and return its audit.

    The copy has all that was durable at one instant, in a single file that is on the disk when this
    returns; until then it is not there. `progress` is called with the number of pages copied and of
    all. Meanwhile the server's write-ahead log cannot shrink.

    Raises:
        FileExistsError: There is a file at `copy`.
        LogUnavailable: The log cannot be read, or the copy not written.
        LogDamaged: The log, and so its copy, is damaged; there is no copy then.
        LogFromTheFuture: A newer version of Eventmill wrote it.
        OSError: The copy cannot be written.
    """
    with new_file(copy) as partial:
        with closing(open_for_reading(log, _BUSY_TIMEOUT_MS)) as source:
            _copy(source, log, partial, progress)
        audit = audit_database(partial)
        if audit.problem is not None:
            raise LogDamaged(f"the chain of {log} is broken at {audit.problem}")
    return audit


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A name beside `path` for a file that becomes `path` at the end of the block, flushed.

    Nothing is left when the block fails. Another one that was being made is overwritten.

    Raises:
        FileExistsError: There is a file at `path`, before the block or after it.
        OSError: It cannot be written.
    """
    if path.exists():
        raise FileExistsError(EEXIST, os.strerror(EEXIST), str(path))
    partial = path.with_name(f"{path.name}.partial")
    _remove(partial)
    try:
        yield partial
        _flush(partial)
        os.link(partial, path)
    finally:
        _remove(partial)
    _flush(path.parent)


def _copy(
    source: sqlite3.Connection, log: Path, partial: Path, progress: Callable[[int, int], None]
) -> None:
    def told(_status: int, left: int, total: int) -> None:
        progress(total - left, total)

    try:
        # What is committed while pages are copied would make SQLite begin again; within a
        # transaction the source stays as it is.
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_schema").fetchone()
        with closing(driver.connect(partial, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target, pages=_PAGES_PER_STEP, progress=told, sleep=0)
            target.execute("PRAGMA journal_mode = DELETE")
    except Error as error:
        raise refusal(log, "copy", error) from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(partial: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            partial.with_name(f"{partial.name}{suffix}").unlink()
