"""The adapters that the suites of the ports run on."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventmill.log.memory import MemoryEventLog
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import (
    EventLog,
)
from tests.conformance.event_logs import Open
from tests.conformance.object_stores import S3World, s3_server


@pytest.fixture(params=["memory", "sqlite"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same log each time, as a server does that is started again."""
    if request.param == "sqlite":
        return lambda: SqliteEventLog.open(tmp_path / "eventmill.db")
    memory = MemoryEventLog()

    @asynccontextmanager
    async def open_memory() -> AsyncIterator[EventLog]:
        yield memory

    return open_memory


@pytest.fixture
async def log(open_log: Open) -> AsyncIterator[EventLog]:
    async with open_log() as opened:
        yield opened


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """A server that speaks AWS's protocols, one for all tests."""
    with s3_server() as url:
        yield url


@pytest.fixture
def s3(endpoint: str) -> Iterator[S3World]:
    """The buckets of that server; after the test it has forgotten everything."""
    world = S3World(endpoint)
    yield world
    world.close()
