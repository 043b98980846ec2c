"""A Kafka message as a trigger event, whatever is in it."""

from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Final, Protocol
from uuid import NAMESPACE_URL

from eventmill.arn import Home
from eventmill.cloud_events import (
    STRUCTURED,
    CloudEvent,
    InvalidCloudEvent,
    parse_binary,
    parse_structured,
    to_base64,
)
from eventmill.events import TriggerEvent
from eventmill.instant import format_instant
from eventmill.model import Json, decode_json
from eventmill.sensors.kafka.decoding import (
    LEVELS_MAX,
    Decoders,
    Undecodable,
    is_deep,
    text_or_base64,
)

SOURCE: Final = "eventmill.kafka"
RECEIVED: Final = "Kafka Message Received"
TOMBSTONE: Final = "Kafka Tombstone Received"
REJECTED: Final = "Kafka Message Rejected"
RESET: Final = "Kafka Offsets Reset"

# How much of a message that cannot be understood is kept with the reason.
REJECTED_BYTES_MAX: Final = 64 * 1024

_CE: Final = "ce_"
# The last millisecond that RFC 3339 can express.
_TIMESTAMP_MS_MAX: Final = 253_402_300_799_999
_TIMESTAMP_TYPES: Final = {0: "CreateTime", 1: "LogAppendTime"}


class Message(Protocol):
    """What is read of a message; aiokafka's ConsumerRecord has it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Messages:
    """Turns the messages of one sensor into trigger events."""

    def __init__(
        self,
        sensor: str,
        decoders: Decoders,
        home: Home,
        now_ms: Callable[[], int],
        *,
        cloud_events: bool,
    ) -> None:
        """Ids of events follow from `sensor`, so that no two sensors give the same."""
        self._hash = sha1(NAMESPACE_URL.bytes + f"{sensor}\n".encode(), usedforsecurity=False)
        self._decoders = decoders
        self._home = home
        self._now_ms = now_ms
        self._cloud_events = cloud_events

    async def prepare(self, messages: Sequence[Message]) -> None:
        """Have at hand what `event` needs for these.

        Raises:
            SensorError: The schema registry cannot be asked now.
        """
        await self._decoders.value.prepare(each.value for each in messages)
        await self._decoders.key.prepare(each.key for each in messages)

    def event(self, message: Message, life: int) -> TriggerEvent:
        """The event of a message; `life` counts how often the offsets of its partition began anew.

        The same message gives the same id. One that cannot be understood gives an event that says
        so, with what it was.
        """
        try:
            if self._cloud_events and (event := self._cloud_event(message)) is not None:
                self._require_shallow(message, event.data)
                if isinstance(key := text_or_base64(message.key or b""), str) and key:
                    event.others.setdefault("partitionkey", key)
                return event.to_trigger_event(
                    account=self._home.account,
                    region=self._home.region,
                    now_ms=self._at_ms(message.timestamp),
                    resources=(_resource(message),),
                )
            detail = self._detail(message)
            self._require_shallow(message, detail["key"], detail["value"])
        except (Undecodable, InvalidCloudEvent) as error:
            return self._event(message, life, REJECTED, _rejected(message, str(error)))
        kind = TOMBSTONE if message.value is None else RECEIVED
        return self._event(message, life, kind, detail)

    def reset(self, topic: str, partition: int, life: int, detail: dict[str, Json]) -> TriggerEvent:
        """The event that tells that the next message is not the one that was expected."""
        at = f"{life}:{detail['expected-offset']}:{detail['next-offset']}"
        return TriggerEvent(
            id=self._id(f"{topic}\n{partition}\nreset {at}"),
            source=SOURCE,
            detail_type=RESET,
            at_ms=self._now_ms(),
            account=self._home.account,
            region=self._home.region,
            resources=(f"kafka:{topic}/{partition}",),
            detail={"topic": topic, "partition": partition, **detail},
        )

    def _id(self, name: str) -> str:
        """What `uuid5` gives in the namespace of URLs, of the sensor and this name, in less time.

        Source: RFC 9562, section 5.5.
        """
        hash_ = self._hash.copy()
        hash_.update(name.encode())
        text = hash_.hexdigest()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"

    def _detail(self, message: Message) -> dict[str, Json]:
        key, value = message.key, message.value
        return {
            **_position(message),
            "key": None if key is None else self._key(key),
            "headers": _headers(message),
            "value": None if value is None else self._decoders.value.decode(value),
        }

    def _require_shallow(self, message: Message, *found: Json) -> None:
        may_be = self._decoders.value.may_be_deep(message.value)
        if (may_be or self._decoders.key.may_be_deep(message.key)) and any(map(is_deep, found)):
            raise Undecodable(f"it is nested deeper than {LEVELS_MAX} levels")

    def _key(self, key: bytes) -> Json:
        try:
            return self._decoders.key.decode(key)
        except Undecodable as error:
            raise Undecodable(f"the key: {error}") from None

    def _event(
        self, message: Message, life: int, kind: str, detail: dict[str, Json]
    ) -> TriggerEvent:
        lives = f"\n{life}" if life else ""
        name = f"{message.topic}\n{message.partition}\n{message.offset}{lives}"
        return TriggerEvent(
            id=self._id(name),
            source=SOURCE,
            detail_type=kind,
            at_ms=self._at_ms(message.timestamp),
            account=self._home.account,
            region=self._home.region,
            resources=(_resource(message),),
            detail=detail,
        )

    def _at_ms(self, timestamp_ms: int) -> int:
        """When a message was sent, or now when nobody has said so."""
        return timestamp_ms if 0 <= timestamp_ms <= _TIMESTAMP_MS_MAX else self._now_ms()

    def _cloud_event(self, message: Message) -> CloudEvent | None:
        """The CloudEvent in a message, if it says that it has one.

        Source: Kafka Protocol Binding for CloudEvents 1.0.2.
        """
        headers = {name.lower(): value for name, value in message.headers if value is not None}
        content_type = headers.get("content-type", b"").decode(errors="replace")
        if content_type.strip().lower().startswith(STRUCTURED):
            try:
                return parse_structured(decode_json(message.value or b""))
            except ValueError as error:
                raise InvalidCloudEvent(f"it is no structured CloudEvent: {error}") from None
        if f"{_CE}specversion" not in headers:
            return None
        try:
            attributes = {
                name.removeprefix(_CE): value.decode()
                for name, value in headers.items()
                if name.startswith(_CE)
            }
        except UnicodeDecodeError as error:
            raise InvalidCloudEvent(f"an attribute is not UTF-8: byte {error.start}") from None
        decode = None if content_type else self._decoders.value.decode
        if "avro" in content_type.lower():
            decode = self._decoders.value.decode
        if message.value is None:
            return parse_binary(attributes, "", b"null", decode_json)
        return parse_binary(attributes, content_type, message.value, decode)


def _resource(message: Message) -> str:
    return f"kafka:{message.topic}/{message.partition}/{message.offset}"


def _position(message: Message) -> dict[str, Json]:
    timestamp = message.timestamp
    return {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp": format_instant(timestamp) if 0 <= timestamp <= _TIMESTAMP_MS_MAX else None,
        "timestamp-type": _TIMESTAMP_TYPES.get(message.timestamp_type),
    }


def _headers(message: Message) -> dict[str, Json]:
    """Names to the values given under them, in order: a name may come more than once."""
    headers: dict[str, list[Json]] = {}
    for name, value in message.headers:
        headers.setdefault(name, []).append(None if value is None else text_or_base64(value))
    return {**headers}


def _rejected(message: Message, reason: str) -> dict[str, Json]:
    value, key = message.value or b"", message.key
    return {
        **_position(message),
        "reason": reason,
        "key-base64": None if key is None else to_base64(key[:REJECTED_BYTES_MAX]),
        "headers": _headers(message),
        "value-base64": to_base64(value[:REJECTED_BYTES_MAX]),
        "value-bytes": len(value),
        "truncated": len(value) > REJECTED_BYTES_MAX,
    }
