"""One end of the socket between the pool and a worker. Frames written in one turn of the loop
leave in one system call.
"""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec

from eventmill.executors.frames import (
    FrameError,
    FrameReader,
    FromWorker,
    ToWorker,
    encode_frame,
)

# Below the size from which malloc maps fresh pages each time.
_READ_BYTES_MAX: Final = 64 * 1024
_FRAMES_AT_ONCE_MAX: Final = 256

_Frame = TypeVar("_Frame")


class Link(Generic[_Frame]):
    """Sends and receives frames without ever waiting; must be made in its event loop."""

    def __init__(
        self,
        end: socket.socket,
        decode: Callable[[bytes], _Frame],
        *,
        on_frame: Callable[[_Frame], None],
        on_close: Callable[[], None],
    ) -> None:
        """Take over `end`. `on_close` is called once, when nothing more will be received."""
        end.setblocking(False)
        self._socket = end
        self._decode = decode
        self._on_frame, self._on_close = on_frame, on_close
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._unsent: deque[bytes] = deque()
        self._sent_of_first = 0  # bytes
        self._lock = threading.Lock()
        self._flush_is_due = False
        self._is_open = True
        self._loop.add_reader(end, self.receive)

    @property
    def unsent_frames(self) -> int:
        """How many frames wait because the other end does not read."""
        return len(self._unsent)

    def post(self, frame: ToWorker | FromWorker) -> None:
        """Send a frame at the end of this turn of the loop; call it in the loop only."""
        self._unsent.append(encode_frame(frame))
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def post_now(self, frame: ToWorker | FromWorker) -> None:
        """Send a frame, and all that waits, at once and from any thread."""
        self._unsent.append(encode_frame(frame))
        if not self._send():
            self._loop.call_soon_threadsafe(self._flush)

    def receive(self) -> None:
        """Take in what has arrived."""
        try:
            data = self._socket.recv(_READ_BYTES_MAX)
            if not data:
                self.close()
                return
            for body in self._reader.feed(data):
                self._on_frame(self._decode(body))
        except BlockingIOError:
            return
        except (OSError, FrameError, msgspec.DecodeError):
            self.close()

    def receive_rest(self) -> None:
        """Take in all that the other end, which is gone, had sent."""
        while self._is_open and self._has_data():
            self.receive()
        self.close()

    def close(self) -> None:
        """Stop both directions; the other end reads the end of the stream."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._on_close()

    def _has_data(self) -> bool:
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def _flush(self) -> None:
        self._flush_is_due = False
        if not self._is_open:
            return
        if self._send():
            self._loop.remove_writer(self._socket)
        else:
            self._loop.add_writer(self._socket, self._flush)

    def _send(self) -> bool:
        """Send what the socket takes; false when some is left.

        It never waits for the lock: the garbage collector may run a `__del__` that prints while
        this very thread holds it. Whoever holds it looks again after letting go.
        """
        while self._unsent:
            if not self._lock.acquire(blocking=False):
                return True
            try:
                self._send_some()
            except BlockingIOError:
                return False
            except OSError:  # the other end is gone: `receive` will find out
                self._unsent.clear()
            finally:
                self._lock.release()
        return True

    def _send_some(self) -> None:
        count = min(len(self._unsent), _FRAMES_AT_ONCE_MAX)
        frames = [self._unsent[index] for index in range(count)]
        sent = self._socket.sendmsg([memoryview(frames[0])[self._sent_of_first :], *frames[1:]])
        sent += self._sent_of_first
        for frame in frames:
            if sent < len(frame):
                break
            sent -= len(frame)
            self._unsent.popleft()
        self._sent_of_first = sent
