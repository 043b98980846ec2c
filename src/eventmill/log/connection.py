"""Connections to SQLite: which library, a thread for each, and what its errors mean."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Concatenate, Final, ParamSpec, TypeVar

import aiosqlite

from eventmill.errors import LogDamaged, LogError, LogUnavailable

_P = ParamSpec("_P")
_T = TypeVar("_T")

# pysqlite3 brings an SQLite of its own, without the bugs of an old system's. All of a process must
# use the same one: closing a file in one releases the locks that the other holds on it.
driver: Final[ModuleType] = import_module("pysqlite3" if find_spec("pysqlite3") else "sqlite3")
Error: Final[type[sqlite3.Error]] = driver.Error
IntegrityError: Final[type[sqlite3.IntegrityError]] = driver.IntegrityError

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def sqlite_version() -> str:
    """The version of the SQLite in use."""
    version: str = driver.sqlite_version
    return version


def sqlite_is_affected(version: str) -> bool:
    """Whether this SQLite has the WAL-reset bug (sqlite.org/wal.html), which can lose commits
    when two connections write and checkpoint at once.

    >>> [sqlite_is_affected(each) for each in ("3.40.1", "3.44.6", "3.50.6", "3.51.3")]
    [True, False, True, False]
    """
    number = tuple(int(part) for part in version.split("."))
    if number < (3, 7, 0) or number >= (3, 51, 3):
        return False
    return not ((3, 50, 7) <= number < (3, 51, 0) or (3, 44, 6) <= number < (3, 45, 0))


class Connection(aiosqlite.Connection):
    """A connection that runs a whole function in its thread, in one hop."""

    def __init__(self, path: Path, open_: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(open_, iter_chunk_size=64)
        self.path = path

    def join(self) -> None:
        """Wait until the thread has ended, which it does once the connection is closed."""
        self._thread.join()

    async def run(
        self,
        function: Callable[Concatenate[sqlite3.Connection, _P], _T],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        """Call `function` with the connection, in its thread.

        Raises:
            LogUnavailable: The file cannot be read for now.
            LogDamaged: The file is damaged.
        """
        if self._connection is None:
            raise LogUnavailable(f"the log {self.path} is closed")
        try:
            # aiosqlite has no public way to run a function in one hop.
            result: _T = await self._execute(  # type: ignore[no-untyped-call]  # has no types
                partial(twice, partial(function, self._connection, *args, **kwargs))
            )
        except Error as error:
            raise refusal(self.path, "read", error) from error
        return result


@asynccontextmanager
async def connected(
    path: Path, open_: Callable[[], sqlite3.Connection]
) -> AsyncIterator[Connection]:
    """A connection with a thread of its own; both are gone afterwards, cancelled or not.

    Raises:
        LogError: Whatever `open_` raises, which is called in the thread.
    """
    connection = Connection(path, partial(twice, open_))
    try:
        await uninterrupted(_opened(connection))
        yield connection
    finally:
        await uninterrupted(connection.close())
        # A connection that could not be opened has told its thread to end, and waits for nothing:
        # the thread must not outlive the event loop, to which it reports.
        await uninterrupted(asyncio.to_thread(connection.join))


async def _opened(connection: Connection) -> None:
    await connection


def twice(ask: Callable[[], _T]) -> _T:
    """Ask, and ask once more when the file seems to be damaged, which the second time would say.

    A read that fails looks the same to SQLite. `ask` must leave nothing behind when it fails.
    """
    try:
        return ask()
    except LogDamaged:
        return ask()
    except Error as error:
        if not _is_damage(error):
            raise
        return ask()


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def refusal(path: Path, verb: str, error: sqlite3.Error) -> LogError:
    """The error to raise for what SQLite said when asked to `verb` the log."""
    if _is_damage(error):
        return LogDamaged(f"{path} is damaged or no event log: {error}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return LogUnavailable(f"cannot {verb} the log {path}: {error} ({name})")


async def uninterrupted(work: Awaitable[None]) -> None:
    """Await `work` to its end even when cancelled meanwhile; the cancellation comes after it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and (task.cancelled() or task.exception() is None):
        raise cancelled
    task.result()
