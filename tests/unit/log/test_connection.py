import asyncio
import gc
import sqlite3
import threading
from functools import partial
from pathlib import Path

import pytest

from eventmill.errors import LogUnavailable
from eventmill.log.connection import (
    connected,
    driver,
    sqlite_is_affected,
    sqlite_version,
    twice,
    uninterrupted,
)
from eventmill.log.database import open_for_writing


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.0", True),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.53.4", False),
        ("4.0.0", False),
    ],
)
def test_knows_which_versions_have_the_wal_reset_bug(version: str, affected: bool) -> None:
    assert sqlite_is_affected(version) is affected


def test_tells_the_version_in_use() -> None:
    with_patch = [int(part) for part in sqlite_version().split(".")]
    assert with_patch >= [3, 37, 0]


async def test_runs_a_function_in_a_thread_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with connected(path, partial(open_for_writing, path, 100)) as connection:
        name = await connection.run(lambda _: threading.current_thread().name)
        assert name != threading.current_thread().name
        assert await connection.run(lambda raw: raw.execute("SELECT 40 + 2").fetchone()) == (42,)


async def test_a_connection_that_is_closed_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with connected(path, partial(open_for_writing, path, 100)) as connection:
        pass
    with pytest.raises(LogUnavailable, match=r"log\.db is closed"):
        await connection.run(sqlite3.Connection.commit)


def workers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if "_connection_worker_thread" in each.name]


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_is_cancelled_while_it_opens_leaves_nothing_behind(
    tmp_path: Path, turns: int
) -> None:
    path = tmp_path / "log.db"

    async def use() -> None:
        async with connected(path, partial(open_for_writing, path, 100)):
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # An open connection would warn, and warnings are errors.
    gc.collect()
    for thread in workers():
        thread.join(10)
    assert workers() == []


async def test_what_must_not_be_interrupted_ends_before_the_cancellation_comes() -> None:
    ended = False
    gate = asyncio.Event()

    async def work() -> None:
        nonlocal ended
        await gate.wait()
        ended = True

    task = asyncio.create_task(uninterrupted(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


async def test_what_must_not_be_interrupted_raises_its_own_error() -> None:
    async def work() -> None:
        raise LogUnavailable("no")

    with pytest.raises(LogUnavailable, match="no"):
        await uninterrupted(work())


@pytest.mark.parametrize("times", [1, 2])
def test_what_seems_damaged_is_looked_at_twice(times: int) -> None:
    asked = 0

    def ask() -> int:
        nonlocal asked
        asked += 1
        if asked <= times:
            error = driver.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        return asked

    if times == 1:
        assert twice(ask) == 2
    else:
        with pytest.raises(driver.DatabaseError):
            twice(ask)
        assert asked == 2


def test_what_is_only_refused_is_not_asked_again() -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        raise LogUnavailable("disk full")

    with pytest.raises(LogUnavailable):
        twice(ask)
    assert asked == [1]
