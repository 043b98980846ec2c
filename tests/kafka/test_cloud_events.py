"""CloudEvents over Kafka, binary and structured."""

from typing import Any

import pytest

from eventmill.model import encode_json
from tests.kafka.conftest import Broker
from tests.kafka.reading import Log, Producer, reading

HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e-1"),
    ("ce_source", b"/stations/7"),
    ("ce_type", b"com.example.reading"),
    ("ce_time", b"2026-01-02T03:04:05.678Z"),
]
STRUCTURED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/stations/7",
    "type": "com.example.reading",
    "time": "2026-01-02T03:04:05.678Z",
}


@pytest.mark.parametrize(
    ("headers", "body", "detail"),
    [
        (
            [*HEADERS, ("content-type", b"application/json; charset=utf-8"), ("ce_subject", b"s")],
            b'{"a": 1}',
            {
                "a": 1,
                "cloudevent": {
                    "subject": "s",
                    "datacontenttype": "application/json; charset=utf-8",
                    "partitionkey": "k",
                },
            },
        ),
        (HEADERS, b'{"a": 1}', {"a": 1, "cloudevent": {"partitionkey": "k"}}),
        (
            [*HEADERS, ("content-type", b"image/png")],
            b"\0\xff",
            {
                "data_base64": "AP8=",
                "cloudevent": {"datacontenttype": "image/png", "partitionkey": "k"},
            },
        ),
        (
            [("Content-Type", b"application/cloudevents+json; charset=utf-8")],
            encode_json({**STRUCTURED, "data": [1], "traceid": "t"}),
            {"data": [1], "cloudevent": {"traceid": "t", "partitionkey": "k"}},
        ),
        (HEADERS, None, {"cloudevent": {"partitionkey": "k"}}),
    ],
)
async def test_a_cloud_event_keeps_who_it_is(
    broker: Broker,
    topic: str,
    producer: Producer,
    log: Log,
    headers: list[tuple[str, bytes]],
    body: bytes | None,
    detail: Any,
) -> None:
    await producer.send(topic, body, key=b"k", headers=headers)

    async with reading(broker.address, log, topics=(topic,)):
        (delivery,) = await log.has(1)

    assert delivery.event.envelope() == {
        "version": "0",
        "id": "e-1",
        "detail-type": "com.example.reading",
        "source": "/stations/7",
        "account": "000000000000",
        "time": "2026-01-02T03:04:05Z",
        "region": "local",
        "resources": [f"kafka:{topic}/0/0"],
        "detail": detail,
    }


async def test_the_same_cloud_event_in_two_messages_is_one_event(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, b"1", b"1", headers=HEADERS)
    await producer.send(topic, b"2")

    async with reading(broker.address, log, topics=(topic,)):
        await log.has(2)

    assert log.repeated == 1
    assert log.state[f"{topic}/0"] == b"3"


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ([*HEADERS[:3]], b"1", "the attribute type must be a text that is not empty"),
        ([("ce_specversion", b"0.3"), *HEADERS[1:]], b"1", "specversion must be 1.0, not '0.3'"),
        ([*HEADERS[:4], ("ce_time", b"now")], b"1", "the attribute time: 'NOW' is not a date"),
        ([*HEADERS, ("ce_subject", b"\xff")], b"1", "an attribute is not UTF-8: byte 0"),
        ([*HEADERS, ("content-type", b"application/json")], b"{", "data is not application/json"),
        ([("content-type", b"application/cloudevents+json")], b"{", "it is no structured Cloud"),
        ([("content-type", b"application/cloudevents+json")], b"[]", "it is no structured Cloud"),
        ([("content-type", b"application/cloudevents+json")], None, "it is no structured Cloud"),
    ],
)
async def test_what_only_looks_like_a_cloud_event_is_rejected(
    broker: Broker,
    topic: str,
    producer: Producer,
    log: Log,
    headers: list[tuple[str, bytes]],
    body: bytes | None,
    reason: str,
) -> None:
    await producer.send(topic, body, key=b"k", headers=headers)

    async with reading(broker.address, log, topics=(topic,)):
        (delivery,) = await log.has(1)

    assert delivery.event.detail_type == "Kafka Message Rejected"
    assert str(delivery.event.detail["reason"]).startswith(reason)


async def test_without_cloud_events_they_are_messages_like_others(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, b'{"a": 1}', headers=HEADERS)

    async with reading(broker.address, log, topics=(topic,), cloud_events=False):
        (delivery,) = await log.has(1)

    assert delivery.event.source == "eventmill.kafka"
    assert delivery.event.detail["value"] == {"a": 1}
