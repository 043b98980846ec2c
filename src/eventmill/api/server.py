"""Serves the API on a socket, by uvicorn, inside the event loop that runs already."""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import uvicorn

from eventmill.api.app import application
from eventmill.errors import SettingsError
from eventmill.record import record
from eventmill.runtime.system import System

# How long requests under way may go on when the server stops.
_GRACE_SECONDS: Final = 2
# Longer than clients keep idle connections, so that it is never the server who closes one first.
_KEEP_ALIVE_SECONDS: Final = 75
# How often the Date header changes.
_DATE_SECONDS: Final = 1
_CONNECTIONS_MAX: Final = 1_000


@record
class Address:
    """Where the API listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What a client takes as its endpoint.

        >>> Address(host="::1", port=8083).url
        'http://[::1]:8083'
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serving(
    system: System, host: str, port: int, *, connections_max: int | None = None
) -> AsyncIterator[Address]:
    """The API listens inside the block; after it requests under way are finished, or answered 503.

    While there are more than `connections_max` connections, all requests are answered 503, which
    clients repeat after a while; by default that is 1,000, or half of the files that may be open.
    Port 0 takes any that is free; the address says which. Signals are left to the caller.

    Raises:
        SettingsError: The address cannot be listened at.
    """
    listener = await _bound(host, port)
    server = _Server(
        uvicorn.Config(
            application(system),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=(connections_max or _connections_max()) + 1,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    bound_host, bound_port, *_ = listener.getsockname()
    serve = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        yield Address(host=bound_host, port=bound_port)
    finally:
        server.stop()
        await serve


class _Server(uvicorn.Server):
    """A server that says when it is ready, and that leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._stopped = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def stop(self) -> None:
        """Begin to end."""
        self.should_exit = True
        self._stopped.set()

    async def main_loop(self) -> None:
        """Wait for `stop`. uvicorn's own loop wakes ten times a second for that."""
        while not await self.on_tick(0):  # keeps the Date of answers up to date
            with suppress(TimeoutError):
                async with asyncio.timeout(_DATE_SECONDS):
                    await self._stopped.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _connections_max() -> int:
    # The other half is for the log, the workers and whatever handlers open.
    return max(1, min(_CONNECTIONS_MAX, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))


async def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to the address."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"cannot listen at {host!r}: it is no address of this machine ({error}); "
            "set server.host in eventmill.toml, 127.0.0.1 is usual"
        ) from error
    # `localhost` may stand for ::1 and 127.0.0.1; more clients try the latter.
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would share the port with its present owner
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise SettingsError(_reason(host, port, error)) from error
    listener.setblocking(False)
    return listener


def _reason(host: str, port: int, error: OSError) -> str:
    where = f"cannot listen at {host} port {port}"
    other = "take another port by --port or by server.port in eventmill.toml"
    match error.errno:
        case errno.EADDRINUSE:
            return f"{where}: another program does, perhaps another eventmill; {other}"
        case errno.EACCES:
            return f"{where}: this user may not use it; {other}, 1024 or above"
        case errno.EADDRNOTAVAIL:
            return (
                f"{where}: it is no address of this machine; "
                "set server.host in eventmill.toml, 127.0.0.1 is usual"
            )
        case _:
            return f"{where}: {error.strerror}; {other}"
