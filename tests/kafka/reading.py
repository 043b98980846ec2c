"""A Kafka sensor that runs in a test, with a log in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from eventmill.arn import Home
from eventmill.errors import EventmillError, LogUnavailable
from eventmill.ports import Delivery
from eventmill.runtime.clock import SystemClock
from eventmill.sensors.kafka.sensor import KafkaSensor
from eventmill.triggers.kafka import KafkaSource

PATIENCE_SECONDS: Final = 40

# The embedded broker lets a request for messages wait so long, however many come meanwhile.
FETCH_WAIT_MS: Final = 10


class Log:
    """Takes deliveries as the event log does: an event once, with its state or not at all."""

    def __init__(self, state: Mapping[str, bytes] | None = None) -> None:
        self.state = dict(state or {})
        self.deliveries: list[Delivery] = []
        self.repeated = 0  # how many came that were there already
        self.in_flight = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False
        self._seen: set[tuple[str, str]] = set()
        self._changed = asyncio.Event()

    async def publish(self, deliveries: Sequence[Delivery]) -> None:
        self.in_flight += len(deliveries)
        self._changed.set()
        await self.open.wait()
        self.in_flight -= len(deliveries)
        if self.fails:
            raise LogUnavailable("the disk is full")
        for delivery in deliveries:
            event = delivery.event
            if (event.source, event.id) in self._seen:
                self.repeated += 1
            else:
                self._seen.add((event.source, event.id))
                self.deliveries.append(delivery)
            await self.remember(delivery.state)

    async def remember(self, state: Mapping[str, bytes | None]) -> None:
        if self.fails:
            raise LogUnavailable("the disk is full")
        for key, value in state.items():
            assert value is not None
            self.state[key] = value
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def has(self, events: int) -> list[Delivery]:
        """All that was told, once that is so much."""
        await self.until(lambda: len(self.deliveries) >= events)
        assert len(self.deliveries) == events
        return self.deliveries

    def values(self) -> list[Any]:
        return [each.event.detail["value"] for each in self.deliveries]


class Run:
    """A running sensor, and what its run failed with."""

    def __init__(self, sensor: KafkaSensor, log: Log) -> None:
        self.sensor, self.log = sensor, log
        self.task = asyncio.create_task(sensor.run(log.publish, dict(log.state)))
        self.task.add_done_callback(lambda _: log._changed.set())

    async def began(self) -> "Run":
        """Wait until it knows where it begins."""
        await self.log.until(lambda: "began" in self.log.state or self.task.done())
        if self.task.done():
            self.task.result()
        return self

    async def failed(self) -> str:
        """What the run failed with, once it has."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait({self.task})
        error = self.task.exception()
        assert isinstance(error, EventmillError), repr(error)
        return f"{type(error).__name__}: {error}"

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


@asynccontextmanager
async def reading(address: str, log: Log, **source: Any) -> AsyncIterator[Run]:
    """A sensor on the broker at `address`.

    What it is given more are its `project`, its `environment`, and fields of its source.
    """
    project = source.pop("project", Path("/nowhere"))
    environment = source.pop("environment", {})
    sensor = KafkaSensor(
        KafkaSource(
            bootstrap_servers=(address,),
            **{"metadata_seconds": 0.2, "starting_position": "earliest", **source},
        ),
        project=project,
        home=Home(),
        clock=SystemClock(),
        remember=log.remember,
        environment=environment,
        fetch_wait_ms=FETCH_WAIT_MS,
    )
    run = Run(sensor, log)
    try:
        yield run
    finally:
        await run.stop()


class Producer:
    """Writes messages one by one, each durable before the next."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self.transactions: Any = producer

    async def send(self, topic: str, *values: bytes | None, **more: Any) -> None:
        """Write `values` to partition 0, or to `partition`."""
        for value in values:
            await self._producer.send_and_wait(topic, value, **{"partition": 0, **more})

    async def send_many(self, topic: str, values: list[bytes], partitions: int) -> None:
        """Write many at once, to partitions in turn."""
        sent = [
            await self._producer.send(topic, value, partition=number % partitions)
            for number, value in enumerate(values)
        ]
        await asyncio.gather(*sent)


@asynccontextmanager
async def producing(address: str, **settings: Any) -> AsyncIterator[Producer]:
    """A producer on the broker at `address`."""
    async with AIOKafkaProducer(bootstrap_servers=address, **settings) as producer:
        yield Producer(producer)


def at(topic: str, partition: int = 0) -> TopicPartition:
    return TopicPartition(topic, partition)


async def committed(address: str, group: str, topic: str, partition: int = 0) -> int | None:
    """How far a consumer group is in a partition."""
    async with AIOKafkaConsumer(
        bootstrap_servers=address, group_id=group, enable_auto_commit=False
    ) as consumer:
        offset: int | None = await consumer.committed(at(topic, partition))
        return offset


async def commit(address: str, group: str, offsets: dict[TopicPartition, int]) -> None:
    """Commit offsets to a consumer group that has no members."""
    async with AIOKafkaConsumer(
        bootstrap_servers=address, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
