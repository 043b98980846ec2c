"""What becomes of transactions is told in their order, to each by itself."""

import asyncio
from pathlib import Path
from typing import Any

from eventmill.errors import DuplicateEvent
from eventmill.log.sqlite import SqliteEventLog
from tests.unit.log.logs import started


async def test_a_mistake_of_who_is_told_is_not_the_others(tmp_path: Path) -> None:
    told: list[Exception | None] = []
    mistakes: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))

    def stumble(_refused: Exception | None) -> None:
        raise ZeroDivisionError("a mistake")

    async with SqliteEventLog.open(tmp_path / "log.db") as log:
        log.submit(started(1), told.append)
        log.submit(started(2), stumble)
        log.submit(started(1), told.append)
        log.submit(started(3), told.append)
        assert told == []
        await log.commit(started(4))
    assert [type(each) for each in told] == [type(None), DuplicateEvent, type(None)]
    assert [str(each["exception"]) for each in mistakes] == ["a mistake"]


async def test_who_asks_for_a_closed_log_is_told_later(tmp_path: Path) -> None:
    async with SqliteEventLog.open(tmp_path / "log.db") as log:
        pass
    told: list[Exception | None] = []
    log.submit(started(1), told.append)
    assert told == []
    await asyncio.sleep(0)
    assert [str(each) for each in told] == [f"the log {tmp_path / 'log.db'} is closed"]
