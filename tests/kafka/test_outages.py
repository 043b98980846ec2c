"""Brokers that are not there, die, do not answer, and come back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eventmill.arn import Home
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.condition import RUNNING, SILENT, Condition
from eventmill.triggers.kafka import Sasl, Tls
from tests.kafka.conftest import Broker, is_real, new_topic
from tests.kafka.embedded import EmbeddedBroker
from tests.kafka.reading import PATIENCE_SECONDS, Log, producing, reading

# How soon a broker that does not answer is noticed.
HASTE = {"request_seconds": 0.5, "metadata_seconds": 0.2}


@asynccontextmanager
async def own_broker(broker: Broker) -> AsyncIterator[Broker]:
    """A broker that the test may break: the shared one if it is real, since it takes seconds."""
    own = broker if is_real() else EmbeddedBroker()
    try:
        yield own
    finally:
        if own is not broker:
            own.close()


async def test_no_broker_at_the_start_is_told(log: Log) -> None:
    async with reading("127.0.0.1:1", log, topics=("any",), **HASTE) as run:
        assert (await run.failed()).startswith(
            "SensorError: cannot read from 127.0.0.1:1: no broker can be reached: "
        )


async def test_a_broker_that_dies_is_told_and_nothing_is_lost_when_it_is_back(
    broker: Broker, log: Log
) -> None:
    async with own_broker(broker) as own:
        topic = await new_topic(own, 2)
        async with producing(own.address) as producer:
            await producer.send_many(topic, [b"%d" % number for number in range(20)], 2)
        async with reading(own.address, log, topics=(topic,), **HASTE) as run:
            await log.has(20)
            await own.down()
            assert (await run.failed()).startswith(f"SensorError: cannot read from {own.address}")
        async with reading(own.address, log, topics=(topic,), **HASTE) as run:
            assert "no broker can be reached: " in await run.failed()
        await own.up()
        async with producing(own.address) as producer:
            await producer.send_many(topic, [b"%d" % number for number in range(20, 30)], 2)
        async with reading(own.address, log, topics=(topic,), **HASTE):
            await log.has(30)

    assert sorted(log.values()) == list(range(30))
    assert log.repeated == 0


async def test_a_broker_that_does_not_answer_is_told_and_read_on_when_it_does(
    broker: Broker, log: Log
) -> None:
    async with own_broker(broker) as own:
        topic = await new_topic(own, 1)
        async with producing(own.address) as producer:
            await producer.send(topic, b"0")
        async with reading(own.address, log, topics=(topic,), **HASTE) as run:
            await log.has(1)
            await own.freeze()
            assert (await run.failed()).startswith(f"SensorError: cannot read from {own.address}")
        await own.thaw()
        async with producing(own.address) as producer:
            await producer.send(topic, b"1")
        async with reading(own.address, log, topics=(topic,), **HASTE):
            await log.has(2)

    assert (log.values(), log.repeated) == ([0, 1], 0)


async def test_a_short_outage_is_bridged_without_a_word(broker: Broker, log: Log) -> None:
    async with own_broker(broker) as own:
        topic = await new_topic(own, 1)
        async with producing(own.address) as producer:
            await producer.send(topic, b"0")
        async with reading(own.address, log, topics=(topic,), metadata_seconds=3_600) as run:
            await log.has(1)
            await own.down()
            await own.up()
            async with producing(own.address) as producer:
                await producer.send(topic, b"1")
            await log.has(2)
            assert not run.task.done()


async def test_a_password_that_is_missing_is_named(log: Log, tmp_path: Path) -> None:
    sasl = {"sasl": Sasl(mechanism="PLAIN", username="alice", password_from="KAFKA_PASSWORD")}
    async with reading("127.0.0.1:1", log, topics=("any",), project=tmp_path, **sasl) as run:
        assert await run.failed() == (
            "SensorError: the environment variable KAFKA_PASSWORD, which the source takes a "
            "password from, is not set"
        )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tls": Tls(ca_file="ca.pem")}, "the CaFile ca.pem cannot be used: "),
        ({"tls": Tls(certificate_file="c.pem")}, "the CertificateFile c.pem cannot be used: "),
        (
            {"value_format": "avro", "value_schema": "none.avsc"},
            "the schema {folder}/schemas/none.avsc cannot be read: No such file or directory",
        ),
        (
            {"value_format": "avro", "value_schema": "bad.avsc"},
            "{folder}/schemas/bad.avsc is no Avro schema: ",
        ),
    ],
)
async def test_a_file_that_cannot_be_used_is_named(
    log: Log, tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "bad.avsc").write_text('{"type": "nothing"}')

    async with reading("127.0.0.1:1", log, topics=("any",), project=tmp_path, **fields) as run:
        assert (await run.failed()).startswith(f"SensorError: {reason.format(folder=tmp_path)}")


async def test_an_idle_sensor_is_not_stuck_and_one_that_hangs_is(broker: Broker, log: Log) -> None:
    clock, topic = SystemClock(), await new_topic(broker, 1)
    async with reading(broker.address, log, topics=(topic,)) as run:
        await run.began()
        pulse = run.sensor.pulse
        condition = Condition(run.sensor, clock, Home(), lambda _: None)

        async def while_(holds: Callable[[], bool]) -> str:
            """The state of the sensor as soon as this holds no more."""
            async with asyncio.timeout(PATIENCE_SECONDS):
                while holds():
                    condition.watch(stuck_ms=500)
                    await asyncio.sleep(0.01)
            return condition.state

        begun = pulse.signs
        assert await while_(lambda: pulse.signs < begun + 2 and condition.state == RUNNING) == (
            RUNNING
        )
        log.open.clear()
        async with producing(broker.address) as producer:
            await producer.send(topic, b"0")
            await log.until(lambda: log.in_flight == 1)
            # These are read, and wait for those before.
            await producer.send(topic, b"1")
        assert await while_(lambda: condition.state == RUNNING) == SILENT
        log.open.set()
        await log.has(2)
        assert await while_(lambda: condition.state == SILENT) == RUNNING
        await run.stop()
        assert pulse.until_ms is None
