"""What the pool and its workers say to each other: MessagePack arrays behind a length of 4 bytes.

Both ends are always of the same version, so there is nothing to negotiate.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec

FRAME_BYTES_MAX: Final = 256 * 1024 * 1024

_LENGTH_BYTES: Final = 4


class FrameError(Exception):
    """The bytes are no frame: the other end is not, or no longer, one of ours."""


class Setup(msgspec.Struct, array_like=True, tag=0):
    """The first frame to a worker: how to work."""

    folder: str
    account: str
    region: str
    threads_max: int
    pulse_seconds: float
    blocked_seconds: float
    import_seconds: float
    grace_seconds: float
    preload: bool
    log_level: int
    data_bytes_max: int | None
    response_bytes_max: int


class Invoke(msgspec.Struct, array_like=True, tag=1):
    """Begin a call: the fields of `Invocation`, its payload as text."""

    id: int
    function: str
    payload: bytes
    execution_arn: str
    state: str
    token: str
    idempotency_key: str
    attempt: int
    deadline_ms: int | None


class Stop(msgspec.Struct, array_like=True, tag=2):
    """Cancel a call; it is answered when it has ended."""

    id: int


ToWorker: TypeAlias = Setup | Invoke | Stop


class Ready(msgspec.Struct, array_like=True, tag=0):
    """The worker can take calls."""


class Done(msgspec.Struct, array_like=True, tag=1):
    """A call ended with a result, as JSON text."""

    id: int
    output: bytes


class Failed(msgspec.Struct, array_like=True, tag=2):
    """A call ended with an error."""

    id: int
    error: str
    cause: str


class OwnDeadline(msgspec.Struct, array_like=True, tag=3):
    """The handler's own `timeout_seconds` gives a call a sooner deadline than it came with."""

    id: int
    deadline_ms: int


class Heartbeat(msgspec.Struct, array_like=True, tag=4):
    """A handler said that it is alive."""

    id: int


class Pulse(msgspec.Struct, array_like=True, tag=5):
    """The worker's interpreter is alive; sent at intervals while it has calls, and once after."""

    resident_bytes: int


class Blocked(msgspec.Struct, array_like=True, tag=6):
    """The worker's loop is blocked, by `culprit` if that is known; `place` is where.

    `begun` are the calls that this worker has begun. It begins no others from here on, so what
    was sent to it and is not among them can be run elsewhere without running twice.
    """

    culprit: int | None
    place: str
    begun: list[int]


class Line(msgspec.Struct, array_like=True, tag=7):
    """A line that a handler logged or printed; `function` is empty if it was none's."""

    function: str
    level: int
    text: str


FromWorker: TypeAlias = Ready | Done | Failed | OwnDeadline | Heartbeat | Pulse | Blocked | Line

_encoder: Final = msgspec.msgpack.Encoder()

decode_to_worker: Final[Callable[[bytes], ToWorker]] = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_worker: Final[Callable[[bytes], FromWorker]] = msgspec.msgpack.Decoder(
    FromWorker
).decode


def encode_frame(frame: ToWorker | FromWorker) -> bytes:
    """The frame in bytes, its length before it."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameReader:
    """Cuts a stream of bytes into the bodies of frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more of the stream; yields every body that is now complete.

        Raises:
            FrameError: A length is beyond all reason.
        """
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _LENGTH_BYTES:
            begin = at + _LENGTH_BYTES
            length = int.from_bytes(self._buffer[at:begin], "big")
            if length > FRAME_BYTES_MAX:
                raise FrameError(f"a frame of {length} bytes")
            if len(self._buffer) - begin < length:
                break
            at = begin + length
            yield bytes(self._buffer[begin:at])
        del self._buffer[:at]
