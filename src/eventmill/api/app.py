"""The API over HTTP, as an ASGI application.

`POST /` takes AWS JSON: 1.0 of Step Functions, 1.1 of EventBridge. `POST /events/…` takes events of
anybody, `POST /send-again` sends one of the log again, `POST /redrive` a dead letter. `GET` of
`/health`, `/sensors` and `/metrics` tells how the server is.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from uuid import uuid4

import msgspec

from eventmill.api import event_bridge, events, redriving, sending_again
from eventmill.api.errors import (
    AccessDeniedException,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    RequestTimeout,
    ServiceUnavailable,
    UnsupportedMediaType,
    error_body,
    plain_error_body,
)
from eventmill.api.health import health
from eventmill.api.origin import is_ours
from eventmill.api.sensors import METRICS_CONTENT_TYPE, metrics, sensors
from eventmill.api.step_functions import call
from eventmill.errors import LogUnavailable, ServiceError
from eventmill.record import record
from eventmill.runtime.signatures import Signatures
from eventmill.runtime.system import System

_log: Final = logging.getLogger(__name__)

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_TYPE: Final = b"application/x-amz-json-1.0"
EVENT_BRIDGE_CONTENT_TYPE: Final = b"application/x-amz-json-1.1"
PLAIN_CONTENT_TYPE: Final = b"application/json"

# AWS takes requests of 1 MiB. A text is longer once more when it stands escaped in JSON.
BODY_BYTES_MAX: Final = 1_048_576 + 262_144
# A request takes more where a payload may have more: escaped it has three times the bytes at most.
_ESCAPED: Final = 3
_OTHER_MEMBERS_BYTES: Final = 65_536
_BODY_SECONDS: Final = 30.0

# The methods of each path.
_PATHS: Final = {
    "/": ("POST",),
    "/health": ("GET", "HEAD"),
    "/metrics": ("GET", "HEAD"),
    "/sensors": ("GET", "HEAD"),
    redriving.PATH: ("POST",),
    sending_again.PATH: ("POST",),
}

# Those beside the events that speak plain JSON.
_PLAIN_PATHS: Final = ("/sensors", redriving.PATH, sending_again.PATH)

# AWS writes the members of an answer in alphabetical order.
_encode: Final = msgspec.json.Encoder(order="sorted").encode

_Headers: TypeAlias = dict[bytes, bytes]


@record
class _Limits:
    """How large the body of a request may be, and how long it may take to arrive."""

    bytes: int
    seconds: float


class _Disconnected(Exception):
    """The client went away before its request was complete: nobody is there to be answered."""


def application(system: System, *, body_seconds: float = _BODY_SECONDS) -> Application:
    """The API of a running system. A body must arrive within `body_seconds`.

    Raises:
        SettingsError: An environment variable with a secret is missing.
    """
    doors = _Doors(system, body_seconds)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the server is told to serve HTTP only"
        request_id = str(uuid4())
        content_type = _answered_in(scope)
        told = plain_error_body if content_type == PLAIN_CONTENT_TYPE else error_body
        try:
            status, body = await doors.respond(scope, receive)
        except _Disconnected:
            return
        except ServiceError as error:
            status, body = error.http_status, told(error)
        except LogUnavailable as error:
            status, body = 503, told(ServiceUnavailable(f"{error}; try again"))
        except asyncio.CancelledError:
            # Only the end of the server cancels a request: its task ends here, but not in silence.
            status, body = 503, told(ServiceUnavailable("The server is stopping; try again"))
        except Exception:
            _log.exception("request %s failed", request_id)
            message = (
                f"Something unexpected happened; the server's log says more under {request_id}"
            )
            status, body = 500, told(InternalServerError(message))
        content = body if isinstance(body, bytes) else _encode(body)
        await _send(send, status, content, request_id, content_type)

    return app


class _Doors:
    """What lies behind each path."""

    def __init__(self, system: System, body_seconds: float) -> None:
        self._system = system
        settings = system.settings
        payload_bytes_max = settings.quotas.payload_bytes_max
        bytes_max = max(BODY_BYTES_MAX, _OTHER_MEMBERS_BYTES + _ESCAPED * payload_bytes_max)
        entries_bytes = _OTHER_MEMBERS_BYTES + _ESCAPED * event_bridge.ENTRIES_BYTES_MAX
        self._limits = _Limits(bytes=bytes_max, seconds=body_seconds)
        self._entries_limits = _Limits(bytes=entries_bytes, seconds=body_seconds)
        self._events_limits = _Limits(bytes=settings.events.body_bytes_max, seconds=body_seconds)
        self._signatures = Signatures(settings.events.signatures, os.environ)

    async def respond(self, scope: Scope, receive: Receive) -> tuple[int, object]:
        """The status and the body of the answer to a request."""
        headers: _Headers = dict(scope["headers"])
        _check_origin(headers)
        path, method = scope["path"], scope["method"]
        takes = ("POST",) if events.is_events_path(path) else _PATHS.get(path)
        if takes is None:
            raise NotFound(
                f"There is nothing at {path[:80]!r}; the API is POST /, its health GET /health, "
                "and events are taken by POST /events"
            )
        if method not in takes:
            raise MethodNotAllowed(f"{path[:80]} takes {' and '.join(takes)}, not {method[:20]}")
        if path == "/health":
            return health(self._system)
        if path == "/sensors":
            return 200, sensors(self._system)
        if path == "/metrics":
            return 200, metrics(self._system)
        if path in (redriving.PATH, sending_again.PATH):
            _check_content_type(headers, PLAIN_CONTENT_TYPE)
            body = await _body(headers, receive, self._events_limits)
            again = redriving.redrive if path == redriving.PATH else sending_again.send_again
            return 200, await again(self._system, body)
        if path != "/":
            body = await _body(headers, receive, self._events_limits)
            return await events.receive(self._system, self._signatures, path, _read(headers), body)
        return 200, await self._call(headers, receive)

    async def _call(self, headers: _Headers, receive: Receive) -> object:
        target = headers.get(b"x-amz-target", b"").decode("latin-1")
        if target.startswith(event_bridge.TARGET_PREFIX):
            _check_content_type(headers, EVENT_BRIDGE_CONTENT_TYPE)
            body = await _body(headers, receive, self._entries_limits)
            return await event_bridge.call(self._system, target, body)
        _check_content_type(headers, CONTENT_TYPE)
        body = await _body(headers, receive, self._limits)
        return await call(self._system, target, body)


def _answered_in(scope: Scope) -> bytes:
    """The content type of the answer to a request."""
    if scope["path"] == "/metrics":
        return METRICS_CONTENT_TYPE
    if events.is_events_path(scope["path"]) or scope["path"] in _PLAIN_PATHS:
        return PLAIN_CONTENT_TYPE
    target: bytes = dict(scope["headers"]).get(b"x-amz-target", b"")
    is_event_bridge = target.startswith(event_bridge.TARGET_PREFIX.encode())
    return EVENT_BRIDGE_CONTENT_TYPE if is_event_bridge else CONTENT_TYPE


def _read(headers: _Headers) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}


def _check_origin(headers: _Headers) -> None:
    origin = headers.get(b"origin")
    if origin is not None:
        text, host = origin.decode("latin-1"), headers.get(b"host", b"").decode("latin-1")
        if not is_ours(text, host):
            raise AccessDeniedException(f"Web pages of {text[:80]!r} may not use this API")


def _check_content_type(headers: _Headers, wanted: bytes) -> None:
    given = headers.get(b"content-type", b"")
    if given.split(b";", 1)[0].strip().lower() != wanted:
        raise UnsupportedMediaType(
            f"Content-Type must be {wanted.decode()}; it is {given[:80].decode('latin-1')!r}"
        )


async def _body(headers: _Headers, receive: Receive, limits: _Limits) -> bytes:
    """The whole body of a request.

    Raises:
        RequestEntityTooLarge: It is over the limit, or says that it will be.
        RequestTimeout: It did not come in time.
    """
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > limits.bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.seconds):
            return await _received(receive, limits)
    except TimeoutError:
        message = f"The body did not arrive within {limits.seconds:g} seconds"
        raise RequestTimeout(message) from None


async def _received(receive: Receive, limits: _Limits) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limits.bytes:
            raise _too_large(limits)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limits: _Limits) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"A request may have {limits.bytes} bytes at most")


# After these the rest of a body may still be on its way, so the connection is of no more use.
_CLOSES: Final = frozenset({408, 413, 503})


async def _send(send: Send, status: int, body: bytes, request_id: str, content_type: bytes) -> None:
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-requestid", request_id.encode()),
    ]
    if status in _CLOSES:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
