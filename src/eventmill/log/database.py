"""Opens the file of the log: for its one writer, or to read beside it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from eventmill.errors import LogUnavailable
from eventmill.log import migrations
from eventmill.log.connection import Error, driver, refusal, sqlite_version

_STATEMENTS_CACHED: Final = 256
_CACHE_KIB: Final = 65_536
_CHECKPOINT_PAGES: Final = 4_000
_WAL_BYTES_KEPT: Final = 67_108_864

# The first with STRICT tables.
_OLDEST_VERSION: Final = (3, 37, 0)


def open_for_writing(path: Path, busy_timeout_ms: int) -> sqlite3.Connection:
    """Open or create the file as its one writer, and bring it to this version's layout.

    Every commit is on the disk when it returns (WAL, `synchronous=FULL`).

    Raises:
        LogUnavailable: The file cannot be opened or written.
        LogDamaged: The file is no event log.
        LogFromTheFuture: A newer version of Eventmill wrote it.
    """
    with _connected(path, "rwc", busy_timeout_ms) as connection:
        migrations.check(connection, path)
        if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
            # Older files cannot take it any more: they use free pages again, but do not shrink.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise LogUnavailable(
                f"the file system of {path} cannot share memory between processes, "
                "which SQLite's write-ahead log needs"
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}")
        migrations.migrate(connection)
        return connection


def open_for_reading(path: Path, busy_timeout_ms: int) -> sqlite3.Connection:
    """Open the file to read what is committed, beside a writer or without one.

    Raises:
        LogUnavailable: There is no such file, it cannot be read, or has an older layout.
        LogDamaged: The file is no event log.
        LogFromTheFuture: A newer version of Eventmill wrote it.
    """
    if not path.exists():
        raise LogUnavailable(f"there is no log at {path}")
    with _connected(path, _reading_mode(path), busy_timeout_ms) as connection:
        connection.execute("PRAGMA query_only = ON")
        migrations.check(connection, path)
        migrations.require_current(connection, path)
        return connection


def _reading_mode(path: Path) -> str:
    # SQLite shares a file with its writer through files beside it. Where none is there and none
    # can be made, as on a read-only disk, there is no writer either.
    effective = os.access in os.supports_effective_ids
    writable = os.access(path.parent, os.W_OK, effective_ids=effective)
    shared = writable or path.with_name(f"{path.name}-wal").exists()
    return "ro" if shared else "ro&immutable=1"


@contextmanager
def _connected(path: Path, mode: str, busy_timeout_ms: int) -> Iterator[sqlite3.Connection]:
    """A connection that is closed when the block fails; SQLite's errors become ours."""
    if driver.sqlite_version_info < _OLDEST_VERSION:
        needed = ".".join(map(str, _OLDEST_VERSION))
        raise LogUnavailable(f"SQLite {sqlite_version()} is too old: {needed} or newer is needed")
    connection: sqlite3.Connection | None = None
    opened = False
    try:
        connection = driver.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=busy_timeout_ms / 1000,
            cached_statements=_STATEMENTS_CACHED,
        )
        yield connection
        opened = True
    except Error as error:
        raise refusal(path, "open", error) from error
    finally:
        if connection is not None and not opened:
            connection.close()
