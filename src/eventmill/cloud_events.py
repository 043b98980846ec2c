"""CloudEvents 1.0, read into trigger events and written from them.

A trigger event has EventBridge's envelope, so `id` and `source` stay what they are, `type` becomes
`detail-type`, `time` becomes `time`, and data that is a JSON object becomes `detail`. Attributes
that the envelope has no place for stand in `detail.cloudevent`; data that is no object, or has a
member of that name itself, stands in `detail.data`, and bytes stand in `detail.data_base64`.

Source: CloudEvents specification 1.0.2, with its JSON event format.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from eventmill.events import TriggerEvent
from eventmill.instant import format_instant, parse_instant
from eventmill.model import Json, decode_json
from eventmill.record import record

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

_NAME: Final = re.compile(r"[a-z0-9]+")
_DATA: Final = ("data", "data_base64")
# What the envelope has a place for.
_PLACED: Final = frozenset({"specversion", "id", "source", "type", "time"})


class InvalidCloudEvent(ValueError):
    """What was received is no CloudEvent; the message says why."""


@record
class CloudEvent:
    """An event with its context attributes; `others` are those that the envelope does not have.

    `data` is None when there is none, and a `null` in JSON counts as none. Data that is neither
    JSON nor text is in `data_base64` instead.
    """

    id: str
    source: str
    type: str
    at_ms: int | None
    others: dict[str, Json]
    data: Json = None
    data_base64: str | None = None

    def to_trigger_event(
        self, *, account: str, region: str, now_ms: int, resources: Sequence[str] = ()
    ) -> TriggerEvent:
        """The event on the bus; one without a time gets `now_ms`."""
        return TriggerEvent(
            id=self.id,
            source=self.source,
            detail_type=self.type,
            at_ms=now_ms if self.at_ms is None else self.at_ms,
            account=account,
            region=region,
            resources=tuple(resources),
            detail=self._detail(),
        )

    def _detail(self) -> dict[str, Json]:
        attributes: dict[str, Json] = {"cloudevent": self.others} if self.others else {}
        if self.data_base64 is not None:
            return {"data_base64": self.data_base64, **attributes}
        data = {} if self.data is None else self.data
        if isinstance(data, dict) and "cloudevent" not in data:
            return {**data, **attributes}
        return {"data": data, **attributes}


def parse_structured(value: Json) -> CloudEvent:
    """Read an event that stands, with its attributes, in one JSON object.

    Raises:
        InvalidCloudEvent: It is none.
    """
    if not isinstance(value, dict):
        raise InvalidCloudEvent("a CloudEvent is a JSON object")
    attributes = {name: each for name, each in value.items() if name not in _DATA}
    if "data_base64" not in value:
        return _event(attributes, value.get("data"))
    encoded = value["data_base64"]
    if "data" in value:
        raise InvalidCloudEvent("a CloudEvent has data or data_base64, not both")
    if not isinstance(encoded, str):
        raise InvalidCloudEvent("data_base64 must be a string")
    try:
        body = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise InvalidCloudEvent(f"data_base64 is not base64: {error}") from None
    return _with_body(attributes, str(attributes.get("datacontenttype") or ""), body, None)


def parse_batch(value: Json) -> list[CloudEvent]:
    """Read the events of a batch: a JSON array of structured events.

    Raises:
        InvalidCloudEvent: It is no batch, or one of them is no CloudEvent; its index is told.
    """
    if not isinstance(value, list):
        raise InvalidCloudEvent("a batch of CloudEvents is a JSON array")
    events = []
    for index, each in enumerate(value):
        try:
            events.append(parse_structured(each))
        except InvalidCloudEvent as error:
            raise InvalidCloudEvent(f"event {index}: {error}") from None
    return events


def parse_binary(
    attributes: Mapping[str, str],
    content_type: str,
    body: bytes,
    decode: Callable[[bytes], Json] | None = None,
) -> CloudEvent:
    """Read an event whose attributes came as headers, without their prefix.

    `decode` reads data whose type is neither JSON nor text; it may raise InvalidCloudEvent.
    Without it such data stays as it is.

    Raises:
        InvalidCloudEvent: It is none, or its data is not what the content type says.
    """
    given = {**attributes, "datacontenttype": content_type} if content_type else attributes
    return _with_body(given, content_type, body, decode)


def is_json(content_type: str) -> bool:
    """Whether a media type is JSON: `application/json`, `text/json` and all that end in +json."""
    media = content_type.partition(";")[0].strip().lower()
    return media in ("application/json", "text/json") or media.endswith("+json")


def to_base64(body: bytes) -> str:
    """Bytes as the text that stands for them in JSON."""
    return base64.b64encode(body).decode()


def structured(event: TriggerEvent) -> dict[str, Json]:
    """A trigger event as a structured CloudEvent.

    `parse_structured` leads back to the same event, unless a member `cloudevent` of its detail is
    none of ours. `account`, `region` and `resources` tell where it was received: they stay behind.
    """
    detail, attributes = event.detail, event.detail.get("cloudevent")
    if isinstance(attributes, dict) and all(map(_may_stand_apart, attributes.items())):
        detail = {name: value for name, value in detail.items() if name != "cloudevent"}
    else:
        attributes = {}
    is_whole = not (_is_wrapped(detail) or _is_base64(detail, attributes))
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.detail_type,
        "time": format_instant(event.at_ms),
        **attributes,
        **({"data": detail} if is_whole else detail),
    }


def _is_wrapped(detail: dict[str, Json]) -> bool:
    """Whether this is data that could not be a detail itself."""
    if set(detail) != {"data"} or detail["data"] is None:
        return False
    data = detail["data"]
    return not isinstance(data, dict) or "cloudevent" in data


def _is_base64(detail: dict[str, Json], attributes: dict[str, Json]) -> bool:
    """Whether this stands for bytes."""
    encoded = detail.get("data_base64")
    if set(detail) != {"data_base64"} or not isinstance(encoded, str):
        return False
    content_type = str(attributes.get("datacontenttype", ""))
    if is_json(content_type) or _is_text(content_type):
        return False
    try:
        return to_base64(base64.b64decode(encoded, validate=True)) == encoded
    except ValueError:
        return False


def _may_stand_apart(attribute: tuple[str, Json]) -> bool:
    name, value = attribute
    return (
        _NAME.fullmatch(name) is not None
        and name not in _DATA
        and _is_other(name, value)
        and isinstance(value, str | int)
    )


def _is_text(content_type: str) -> bool:
    return content_type.strip().lower().startswith("text/")


def _with_body(
    attributes: Mapping[str, Json],
    content_type: str,
    body: bytes,
    decode: Callable[[bytes], Json] | None,
) -> CloudEvent:
    try:
        if is_json(content_type):
            return _event(attributes, decode_json(body) if body else None)
        if _is_text(content_type):
            return _event(attributes, body.decode())
    except ValueError as error:
        raise InvalidCloudEvent(f"data is not {content_type}: {error}") from None
    if decode is not None:
        return _event(attributes, decode(body))
    return _event(attributes, None, to_base64(body))


def _event(
    attributes: Mapping[str, Json], data: Json, data_base64: str | None = None
) -> CloudEvent:
    version = attributes.get("specversion")
    if version != "1.0":
        raise InvalidCloudEvent(f"specversion must be 1.0, not {version!r}")
    for name, value in attributes.items():
        if _NAME.fullmatch(name) is None:
            raise InvalidCloudEvent(
                f"an attribute's name has small letters and digits only: {name!r}"
            )
        if isinstance(value, dict | list | float):
            raise InvalidCloudEvent(f"the attribute {name} must be a string, integer or boolean")
    return CloudEvent(
        id=_text(attributes, "id"),
        source=_text(attributes, "source"),
        type=_text(attributes, "type"),
        at_ms=_time(attributes.get("time")),
        others={name: value for name, value in attributes.items() if _is_other(name, value)},
        data=data,
        data_base64=data_base64,
    )


def _is_other(name: str, value: Json) -> bool:
    # That data is JSON is what everybody expects.
    is_default = name == "datacontenttype" and value == "application/json"
    return name not in _PLACED and value is not None and not is_default


def _text(attributes: Mapping[str, Json], name: str) -> str:
    value = attributes.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidCloudEvent(f"the attribute {name} must be a text that is not empty")
    return value


def _time(value: Json) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidCloudEvent("the attribute time must be a string")
    try:
        return parse_instant(value.upper())
    except ValueError as error:
        raise InvalidCloudEvent(f"the attribute time: {error}") from None
