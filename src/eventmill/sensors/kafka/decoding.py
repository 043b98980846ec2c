"""The key and the value of a message as JSON, by the formats that its source names."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from eventmill.cloud_events import to_base64
from eventmill.model import Json, decode_json
from eventmill.sensors.kafka.avro import AvroSchema, UnreadableValue
from eventmill.sensors.kafka.connection import Connection
from eventmill.sensors.kafka.registry import SchemaRegistry, UnknownSchema
from eventmill.triggers.kafka import Format, KafkaSource

# Confluent's wire format: a zero, the schema's id in four bytes, the value.
_MAGIC: Final = b"\0"
_HEADER_BYTES: Final = 5


# Deeper values exhaust the stack of whoever works on them later: paths, queries, other services.
LEVELS_MAX: Final = 200


class Undecodable(ValueError):
    """Bytes are not what their format says; the message says why."""


class Decoder:
    """Reads one part of messages, the keys or the values."""

    def __init__(
        self,
        format_: Format,
        schema: AvroSchema | None,
        registry: SchemaRegistry | None,
        text: Callable[[bytes], Json] | None = None,
    ) -> None:
        """With a registry, Avro values name their schema; `schema` is then the reader's."""
        self._schema = schema
        self._registry = registry
        self._named = format_ == "avro" and registry is not None
        self._is_avro = format_ == "avro"
        self._decode: Callable[[bytes], Json] = {
            "json": _json,
            "avro": self._avro,
            "text": text or _text,
            "bytes": to_base64,
        }[format_]

    def decode(self, body: bytes) -> Json:
        """The value that these bytes stand for; its schema was prepared.

        Raises:
            Undecodable: They are not what the format says.
        """
        return self._decode(body)

    def may_be_deep(self, body: bytes | None) -> bool:
        """Whether what these bytes stand for may be nested deeper than `LEVELS_MAX`."""
        if body is None or len(body) <= LEVELS_MAX:
            return False  # each level takes a byte at least
        return self._is_avro or body.count(b"[") + body.count(b"{") > LEVELS_MAX

    async def prepare(self, bodies: Iterable[bytes | None]) -> None:
        """Have the schemas at hand that these values name.

        Raises:
            SensorError: The registry cannot be asked now.
        """
        if not self._named or self._registry is None:
            return
        ids = {_schema_id(body) for body in bodies if body is not None and _is_framed(body)}
        # One after the other: there are few, and each is asked for once.
        for id_ in ids:
            await self._registry.fetch(id_)

    def _avro(self, body: bytes) -> Json:
        try:
            if self._registry is None:
                assert self._schema is not None, "Avro without a registry has a schema"
                return self._schema.read(body)
            if not _is_framed(body):
                raise Undecodable("it does not begin with a zero and the id of an Avro schema")
            writer = self._registry.known(_schema_id(body))
            return writer.read(body[_HEADER_BYTES:], self._schema)
        except (UnreadableValue, UnknownSchema) as error:
            raise Undecodable(str(error)) from None


class Decoders:
    """Reads the messages of a source."""

    def __init__(self, value: Decoder, key: Decoder) -> None:
        self.value: Final = value
        self.key: Final = key

    @staticmethod
    async def open(source: KafkaSource, project: Path, connection: Connection) -> "Decoders":
        """Read the schema files that `source` names.

        Raises:
            SensorError: One of them cannot be used.
        """
        registry = None
        if source.registry is not None:
            registry = SchemaRegistry(
                source.registry.url,
                login=connection.registry_login,
                tls=connection.registry_tls,
                timeout_seconds=source.request_seconds,
            )
        value, key = await asyncio.to_thread(
            lambda: [
                AvroSchema.load(name, project) if name else None
                for name in (source.value_schema, source.key_schema)
            ]
        )
        return Decoders(
            Decoder(source.value_format, value, registry),
            # Keys that are only there to choose a partition are bytes of any kind.
            Decoder(source.key_format, key, registry, text=text_or_base64),
        )


def is_deep(value: Json) -> bool:
    """Whether a value is nested deeper than `LEVELS_MAX`."""
    level = [value]
    for _ in range(LEVELS_MAX):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def text_or_base64(body: bytes) -> Json:
    """Text as it is; what is none as `{"base64": …}`."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": to_base64(body)}


def _is_framed(body: bytes) -> bool:
    return len(body) >= _HEADER_BYTES and body.startswith(_MAGIC)


def _schema_id(body: bytes) -> int:
    return int.from_bytes(body[1:_HEADER_BYTES])


def _json(body: bytes) -> Json:
    # JSON never begins with a zero: such a message names a schema, and can be read without it.
    text = body[_HEADER_BYTES:] if _is_framed(body) else body
    try:
        return decode_json(text)
    except ValueError as error:
        raise Undecodable(f"it is not JSON: {error}") from None


def _text(body: bytes) -> Json:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"it is not UTF-8: byte {error.start}") from None
