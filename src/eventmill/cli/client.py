"""Calls operations of a running server: AWS JSON 1.0 over HTTP; and sends events to it."""

import http.client
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from eventmill.cli.failures import EnvironmentRefused, Refused
from eventmill.model import Json, decode_json, encode_json

_TIMEOUT_SECONDS: Final = 30
_TARGET: Final = "AWSStepFunctions"
_NO_SERVER: Final = "start one with eventmill up, or name another: --endpoint URL"


class OperationFailed(Refused):
    """The server answered an operation with an error; `name` is the error's name on the wire."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name


class Client:
    """A server at an endpoint such as `http://127.0.0.1:8083`; one connection for each call."""

    def __init__(self, endpoint: str) -> None:
        """Name the server; nothing is sent yet.

        Raises:
            ValueError: `endpoint` is no URL with http or https and a host.
        """
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{endpoint!r} is no address like http://127.0.0.1:8083")
        self.endpoint = endpoint
        self._connect = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path or "/"

    def call(self, operation: str, request: dict[str, Json]) -> dict[str, Json]:
        """Call an operation and return its answer.

        Raises:
            OperationFailed: The server answered with an error.
            EnvironmentRefused: There is no server at this address, or it is no Eventmill.
        """
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"{_TARGET}.{operation}",
        }
        status, answer = self._exchange(operation, self._path, encode_json(request), headers)
        if status == 200:
            return answer
        name = str(answer.get("__type") or "").rsplit("#", 1)[-1]
        if not name:
            raise self._stranger(f"it answered {operation} with status {status}")
        message = answer.get("message") or answer.get("Message")
        raise OperationFailed(name, str(message or ""))

    def get(self, path: str) -> dict[str, Json]:
        """What the server shows at a path such as `/sensors`.

        Raises:
            OperationFailed: The server answered with an error.
            EnvironmentRefused: There is no server at this address, or it is no Eventmill.
        """
        status, answer = self._exchange(path, f"{self._path.rstrip('/')}{path}", None, {})
        return self._plain(path, status, answer)

    def send_again(self, source: str, event_id: str) -> dict[str, Json]:
        """Send an event of the log again; what was sent, when it is durable.

        Raises:
            OperationFailed: The server answered with an error.
            EnvironmentRefused: There is no server at this address, or it is no Eventmill.
        """
        body = encode_json({"source": source, "id": event_id})
        headers = {"Content-Type": "application/json"}
        path = f"{self._path.rstrip('/')}/send-again"
        status, answer = self._exchange("send-again", path, body, headers)
        return self._plain("send-again", status, answer)

    def send(self, events: bytes, headers: Mapping[str, str]) -> None:
        """Send events, an array of them in EventBridge's envelope; return when they are durable.

        Raises:
            OperationFailed: The server answered with an error.
            EnvironmentRefused: There is no server at this address, or it is no Eventmill.
        """
        given = {"Content-Type": "application/json", **headers}
        status, answer = self._exchange("events", f"{self._path.rstrip('/')}/events", events, given)
        if status != 202:
            if "error" not in answer:
                raise self._stranger(f"it answered events with status {status}")
            raise OperationFailed(str(answer["error"]), str(answer.get("message") or ""))

    def _plain(self, what: str, status: int, answer: dict[str, Json]) -> dict[str, Json]:
        if status == 200:
            return answer
        if "error" not in answer:
            raise self._stranger(f"it answered {what} with status {status}")
        raise OperationFailed(str(answer["error"]), str(answer.get("message") or ""))

    def _exchange(
        self, what: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Json]]:
        status, content = self._request(path, body, headers)
        try:
            answer = decode_json(content or b"{}")
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._stranger(f"it answered {what} with status {status} and no JSON object")
        return status, answer

    def _request(
        self, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        connection = self._connect(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET" if body is None else "POST", path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"no server answers at {self.endpoint}: {reason}"
            raise EnvironmentRefused(message, _NO_SERVER) from error
        except http.client.HTTPException as error:
            raise self._stranger(f"it answered with something else than HTTP: {error!r}") from error
        finally:
            connection.close()

    def _stranger(self, what: str) -> EnvironmentRefused:
        message = f"the server at {self.endpoint} is no Eventmill: {what}"
        return EnvironmentRefused(message, _NO_SERVER)
