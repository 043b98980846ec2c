"""`POST /events/…`: events over HTTP, as CloudEvents 1.0, in EventBridge's envelope, or as JSON.

Which of these a request is follows from its headers and its path:

* `Content-Type: application/cloudevents+json`, or `application/cloudevents-batch+json`: CloudEvents
  in the structured mode, one or many;
* a header `ce-specversion`: one CloudEvent in the binary mode;
* other JSON at `/events`: events in EventBridge's envelope, one or an array of them;
* other JSON at `/events/SOURCE` or `/events/SOURCE/DETAIL-TYPE`: the detail of one event.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote
from uuid import uuid4

from eventmill.api.errors import InvalidEvent, Unauthorized, UnsupportedMediaType
from eventmill.cloud_events import (
    BATCH,
    STRUCTURED,
    InvalidCloudEvent,
    is_json,
    parse_batch,
    parse_binary,
    parse_structured,
)
from eventmill.events import TriggerEvent
from eventmill.instant import parse_instant
from eventmill.model import Json, decode_json
from eventmill.runtime.signatures import Signatures, Unsigned
from eventmill.runtime.system import System

PATH: Final = "/events"

TEXT_MAX: Final = 2_048  # characters of an id, a source or a detail type
_DETAIL_TYPE: Final = "Event Received"  # where nobody says what it is
_BINARY: Final = "ce-"
# Who sends the same again says so by the first of these.
_IDS: Final = ("idempotency-key", "webhook-id", "x-github-delivery")

_Headers = Mapping[str, str]


def is_events_path(path: str) -> bool:
    """Whether a path takes events."""
    return path == PATH or path.startswith(f"{PATH}/")


async def receive(
    system: System, signatures: Signatures, path: str, headers: _Headers, body: bytes
) -> tuple[int, Json]:
    """Take the events of a request; the answer comes after all of them are durable.

    An event whose source and id the log has is taken, too, and starts nothing again.

    Raises:
        InvalidEvent, UnsupportedMediaType: One of them cannot be read; none is taken.
        Unauthorized: The signature that a source wants is missing or wrong; none is taken.
        LogUnavailable: Some could not be stored; the same request may be sent again.
    """
    events = _Reading(system, headers).events(path, body)
    for event in events:
        for text in (event.id, event.source, event.detail_type):
            if not 0 < len(text) <= TEXT_MAX:
                raise InvalidEvent(
                    "id, source and detail-type (type of a CloudEvent) have "
                    f"1 to {TEXT_MAX:,} characters, not {len(text):,}"
                )
    _check_signatures(signatures, events, headers, body, system.bus.now_ms())
    for error in await system.bus.put(events):
        if error is not None:
            raise error
    return 202, {"events": [{"source": each.source, "id": each.id} for each in events]}


def _check_signatures(
    signatures: Signatures,
    events: list[TriggerEvent],
    headers: _Headers,
    body: bytes,
    now_ms: int,
) -> None:
    for name in {signatures.name_for(event.source) for event in events}:
        if name is None:
            continue
        try:
            signatures.check(name, headers, body, now_ms)
        except Unsigned as error:
            raise Unauthorized(f"{error} (events.signatures.{name} in the settings)") from None


class _Reading:
    """The events in one request."""

    def __init__(self, system: System, headers: _Headers) -> None:
        self._home = system.settings.home
        self._now_ms = system.bus.now_ms()
        self._headers = headers
        self._type = headers.get("content-type", "")

    def events(self, path: str, body: bytes) -> list[TriggerEvent]:
        media = self._type.partition(";")[0].strip().lower()
        try:
            if media == STRUCTURED:
                clouds = [parse_structured(_json(body))]
            elif media == BATCH:
                clouds = parse_batch(_json(body))
            elif f"{_BINARY}specversion" in self._headers:
                clouds = [parse_binary(self._attributes(), self._type, body)]
            else:
                return self._plain(path, body)
        except InvalidCloudEvent as error:
            raise InvalidEvent(f"no CloudEvent: {error}") from None
        account, region = self._home.account, self._home.region
        return [
            each.to_trigger_event(account=account, region=region, now_ms=self._now_ms)
            for each in clouds
        ]

    def _attributes(self) -> dict[str, str]:
        """The attributes of a CloudEvent that came as headers, where they are percent-encoded."""
        return {
            name.removeprefix(_BINARY): unquote(value)
            for name, value in self._headers.items()
            if name.startswith(_BINARY)
        }

    def _plain(self, path: str, body: bytes) -> list[TriggerEvent]:
        if not is_json(self._type):
            raise UnsupportedMediaType(
                f"Content-Type must be application/json, {STRUCTURED} or {BATCH}, or the request "
                f"must be a CloudEvent in binary mode; it is {self._type[:80]!r}"
            )
        value = _json(body)
        source, _, detail_type = path.removeprefix(PATH).strip("/").partition("/")
        if not source:
            return self._envelopes(value)
        return [
            TriggerEvent(
                id=next((given for name in _IDS if (given := self._headers.get(name))), None)
                or str(uuid4()),
                source=source,
                detail_type=detail_type or self._headers.get("x-github-event") or _DETAIL_TYPE,
                at_ms=self._now_ms,
                account=self._home.account,
                region=self._home.region,
                detail=value if isinstance(value, dict) else {"data": value},
            )
        ]

    def _envelopes(self, value: Json) -> list[TriggerEvent]:
        if isinstance(value, list):
            return [self._envelope(each, f"/{index}") for index, each in enumerate(value)]
        return [self._envelope(value, "")]

    def _envelope(self, value: Json, pointer: str) -> TriggerEvent:
        """An event as EventBridge writes it; what is missing of id, time and resources is made."""
        if not isinstance(value, dict):
            raise InvalidEvent(f"{pointer or '/'}: an event is a JSON object")
        texts = {
            name: _text(value, name, pointer, required=name in ("source", "detail-type"))
            for name in ("id", "source", "detail-type", "time")
        }
        detail, resources = value.get("detail"), value.get("resources", [])
        if not isinstance(detail, dict):
            raise InvalidEvent(f"{pointer}/detail: must be a JSON object")
        if not isinstance(resources, list) or not all(isinstance(one, str) for one in resources):
            raise InvalidEvent(f"{pointer}/resources: must be an array of strings")
        return TriggerEvent(
            id=texts["id"] or str(uuid4()),
            source=texts["source"],
            detail_type=texts["detail-type"],
            at_ms=self._time(texts["time"], pointer),
            account=self._home.account,
            region=self._home.region,
            resources=tuple(map(str, resources)),
            detail=detail,
        )

    def _time(self, text: str, pointer: str) -> int:
        if not text:
            return self._now_ms
        try:
            return parse_instant(text)
        except ValueError as error:
            raise InvalidEvent(f"{pointer}/time: {error}") from None


def _text(value: dict[str, Json], name: str, pointer: str, *, required: bool) -> str:
    text = value.get(name)
    if text is None and not required:
        return ""
    if not isinstance(text, str) or not text:
        raise InvalidEvent(f"{pointer}/{name}: must be a string that is not empty")
    return text


def _json(body: bytes) -> Json:
    try:
        return decode_json(body)
    except ValueError as error:
        raise InvalidEvent(f"the body is not JSON: {error}") from None
