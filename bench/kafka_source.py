"""What the benchmarks of Kafka share: a broker, topics with messages, and a server that reads them.

The broker is a real Apache Kafka where its jars are at hand (`make test-kafka` fetches them) and
EVENTMILL_TEST_KAFKA does not say `embedded`; else it is the one embedded in the tests. Broker,
producer and server share the processors.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaProducer

from bench.server import HOME, Server, serving
from eventmill.model import encode_json
from eventmill.ports import Executor, Transaction
from eventmill.record import record
from eventmill.runtime.router import Router
from eventmill.runtime.supervisor import Supervisor, Watch
from eventmill.sensors.kafka.sensor import KafkaSensor
from eventmill.triggers.kafka import KafkaSource
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import parse_trigger
from tests.kafka.apache import ApacheBroker, is_at_hand
from tests.kafka.embedded import EmbeddedBroker

PARTITIONS: Final = 3
# The embedded broker lets a request for messages wait so long, however many come meanwhile.
_FETCH_WAIT_MS: Final = {False: 5, True: 500}

_LOOK_SECONDS: Final = 0.01

Broker: TypeAlias = ApacheBroker | EmbeddedBroker


@record
class Reader:
    """A server and the sensor that it runs."""

    server: Server
    sensor: KafkaSensor


@asynccontextmanager
async def broker_in(folder: Path) -> AsyncIterator[Broker]:
    """A broker with its data in `folder`, gone after the block."""
    embedded = os.environ.get("EVENTMILL_TEST_KAFKA") == "embedded" or not is_at_hand()
    with TemporaryDirectory(dir=folder, prefix="kafka-") as data:
        broker = EmbeddedBroker() if embedded else await asyncio.to_thread(ApacheBroker, Path(data))
        try:
            yield broker
        finally:
            await asyncio.to_thread(broker.close)


async def fill(broker: Broker, topic: str, messages: int) -> None:
    """Make a topic with so many messages of about 200 bytes, in all partitions alike."""
    await broker.create_topic(topic, PARTITIONS)
    async with AIOKafkaProducer(
        bootstrap_servers=broker.address, linger_ms=20, max_batch_size=128 * 1024
    ) as producer:
        for number in range(messages):
            await producer.send(topic, message(number), partition=number % PARTITIONS)
        await producer.flush()


def message(number: int) -> bytes:
    """One message: a reading of a station."""
    return encode_json(
        {
            "number": number,
            "station": f"station-{number % 100:03}",
            "kind": "reading",
            "temperature": 12.5,
            "remark": "as every day, nothing that anybody would have to be told " * 2,
        }
    )


@asynccontextmanager
async def reading(
    folder: Path,
    broker: Broker,
    topic: str,
    executor: Executor,
    definition: Mapping[str, Any],
    pattern: Mapping[str, Sequence[Any]],
) -> AsyncIterator[Reader]:
    """A server with a sensor on the topic, which begins at once and at its beginning."""
    async with serving(folder, executor, definition) as server:
        trigger = parse_trigger("measured", _trigger(broker, topic, pattern))
        assert isinstance(trigger.source, KafkaSource)
        name = trigger.source.name

        async def remember(state: Mapping[str, bytes | None]) -> None:
            kept = {(name, key): value for key, value in state.items()}
            await server.log.commit(Transaction(sensor_state=kept))

        sensor = KafkaSensor(
            trigger.source,
            project=server.folder,
            home=HOME,
            clock=server.clock,
            remember=remember,
            fetch_wait_ms=_FETCH_WAIT_MS[broker.is_real],
        )
        router = Router(server.log, server.engine, server.catalog)
        supervisor = Supervisor(server.log, server.clock, router)
        watch = Watch(sensor=sensor, listeners=Listeners([trigger]))
        watching = asyncio.create_task(supervisor.keep(watch))
        try:
            yield Reader(server=server, sensor=sensor)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


def _trigger(broker: Broker, topic: str, pattern: Mapping[str, Any]) -> Any:
    return {
        "Source": {
            "Type": "kafka",
            "BootstrapServers": [broker.address],
            "Topics": [topic],
            "StartingPosition": "earliest",
        },
        "EventPattern": pattern,
        "Target": {"StateMachine": "measured", "InputPath": "$.detail"},
    }


async def until_read(reader: Reader, messages: int) -> None:
    """Return when all messages of the topic are durable events."""
    done = 0
    while done < messages:
        await asyncio.sleep(_LOOK_SECONDS)
        state = await reader.server.log.sensor_state(reader.sensor.name)
        done = sum(int(value) for key, value in state.items() if "/" in key)
