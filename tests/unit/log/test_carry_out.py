"""Work of the writer between two batches: alone in its transaction, whole or not at all."""

import asyncio
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from eventmill.errors import LogUnavailable
from eventmill.log.audit import audit_database
from eventmill.log.connection import connected, driver
from eventmill.log.database import open_for_writing
from eventmill.log.group_commit import GroupCommit
from eventmill.log.sqlite import SqliteEventLog
from eventmill.log.writer import Writer
from tests.unit.log.logs import ended, started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def remember(writer: Writer) -> int:
    writer.connection.execute("INSERT INTO sensors (sensor, used_ms) VALUES ('s', 1)")
    return writer.position


async def sensors(path: Path) -> int:
    with closing(driver.connect(path)) as connection:
        (number,) = connection.execute("SELECT count(*) FROM sensors").fetchone()
    return int(number)


async def test_it_comes_after_what_was_handed_over_before_it(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        first = log.commit(started(1))
        position = await log.carry_out(remember)
        assert first.done()
        assert position == 3
        assert await sensors(path) == 1


async def test_it_takes_turns_with_batches_that_do_not_end(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        work = [asyncio.create_task(log.carry_out(lambda writer: writer.position)) for _ in "123"]
        for id in range(1, 4):
            await log.commit(started(id))
        positions = await asyncio.gather(*work)
    assert positions == sorted(positions)
    assert positions[0] < 9


async def test_what_nobody_waits_for_any_more_is_done_all_the_same(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        task = asyncio.create_task(log.carry_out(remember))
        await asyncio.sleep(0)
        task.cancel()
        await log.commit(started(1))
    assert await sensors(path) == 1


async def test_all_that_was_handed_over_is_done_before_the_log_closes(path: Path) -> None:
    opened = connected(path, partial(open_for_writing, path, 100))
    async with opened as connection, GroupCommit.running(connection) as writing:
        tasks = [asyncio.create_task(writing.carry_out(lambda writer: 7)) for _ in "123"]
        await asyncio.sleep(0)
    assert await asyncio.gather(*tasks) == [7, 7, 7]
    with pytest.raises(LogUnavailable, match=r"log\.db is closed"):
        await writing.carry_out(remember)
    assert await sensors(path) == 0


async def test_a_disk_that_refuses_leaves_no_trace_and_the_log_goes_on(path: Path) -> None:
    async with SqliteEventLog.open(path, busy_timeout_ms=20) as log:
        await log.commit(started(1))
        with closing(driver.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LogUnavailable, match="database is locked"):
                await log.carry_out(remember)
        assert await sensors(path) == 0
        with pytest.raises(LogUnavailable, match="UNIQUE"):
            await log.carry_out(lambda writer: (remember(writer), remember(writer)))
        assert await sensors(path) == 0
        await log.commit(ended(1))
    audit = audit_database(path)
    assert (audit.position, audit.problem) == (4, None)


async def test_rows_of_the_chain_are_undone_with_the_rest(path: Path) -> None:
    def fail(writer: Writer) -> None:
        writer.add_removal(b"[]")
        writer.connection.execute("SELECT * FROM nowhere")

    async with SqliteEventLog.open(path) as log:
        await log.commit(started(1))
        with pytest.raises(LogUnavailable, match="nowhere"):
            await log.carry_out(fail)
        await log.commit(ended(1))
    audit = audit_database(path)
    assert (audit.position, audit.problem) == (4, None)


async def test_a_mistake_of_ours_ends_the_block_and_fails_what_waits(path: Path) -> None:
    waiting: list[asyncio.Task[object]] = []

    async def serve() -> None:
        async with SqliteEventLog.open(path) as log:
            waiting.append(asyncio.create_task(log.carry_out(lambda writer: [][0])))
            waiting.append(asyncio.create_task(log.carry_out(remember)))
            await asyncio.Event().wait()

    with pytest.raises(IndexError):
        await serve()
    assert [type(each.exception()) for each in waiting] == [LogUnavailable] * 2
    assert await sensors(path) == 0
