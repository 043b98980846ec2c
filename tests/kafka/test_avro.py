"""Avro: schemas of the project, and those of a registry, which is a real HTTP server here."""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from eventmill.errors import SensorError
from eventmill.sensors.kafka.avro import AvroSchema, InvalidSchema, UnreadableValue
from eventmill.sensors.kafka.registry import SchemaRegistry, UnknownSchema
from eventmill.triggers.kafka import Registry
from tests.kafka.certificates import write_certificates
from tests.kafka.conftest import Broker
from tests.kafka.reading import Log, Producer, reading

READING = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "station", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {
            "name": "price",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
        },
        {"name": "raw", "type": "bytes"},
        {"name": "temperature", "type": ["null", "double"]},
    ],
}
VALUE = {
    "station": "é",
    "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    "price": Decimal("12.50"),
    "raw": b"\0\xff",
    "temperature": float("nan"),
}
PLAIN = {
    "station": "é",
    "at": "2026-01-02T03:04:05Z",
    "price": "12.50",
    "raw": "AP8=",
    "temperature": None,
}


def encoded(schema: Any, value: Any, id_: int | None = None) -> bytes:
    stream = BytesIO()
    schemaless_writer(stream, parse_schema(schema), value)
    return (b"" if id_ is None else b"\0" + id_.to_bytes(4)) + stream.getvalue()


class Registered:
    """A schema registry: what it answers, and what it was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        self.logins: list[str | None] = []
        self.open = threading.Event()
        self.open.set()
        registered = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registered.asked.append(self.path)
                registered.logins.append(self.headers["Authorization"])
                registered.open.wait(20)
                status, answer = registered.answers.get(self.path, (404, {}))
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def has(self, id_: int, schema: Any, **more: Any) -> None:
        self.answers[f"/schemas/ids/{id_}"] = (200, {"schema": json.dumps(schema), **more})

    def close(self) -> None:
        self.open.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def registered() -> Iterator[Registered]:
    registry = Registered()
    yield registry
    registry.close()


def test_a_value_becomes_json() -> None:
    assert AvroSchema.parse(READING).read(encoded(READING, VALUE)) == PLAIN


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_value_that_was_cut_is_unreadable(cut: int) -> None:
    with pytest.raises(UnreadableValue, match="does not fit its Avro schema"):
        AvroSchema.parse(READING).read(encoded(READING, VALUE)[:-cut])


def test_bytes_behind_a_value_are_not_passed_over() -> None:
    with pytest.raises(UnreadableValue, match="2 bytes are left"):
        AvroSchema.parse(READING).read(encoded(READING, VALUE) + b"ab")


@pytest.mark.parametrize("schema", [{"type": "nothing"}, 5, {"type": "record"}, None])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidSchema):
        AvroSchema.parse(schema)


async def test_messages_by_a_schema_of_the_project(
    broker: Broker, topic: str, producer: Producer, log: Log, tmp_path: Path
) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "reading.avsc").write_text(json.dumps(READING))
    await producer.send(topic, encoded(READING, VALUE), b"\xff\xff", encoded(READING, VALUE))

    fields = {"value_format": "avro", "value_schema": "reading.avsc"}
    async with reading(broker.address, log, topics=(topic,), project=tmp_path, **fields):
        first, poison, last = await log.has(3)

    assert first.event.detail["value"] == last.event.detail["value"] == PLAIN
    assert poison.event.detail_type == "Kafka Message Rejected"


async def test_messages_that_name_their_schema_in_a_registry(
    broker: Broker, topic: str, producer: Producer, log: Log, registered: Registered
) -> None:
    registered.has(7, READING)
    registered.has(8, {"type": "string"})
    registered.has(9, {}, schemaType="PROTOBUF")
    body = encoded(READING, VALUE, 7)
    for value in (body, b"\0\0", encoded(READING, VALUE, 10), encoded("string", "x", 9), body):
        await producer.send(topic, value, key=encoded("string", "k", 8))

    fields = {
        "value_format": "avro",
        "key_format": "avro",
        "registry": Registry(url=registered.url),
    }
    async with reading(broker.address, log, topics=(topic,), **fields):
        deliveries = await log.has(5)

    details = [each.event.detail for each in deliveries]
    assert details[0]["value"] == details[4]["value"] == PLAIN
    assert details[0]["key"] == "k"
    assert [each["reason"] for each in details[1:4]] == [
        "it does not begin with a zero and the id of an Avro schema",
        "the registry has no /schemas/ids/10",
        "schema 9 of the registry is PROTOBUF, not Avro",
    ]
    assert sorted(registered.asked) == [f"/schemas/ids/{each}" for each in (10, 7, 8, 9)]


async def test_the_projects_schema_is_the_readers_of_what_a_registry_names(
    broker: Broker,
    topic: str,
    producer: Producer,
    log: Log,
    registered: Registered,
    tmp_path: Path,
) -> None:
    older = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
    newer = json.loads(json.dumps(older))
    newer["fields"].append({"name": "b", "type": "string", "default": "none"})
    registered.has(1, older)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "r.avsc").write_text(json.dumps(newer))
    await producer.send(topic, encoded(older, {"a": 5}, 1))

    fields = {
        "value_format": "avro",
        "value_schema": "r.avsc",
        "registry": Registry(url=registered.url),
    }
    async with reading(broker.address, log, topics=(topic,), project=tmp_path, **fields):
        (delivery,) = await log.has(1)

    assert delivery.event.detail["value"] == {"a": 5, "b": "none"}


async def test_a_registry_that_cannot_be_asked_rejects_nothing(
    broker: Broker, topic: str, producer: Producer, log: Log, registered: Registered
) -> None:
    registered.answers["/schemas/ids/7"] = (503, {})
    await producer.send(topic, encoded(READING, VALUE, 7))
    fields = {"value_format": "avro", "registry": Registry(url=registered.url)}

    async with reading(broker.address, log, topics=(topic,), **fields) as run:
        assert await run.failed() == (
            "SensorError: the schema registry answers 503 Service Unavailable to "
            f"{registered.url}/schemas/ids/7"
        )
    registered.has(7, READING)
    async with reading(broker.address, log, topics=(topic,), **fields):
        (delivery,) = await log.has(1)

    assert delivery.event.detail["value"] == PLAIN


async def test_many_who_want_a_schema_ask_once(registered: Registered) -> None:
    registered.has(7, READING)
    registered.open.clear()
    registry = SchemaRegistry(registered.url)

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(registry.fetch(7))
        await asyncio.to_thread(registered.open.set)
    await registry.fetch(7)

    assert registered.asked == ["/schemas/ids/7"]
    assert registry.known(7).read(encoded(READING, VALUE)) == PLAIN


async def test_a_schema_that_was_not_there_is_asked_for_again(registered: Registered) -> None:
    registry = SchemaRegistry(registered.url)
    await registry.fetch(7)
    with pytest.raises(UnknownSchema):
        registry.known(7)
    registered.has(7, "string")
    await registry.fetch(7)

    assert registry.known(7).read(b"\2a") == "a"


async def test_what_a_schema_refers_to_is_fetched_too(registered: Registered) -> None:
    inner = {"type": "enum", "name": "x.Kind", "symbols": ["A", "B"]}
    middle = {
        "type": "record",
        "name": "x.Middle",
        "fields": [{"name": "kind", "type": "x.Kind"}],
    }
    outer = {
        "type": "record",
        "name": "x.Outer",
        "fields": [{"name": "middle", "type": "x.Middle"}, {"name": "kind", "type": "x.Kind"}],
    }
    to_inner = {"name": "x.Kind", "subject": "kind/a", "version": 2}
    to_middle = {"name": "x.Middle", "subject": "middle", "version": 1}
    registered.has(1, outer, references=[to_middle, to_inner])
    registered.answers["/subjects/middle/versions/1"] = (
        200,
        {"schema": json.dumps(middle), "references": [to_inner]},
    )
    registered.answers["/subjects/kind%2Fa/versions/2"] = (200, {"schema": json.dumps(inner)})
    registry = SchemaRegistry(registered.url)

    await registry.fetch(1)

    assert registry.known(1).read(b"\2\0") == {"middle": {"kind": "B"}, "kind": "A"}


async def test_a_login_is_sent(registered: Registered) -> None:
    await SchemaRegistry(registered.url, login=("alice", "ü:x")).fetch(1)

    assert registered.logins == [f"Basic {base64.b64encode('alice:ü:x'.encode()).decode()}"]


async def test_a_registry_behind_tls(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    registered = Registered(context)
    registered.has(1, "string")
    try:
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        registry = SchemaRegistry(registered.url, tls=trusting)
        await registry.fetch(1)
        assert registry.known(1).read(b"\2a") == "a"
        with pytest.raises(SensorError, match="certificate verify failed"):
            await SchemaRegistry(registered.url, tls=ssl.create_default_context()).fetch(1)
    finally:
        registered.close()


@pytest.mark.parametrize("answer", [b"no JSON", [1], {"schema": 5}, {"schema": '{"type": "no"}'}])
async def test_an_answer_that_makes_no_sense_is_no_schema(
    registered: Registered, answer: Any
) -> None:
    registered.answers["/schemas/ids/1"] = (200, answer)
    registry = SchemaRegistry(registered.url)

    if isinstance(answer, dict):
        await registry.fetch(1)
        with pytest.raises(UnknownSchema, match="schema 1 of the registry cannot be used"):
            registry.known(1)
    else:
        with pytest.raises(SensorError, match="the schema registry"):
            await registry.fetch(1)


async def test_nobody_at_the_address_of_the_registry() -> None:
    with pytest.raises(SensorError, match="the schema registry cannot be asked"):
        await SchemaRegistry("http://127.0.0.1:1").fetch(1)
