"""What becomes of one message: its event, whatever is in it."""

import base64
import threading
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from eventmill.events import TriggerEvent
from eventmill.instant import format_instant
from eventmill.sensors.kafka.messages import Message, Messages
from tests.kafka.apache import ApacheBroker
from tests.kafka.conftest import Broker, new_topic
from tests.kafka.reading import Log, Producer, producing, reading

NOW_MS = 1_700_000_000_123
STRUCTURED = b"application/cloudevents+json"


async def test_an_event_tells_all_there_is_to_know_of_a_message(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    headers = [("kind", b"order"), ("kind", b"\xff"), ("none", b"")]
    await producer.send(topic, b'{"n": 1}', key=b"k", headers=headers, timestamp_ms=NOW_MS)

    async with reading(broker.address, log, topics=(topic,)) as run:
        (delivery,) = await log.has(1)

    event = delivery.event
    assert delivery.state == {f"{topic}/0": b"1"}
    assert event.envelope() == {
        "version": "0",
        "id": event.id,
        "detail-type": "Kafka Message Received",
        "source": "eventmill.kafka",
        "account": "000000000000",
        "time": "2023-11-14T22:13:20Z",
        "region": "local",
        "resources": [f"kafka:{topic}/0/0"],
        "detail": {
            "topic": topic,
            "partition": 0,
            "offset": 0,
            "timestamp": format_instant(NOW_MS),
            "timestamp-type": "CreateTime",
            "key": "k",
            "headers": {"kind": ["order", {"base64": "/w=="}], "none": [""]},
            "value": {"n": 1},
        },
    }
    assert run.sensor.name.startswith(f"kafka:{broker.address}#")
    assert event.id == str(uuid5(NAMESPACE_URL, f"{run.sensor.name}\n{topic}\n0\n0"))


@pytest.mark.parametrize(
    ("format_", "body", "value"),
    [
        ("json", b"[1, null]", [1, None]),
        ("json", b"null", None),
        ("json", b'\0\0\0\0\7{"a": 1}', {"a": 1}),
        ("text", "é".encode(), "é"),
        ("bytes", b"\0\xff", "AP8="),
    ],
)
async def test_a_value_is_read_by_its_format(
    broker: Broker, topic: str, producer: Producer, log: Log, format_: str, body: bytes, value: Any
) -> None:
    await producer.send(topic, body)

    async with reading(broker.address, log, topics=(topic,), value_format=format_):
        (delivery,) = await log.has(1)

    assert delivery.event.detail_type == "Kafka Message Received"
    assert delivery.event.detail["value"] == value


@pytest.mark.parametrize(
    ("format_", "key", "expected"),
    [
        ("text", b"k-1", "k-1"),
        ("text", b"\xff", {"base64": "/w=="}),
        ("json", b'{"id": 7}', {"id": 7}),
        ("bytes", b"\0", "AA=="),
        ("json", None, None),
    ],
)
async def test_a_key_is_read_by_its_format(
    broker: Broker,
    topic: str,
    producer: Producer,
    log: Log,
    format_: str,
    key: bytes | None,
    expected: Any,
) -> None:
    await producer.send(topic, b"1", key=key)

    async with reading(broker.address, log, topics=(topic,), key_format=format_):
        (delivery,) = await log.has(1)

    assert delivery.event.detail["key"] == expected


async def test_a_tombstone_is_no_null(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, None, b"null", key=b"k")

    async with reading(broker.address, log, topics=(topic,)):
        deliveries = await log.has(2)

    assert [(each.event.detail_type, each.event.detail["value"]) for each in deliveries] == [
        ("Kafka Tombstone Received", None),
        ("Kafka Message Received", None),
    ]


@pytest.mark.parametrize("levels", [200, 201, 996, 997, 100_000])
@pytest.mark.parametrize("headers", [[], [("ce_id", b"1")], [("content-type", STRUCTURED)]])
async def test_a_message_that_is_nested_too_deeply_is_rejected(
    broker: Broker,
    topic: str,
    producer: Producer,
    log: Log,
    levels: int,
    headers: list[tuple[str, bytes]],
) -> None:
    body = b"[" * levels + b"]" * levels
    if headers == [("ce_id", b"1")]:
        more = {"ce_source": b"s", "ce_type": b"t", "ce_specversion": b"1.0"}
        headers = [*headers, *more.items(), ("content-type", b"application/json")]
    elif headers:
        body = b'{"id":"1","source":"s","type":"t","specversion":"1.0","data":%b}' % body
    await producer.send(topic, body, headers=headers)
    await producer.send(topic, b'"next"')

    async with reading(broker.address, log, topics=(topic,)):
        first, _ = await log.has(2)

    assert (first.event.detail_type == "Kafka Message Rejected") is (levels > 200)


@pytest.mark.parametrize("body", [rb'"\ud800"', rb'{"a\udfff": 1}', b"1e400", b"NaN", b""])
async def test_json_that_cannot_be_kept_is_rejected(
    broker: Broker, topic: str, producer: Producer, log: Log, body: bytes
) -> None:
    await producer.send(topic, body, b'"next"')

    async with reading(broker.address, log, topics=(topic,)):
        kinds = [each.event.detail_type for each in await log.has(2)]

    assert kinds == ["Kafka Message Rejected", "Kafka Message Received"]


async def test_a_message_that_cannot_be_understood_says_so_and_nobody_waits_for_it(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    poison = b"{\xff" + b"x" * 70_000
    await producer.send(topic, b"1", poison, b"2", key=b"k", headers=[("h", b"v")])
    await producer.send(topic, b"3", key=b"{")

    async with reading(broker.address, log, topics=(topic,), key_format="text"):
        deliveries = await log.has(4)

    assert [each.event.detail.get("value", "rejected") for each in deliveries] == [
        1, "rejected", 2, 3
    ]  # fmt: skip
    rejected = deliveries[1].event
    assert rejected.detail_type == "Kafka Message Rejected"
    assert rejected.source == "eventmill.kafka"
    reason = str(rejected.detail.pop("reason"))
    assert reason.startswith("it is not JSON: ")
    assert rejected.detail == {
        "topic": topic,
        "partition": 0,
        "offset": 1,
        "timestamp": rejected.detail["timestamp"],
        "timestamp-type": "CreateTime",
        "key-base64": "aw==",
        "headers": {"h": ["v"]},
        "value-base64": base64.b64encode(poison[:65_536]).decode(),
        "value-bytes": 70_002,
        "truncated": True,
    }
    assert deliveries[-1].state == {f"{topic}/0": b"4"}


async def test_a_key_that_cannot_be_understood_rejects_its_message(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, b"1", key=b"{")

    async with reading(broker.address, log, topics=(topic,), key_format="json"):
        (delivery,) = await log.has(1)

    assert delivery.event.detail_type == "Kafka Message Rejected"
    assert str(delivery.event.detail["reason"]).startswith("the key: it is not JSON")


async def test_the_dead_letter_topic_gets_what_was_rejected_as_it_was(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    dead = await new_topic(broker, 1)
    await producer.send(topic, b"{", key=b"k", headers=[("h", b"v")])

    async with reading(broker.address, log, topics=(topic,), dead_letter_topic=dead):
        await log.has(1)
    letters = Log()
    async with reading(broker.address, letters, topics=(dead,), value_format="text"):
        (letter,) = await letters.has(1)

    assert (letter.event.detail["key"], letter.event.detail["value"]) == ("k", "{")
    headers = letter.event.detail["headers"]
    assert isinstance(headers, dict)
    assert headers.pop("eventmill-reason") == [log.deliveries[0].event.detail["reason"]]
    assert headers == {
        "h": ["v"],
        "eventmill-topic": [topic],
        "eventmill-partition": ["0"],
        "eventmill-offset": ["0"],
    }


async def test_a_dead_letter_that_nobody_takes_stops_nothing(
    real_broker: ApacheBroker,
    topic: str,
    producer: Producer,
    log: Log,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await producer.send(topic, b"{", b"1")
    # There is no such topic, and no broker makes one for this producer.
    missing = {"dead_letter_topic": f"{topic}-dead", "request_seconds": 0.5}

    async with reading(real_broker.address, log, topics=(topic,), **missing):
        await log.has(2)

    assert f"is only in the inbox, not in the DeadLetterTopic {topic}-dead" in caplog.text


async def test_the_same_message_gives_the_same_event_but_another_sensor_another(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, b"1", b"1")

    others = [Log(), Log()]
    async with reading(broker.address, log, topics=(topic,)):
        await log.has(2)
    async with reading(broker.address, others[0], topics=(topic,)):
        await others[0].has(2)
    async with reading(broker.address, others[1], topics=(topic,), given_name="other"):
        await others[1].has(2)

    first, again, other = ([each.event.id for each in one.deliveries] for one in (log, *others))
    assert first == again
    assert len({*first, *other}) == 4


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_is_understood(broker: Broker, topic: str, log: Log, codec: str) -> None:
    async with producing(broker.address, compression_type=codec, linger_ms=20) as producer:
        await producer.send_many(topic, [b'"%s"' % (b"x" * 500)] * 50, 1)

    async with reading(broker.address, log, topics=(topic,)):
        await log.has(50)

    assert log.values() == ["x" * 500] * 50


async def test_many_bytes_are_decoded_away_from_the_loop(
    broker: Broker, producer: Producer, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await new_topic(broker, 3)
    threads: list[str] = []

    class Spy(Messages):
        def event(self, message: Message, life: int) -> TriggerEvent:
            threads.append(threading.current_thread().name)
            return super().event(message, life)

    monkeypatch.setattr("eventmill.sensors.kafka.sensor.Messages", Spy)
    await producer.send(topic, b"1")
    async with reading(broker.address, log, topics=(topic,)):
        await log.has(1)
    for partition in range(3):
        await producer.send(topic, b'"%s"' % (b"x" * 600_000), partition=partition)
    async with reading(broker.address, log, topics=(topic,)):
        await log.has(4)

    assert threads[0] == "MainThread"
    assert "MainThread" not in threads[1:]
