"""The socket under the API: bound or refused with a reason, and closed without losing answers."""

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from eventmill.api.server import Address, serving
from eventmill.errors import LogUnavailable, SettingsError
from tests.api.conftest import MACHINE, Disk, World
from tests.runtime.world import settled


def request(operation: str, **members: object) -> bytes:
    body = json.dumps(members)
    return (
        f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AWSStepFunctions.{operation}\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Connection:
    """A bare connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, address: Address) -> "Connection":
        return cls(*await asyncio.open_connection(address.host, address.port))

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.close()

    async def answer(self) -> tuple[bytes, bytes]:
        """The status line and the body of the next answer."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        (length,) = (int(h[15:]) for h in headers if h.lower().startswith(b"content-length:"))
        return status, await self._reader.readexactly(length)

    async def closed(self) -> bytes:
        """What comes until the server closes."""
        rest = await self._reader.read()
        self._writer.close()
        return rest


async def test_port_0_is_any_free_port_and_the_address_says_which(world: World) -> None:
    async with serving(world.system, "127.0.0.1", 0) as address:
        assert address.host == "127.0.0.1"
        assert address.port > 0
        assert address.url == f"http://127.0.0.1:{address.port}"
        connection = await Connection.to(address)
        connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        status, body = await connection.answer()
        assert (status, json.loads(body)["status"]) == (b"HTTP/1.1 200 OK", "ok")
        connection.send(b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = await connection.closed()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.endswith(b"\r\n\r\n")


async def test_several_requests_in_one_go_are_answered_in_order(world: World) -> None:
    async with serving(world.system, "127.0.0.1", 0) as address:
        connection = await Connection.to(address)
        connection.send(request("ListStateMachines", maxResults=1) + request("StartExecution"))
        assert (await connection.answer())[0] == b"HTTP/1.1 200 OK"
        assert (await connection.answer())[0] == b"HTTP/1.1 400 Bad Request"
        connection.send(b"nonsense\r\n\r\n")
        assert b"400 Bad Request" in await connection.closed()


async def test_more_connections_than_the_server_takes_are_told_to_come_again(world: World) -> None:
    async with serving(world.system, "127.0.0.1", 0, connections_max=2) as address:
        first, second, third = [await Connection.to(address) for _ in range(3)]
        third.send(request("ListStateMachines"))
        assert (await third.answer())[0] == b"HTTP/1.1 503 Service Unavailable"
        await third.closed()
        for connection in (first, second):
            connection.send(request("ListStateMachines"))
            assert (await connection.answer())[0] == b"HTTP/1.1 200 OK"
            connection.close()


@contextmanager
def occupied() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


async def test_a_port_in_use_is_refused_with_the_way_out(world: World) -> None:
    with occupied() as port, pytest.raises(SettingsError) as caught:
        async with serving(world.system, "127.0.0.1", port):
            pass
    assert str(caught.value) == (
        f"cannot listen at 127.0.0.1 port {port}: another program does, perhaps another "
        "eventmill; take another port by --port or by server.port in eventmill.toml"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "x" * 300])
async def test_a_host_that_is_not_this_machine_is_refused(world: World, host: str) -> None:
    with pytest.raises(SettingsError) as caught:
        async with serving(world.system, host, 0):
            pass
    assert "it is no address of this machine" in str(caught.value)
    assert "set server.host in eventmill.toml" in str(caught.value)


async def test_a_port_is_free_again_at_once(world: World) -> None:
    async with serving(world.system, "localhost", 0) as address:
        connection = await Connection.to(address)
        connection.send(request("ListStateMachines"))
        await connection.answer()
    assert await connection.closed() == b""
    async with serving(world.system, "localhost", address.port) as again:
        assert again == address


async def test_an_idle_and_a_half_sent_request_do_not_hold_up_the_end(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with serving(world.system, "127.0.0.1", 0) as address:
        idle, half = await Connection.to(address), await Connection.to(address)
        idle.send(request("ListStateMachines"))
        await idle.answer()
        half.send(b"POST / HTTP/1.1\r\nHost:")
        await settled()
        began = loop.time()
    assert loop.time() - began < 1
    assert [await idle.closed(), await half.closed()] == [b"", b""]


async def test_requests_under_way_are_finished_before_the_end(world: World, disk: Disk) -> None:
    async with serving(world.system, "127.0.0.1", 0) as address:
        connection = await Connection.to(address)
        connection.send(request("StartExecution", stateMachineArn=f"{MACHINE}callback"))
        await world.tokens.get()  # it has arrived
    answer = await connection.closed()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_request_that_cannot_end_is_told_that_the_server_stops(
    world: World, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(world.system, "127.0.0.1", 0) as address:
        connection = await Connection.to(address)
        connection.send(request("StartExecution", stateMachineArn=f"{MACHINE}sleep", name="one"))
        await connection.answer()
        disk.error = LogUnavailable("no space left on device")
        stop = {"executionArn": "arn:aws:states:local:000000000000:execution:sleep:one"}
        connection.send(request("StopExecution", **stop))
        await settled()
    answer = await connection.closed()
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"The server is stopping; try again" in answer
    assert "Traceback" not in caplog.text


async def test_signals_are_left_to_the_caller(world: World) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    async with serving(world.system, "127.0.0.1", 0):
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


async def test_an_error_in_the_block_closes_the_server_too(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        async with serving(world.system, "127.0.0.1", 0) as address:
            raise ZeroDivisionError
    with pytest.raises(ConnectionRefusedError):
        await Connection.to(address)
