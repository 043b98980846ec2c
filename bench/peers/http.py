"""Calls to servers on this computer, as light as Python makes them, from as many threads as wanted.

The same client calls every server that is measured, so what it costs itself is the same for all.
"""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.peers.works import until

_Given = TypeVar("_Given")
_Answer = TypeVar("_Answer")

_PATIENCE_SECONDS: Final = 120
_LOOK_SECONDS: Final = 0.02


class Client:
    """Posts JSON to a port; each thread keeps a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._kept = threading.local()

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Return the JSON that is answered.

        Raises:
            HTTPException: the answer is an error.
            OSError: there is no server.
        """
        connection = self._connection()
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            connection.request("POST", path, json.dumps(body).encode(), sent)
            response = connection.getresponse()
            text = response.read()
        except (OSError, HTTPException):
            connection.close()
            raise
        if response.status >= 300:
            raise HTTPException(f"{path}: {response.status} {text.decode()}")
        return json.loads(text) if text else None

    def _connection(self) -> HTTPConnection:
        if not hasattr(self._kept, "connection"):
            connection = HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_SECONDS)
            self._kept.connection = connection
        connection = self._kept.connection
        assert isinstance(connection, HTTPConnection)
        if connection.sock is None:
            connection.connect()
            assert connection.sock is not None
            # Head and body are two writes, and the second must not wait for an acknowledgement.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def in_threads(
    threads: int, call: Callable[[_Given], _Answer], given: Iterable[_Given]
) -> list[_Answer]:
    """Make the calls, so many at a time."""
    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(call, given))


def answers(call: Callable[[], object]) -> bool:
    """Whether a call is answered, which it is not while a server starts."""
    with suppress(OSError, HTTPException):
        call()
        return True
    return False


def until_it_answers(call: Callable[[], object]) -> None:
    """Call until there is an answer."""
    until(lambda: answers(call), _LOOK_SECONDS)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str | PathLike[str]],
    log: Path,
    environment: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """A server that runs meanwhile; what it says goes to a file."""
    with log.open("ab") as told:
        server = subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stdout=told, stderr=told
        )
        try:
            yield
        finally:
            server.send_signal(stop)
            try:
                server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
