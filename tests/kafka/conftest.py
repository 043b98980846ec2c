"""Brokers for the tests: embedded, or real with EVENTMILL_TEST_KAFKA=real."""

import os
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import TypeAlias

import pytest
import pytest_asyncio

from tests.kafka.apache import ApacheBroker
from tests.kafka.embedded import EmbeddedBroker
from tests.kafka.reading import Log, Producer, producing

Broker: TypeAlias = EmbeddedBroker | ApacheBroker

_numbers = count()


def is_real() -> bool:
    choice = os.environ.get("EVENTMILL_TEST_KAFKA", "embedded")
    assert choice in ("embedded", "real"), "EVENTMILL_TEST_KAFKA is embedded or real"
    return choice == "real"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = "takes a real broker: make test-kafka"
    for item in items:
        assert isinstance(item, pytest.Function)
        if "real_broker" in item.fixturenames and not is_real():
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker that the tests share, each with topics of its own."""
    running: Broker = (
        ApacheBroker(tmp_path_factory.mktemp("kafka")) if is_real() else EmbeddedBroker()
    )
    yield running
    running.close()


@pytest.fixture
def real_broker(broker: Broker) -> ApacheBroker:
    """The broker, in tests of what only a real one can do."""
    assert isinstance(broker, ApacheBroker)
    return broker


@pytest_asyncio.fixture
async def topic(broker: Broker) -> str:
    """A topic with one partition that nobody else knows."""
    return await new_topic(broker, 1)


async def new_topic(broker: Broker, partitions: int, **configs: str) -> str:
    name = f"topic-{os.getpid()}-{next(_numbers)}"
    await broker.create_topic(name, partitions, **configs)
    return name


@pytest_asyncio.fixture
async def producer(broker: Broker) -> AsyncIterator[Producer]:
    async with producing(broker.address) as running:
        yield running


@pytest.fixture
async def log() -> Log:
    return Log()
