"""The layout of the database: whose it is, its version, and the way to the current one.

`sql/NNNN_*.sql` are applied in order, forward only. SQLite keeps the number of the last one in
`user_version`, and whose file it is in `application_id`.
"""

import sqlite3
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from eventmill.errors import LogDamaged, LogFromTheFuture, LogUnavailable
from eventmill.faults import point

APPLICATION_ID: Final = int.from_bytes(b"EVML", "big")


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """The number and the SQL of each migration, in order."""
    scripts = (each for each in files("eventmill.log").joinpath("sql").iterdir())
    numbered = sorted((each.name, each) for each in scripts if each.name.endswith(".sql"))
    return tuple((int(name[:4]), each.read_text(encoding="utf-8")) for name, each in numbered)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """See that the file is an event log of a version we know, or empty.

    Raises:
        LogDamaged: It belongs to another program.
        LogFromTheFuture: A newer version of Eventmill wrote it.
    """
    application = _pragma(connection, "application_id")
    if application != APPLICATION_ID and not _is_empty(connection):
        raise LogDamaged(
            f"{path} is a database of another program: its application id is "
            f"{application:#010x}, an event log has {APPLICATION_ID:#010x}"
        )
    version, newest = _pragma(connection, "user_version"), migrations()[-1][0]
    if version > newest:
        raise LogFromTheFuture(
            f"the log {path} has version {version}, this Eventmill knows versions up to {newest}: "
            "start the newer Eventmill that wrote it, or a copy of the log from before"
        )


def require_current(connection: sqlite3.Connection, path: Path) -> None:
    """See that the file needs no migration.

    Raises:
        LogUnavailable: It does, which only the server that holds the log may do.
    """
    version, newest = _pragma(connection, "user_version"), migrations()[-1][0]
    if version < newest:
        raise LogUnavailable(
            f"the log {path} has version {version}, this Eventmill reads version {newest}: "
            "start the server once to bring it up to date"
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations the file has not seen, each in a transaction of its own."""
    version = _pragma(connection, "user_version")
    for number, script in migrations():
        if number > version:
            point("before-migration")
            apply(connection, number, script)
            point("after-migration")


def apply(connection: sqlite3.Connection, number: int, script: str) -> None:
    """Apply one migration: all of it, or nothing when it fails."""
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n"
            f"PRAGMA application_id = {APPLICATION_ID};\n"
            f"PRAGMA user_version = {number};\n"
            "COMMIT;"
        )
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None
